"""The last events of the log tail, by owner. Start at `TailBuffer`."""

from collections import deque
from collections.abc import Iterable
from heapq import merge
from itertools import takewhile

from tapewire.events import UserErased
from tapewire.log import RecordedEvent

MAX_BUFFERED_EVENTS = 16_384
MAX_BUFFERED_BYTES = 16 << 20
"""Payload bytes in the buffer; whichever bound is met first applies."""


class TailBuffer:
    """Every event after `last_evicted_sequence`, in order, without those of erased users."""

    def __init__(self) -> None:
        self._events: deque[RecordedEvent] = deque()
        self._bytes = 0
        self._by_owner: dict[str, deque[RecordedEvent]] = {}
        self.last_evicted_sequence = 0

    def reset(self, last_sequence: int) -> None:
        """Empty it: the next event has a sequence above `last_sequence`."""
        self._events.clear()
        self._bytes = 0
        self._by_owner.clear()
        self.last_evicted_sequence = last_sequence

    def append(self, recorded: RecordedEvent) -> None:
        """Add the next event, in place of the oldest ones if there is no room."""
        self._events.append(recorded)
        self._bytes += len(recorded.data)
        self._by_owner.setdefault(recorded.event_subject.owner, deque()).append(recorded)
        while len(self._events) > MAX_BUFFERED_EVENTS or self._bytes > MAX_BUFFERED_BYTES:
            self._evict_oldest()

    def forget_user(self, erasure: UserErased) -> None:
        """Remove the events of the erased user."""
        erased_users = erasure.find_users(self._by_owner)
        if not erased_users:
            return
        for user in erased_users:
            self._bytes -= sum(len(recorded.data) for recorded in self._by_owner.pop(user))
        self._events = deque(
            one for one in self._events if one.event_subject.owner not in erased_users
        )

    def events_after(self, owners: Iterable[str], after: int) -> list[RecordedEvent]:
        """The events of `owners` after the sequence `after`, in order."""
        later = [self._owner_events_after(owner, after) for owner in owners]
        return later[0] if len(later) == 1 else [*merge(*later, key=_sequence)]

    def has(self, recorded: RecordedEvent) -> bool:
        """Whether the same event is buffered."""
        wanted = recorded.sequence, recorded.metadata.id
        return any((one.sequence, one.metadata.id) == wanted for one in self._events)

    def _owner_events_after(self, owner: str, after: int) -> list[RecordedEvent]:
        later = takewhile(
            lambda recorded: recorded.sequence > after,
            reversed(self._by_owner.get(owner, ())),
        )
        return [*later][::-1]

    def _evict_oldest(self) -> None:
        oldest = self._events.popleft()
        self._bytes -= len(oldest.data)
        self.last_evicted_sequence = oldest.sequence
        owner = oldest.event_subject.owner
        self._by_owner[owner].popleft()
        if not self._by_owner[owner]:
            del self._by_owner[owner]


def _sequence(recorded: RecordedEvent) -> int:
    return recorded.sequence
