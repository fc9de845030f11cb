"""The failed events of one durable subscription, as one process knows them.

There may be tens of thousands, nearly all of them parked. `FailedEventIndex` finds those that are
due, and counts the parked ones, without looking at every one. Start at `FailedEventIndex.put` and
`FailedEventIndex.first_due`.
"""

import heapq
from bisect import insort
from datetime import datetime

from tapewire.log.failed_event_store import StoredFailedEvent


class FailedEventIndex:
    """Failed events by sequence and by the time of their next try. With `in_order`, only the first
    one of each subject is ever due."""

    def __init__(self, *, in_order: bool = False) -> None:
        self._in_order = in_order
        self._stored: dict[int, StoredFailedEvent] = {}
        self._schedule: list[tuple[datetime, int, int]] = []
        """Time, sequence and revision. An entry whose revision is not the event's is ignored."""
        self._sequences: dict[str, list[int]] = {}
        """Ascending, by subject; only `in_order`."""
        self.parked_count = 0

    def __len__(self) -> int:
        return len(self._stored)

    def put(self, stored: StoredFailedEvent) -> None:
        """Add an event, or replace it unless the known one is newer."""
        sequence, known = stored.event.sequence, self._stored.get(stored.event.sequence)
        if known is not None and known.revision > stored.revision:
            return
        if known is None:
            self._add_to_subject(stored)
        else:
            self.parked_count -= known.event.is_parked
        self._stored[sequence] = stored
        self.parked_count += stored.event.is_parked
        self._schedule_try(stored)

    def remove(self, sequence: int, revision: int) -> None:
        """Forget an event, unless a version is known that is newer than `revision`."""
        stored = self._stored.get(sequence)
        if stored is None or stored.revision > revision:
            return
        del self._stored[sequence]
        self.parked_count -= stored.event.is_parked
        if self._in_order:
            others = self._sequences[stored.event.subject]
            others.remove(sequence)
            if others:
                self._schedule_try(self._stored[others[0]])
            else:
                del self._sequences[stored.event.subject]

    def clear(self) -> None:
        """Forget all."""
        self._stored.clear()
        self._schedule.clear()
        self._sequences.clear()
        self.parked_count = 0

    def first_due(self, now: datetime) -> StoredFailedEvent | None:
        """The event that is to be tried first, if one is due at `now`."""
        due_at = self.next_due_at()
        return self._stored[self._schedule[0][1]] if due_at is not None and due_at <= now else None

    def next_due_at(self) -> datetime | None:
        """When the next event is due; None if none is to be tried."""
        while self._schedule:
            due_at, sequence, revision = self._schedule[0]
            stored = self._stored.get(sequence)
            if stored is not None and stored.revision == revision and self._is_first(stored):
                return due_at
            heapq.heappop(self._schedule)
        return None

    def postpone(self, stored: StoredFailedEvent, until: datetime) -> None:
        """Try the event, which `first_due` returned, no earlier than `until`."""
        heapq.heapreplace(self._schedule, (until, stored.event.sequence, stored.revision))

    def _add_to_subject(self, stored: StoredFailedEvent) -> None:
        if self._in_order:
            insort(self._sequences.setdefault(stored.event.subject, []), stored.event.sequence)

    def _schedule_try(self, stored: StoredFailedEvent) -> None:
        due_at = stored.event.next_attempt_at
        if due_at is not None and self._is_first(stored):
            heapq.heappush(self._schedule, (due_at, stored.event.sequence, stored.revision))

    def _is_first(self, stored: StoredFailedEvent) -> bool:
        return (
            not self._in_order or self._sequences[stored.event.subject][0] == stored.event.sequence
        )
