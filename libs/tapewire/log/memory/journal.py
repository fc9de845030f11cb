"""The stored events of the server in memory: one sequence, indexed by the common filters.

Pure: the time is an argument. `check_append` is separate from `store`, so an append visibly stores
all of its events or none. The checks run in the order of the real server.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from datetime import datetime

from tapewire.events import CATALOGUE
from tapewire.log.batch_part import BatchPart
from tapewire.log.ports import AlreadyStored, Conflict, EventDraft, Page, RecordedEvent
from tapewire.log.subjects import matches

DUPLICATE_WINDOW_SECONDS = 120.0
"""How long an event id is remembered."""


class Journal:
    """One incarnation of the log, named by `epoch`."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.first = 1
        self._events: list[RecordedEvent] = []
        self._index: dict[str, list[int]] = {}
        self._removed: set[int] = set()
        self._ids: dict[str, int] = {}
        self._id_ages: deque[tuple[float, str]] = deque()

    @property
    def last(self) -> int:
        """The last sequence that was assigned, 0 for none."""
        return self.first + len(self._events) - 1

    def event_at(self, sequence: int) -> RecordedEvent | None:
        """The event with that sequence, if it is still stored."""
        if self.first <= sequence <= self.last and sequence not in self._removed:
            return self._events[sequence - self.first]
        return None

    def check_append(self, drafts: Sequence[EventDraft], at: float) -> None:
        """Check an append that arrives at second `at`.

        A single event is checked for its expected sequence first, an event of a batch for its id
        first (nats-server 2.12 to 2.15).

        Raises:
            Conflict: a subject is not at its expected sequence.
            AlreadyStored: an id is known.
        """
        self._expire_ids(at - DUPLICATE_WINDOW_SECONDS)
        written: set[str] = set()
        ids: set[str] = set()
        for draft in drafts:
            known = draft.metadata.id in self._ids or draft.metadata.id in ids
            if known and len(drafts) > 1:
                raise AlreadyStored(f"the batch holds {draft.metadata.id!r}, which is in the log")
            self._check_expected_sequence(draft, written)
            if known:
                raise AlreadyStored(
                    f"{draft.metadata.id!r} is in the log", self._ids[draft.metadata.id]
                )
            ids.add(draft.metadata.id)
            written.add(str(draft.subject))

    def _check_expected_sequence(self, draft: EventDraft, written: set[str]) -> None:
        if draft.expected_sequence is None:
            return
        subject = str(draft.subject)
        last = self.last_sequence(subject)
        if subject in written or last != draft.expected_sequence:
            raise Conflict(f"{subject} is at {last}, expected at {draft.expected_sequence}")

    def _expire_ids(self, before: float) -> None:
        while self._id_ages and self._id_ages[0][0] < before:
            del self._ids[self._id_ages.popleft()[1]]

    def store(
        self, drafts: Sequence[EventDraft], payloads: Sequence[bytes], at: float, time: datetime
    ) -> list[RecordedEvent]:
        """Store an append that `check_append` accepted."""
        stored = []
        batch = drafts[0].metadata.id if len(drafts) > 1 else None
        for number, (draft, payload) in enumerate(zip(drafts, payloads, strict=True), 1):
            recorded = RecordedEvent(
                sequence=self.last + 1,
                subject=str(draft.subject),
                tag=CATALOGUE.tag_of(type(draft.event)),
                data=payload,
                metadata=draft.metadata,
                time=time,
                batch=BatchPart(batch, number, number == len(drafts)) if batch else None,
            )
            self._events.append(recorded)
            self._ids[draft.metadata.id] = recorded.sequence
            self._id_ages.append((at, draft.metadata.id))
            for key in index_keys(recorded.subject):
                self._index.setdefault(key, []).append(recorded.sequence)
            stored.append(recorded)
        return stored

    def trim(self, upto: int) -> None:
        """Forget the events up to and including `upto`. Their sequences are not assigned again."""
        upto = min(upto, self.last)
        if upto >= self.first:
            del self._events[: upto + 1 - self.first]
            self.first = upto + 1

    def remove_owner(self, owner: str) -> None:
        """Forget the events of `owner`. Their sequences are not assigned again."""
        removed = {one for one in self._index.get(f"ev.{owner}.>", ()) if one >= self.first}
        keys = {
            key for one in removed for key in index_keys(self._events[one - self.first].subject)
        }
        for key in keys:
            self._index[key] = [one for one in self._index[key] if one not in removed]
        self._removed |= removed

    def page(self, filter_: str, *, after: int, limit: int, max_bytes: int, upto: int) -> Page:
        """As `EventLog.page`, as if no event after `upto` were stored."""
        sequences, exact = self._candidate_sequences(filter_)
        events: list[RecordedEvent] = []
        size = 0
        for position in range(bisect_right(sequences, max(after, self.first - 1)), len(sequences)):
            recorded = self._events[sequences[position] - self.first]
            if recorded.sequence > upto:
                break
            if not exact and not matches(filter_, recorded.subject):
                continue
            size += len(recorded.data)
            if events and (len(events) >= limit or size > max_bytes):
                end = bisect_right(sequences, upto)
                left = (
                    end - position
                    if exact
                    else self._count_matches(filter_, sequences[position:end])
                )
                return Page(events, remaining=left)
            events.append(recorded)
        return Page(events, remaining=0)

    def last_events(self, subjects: Sequence[str], *, upto: int) -> list[RecordedEvent]:
        """As `EventLog.last_events`, as if no event after `upto` were stored."""
        found = []
        for subject in subjects:
            sequences = self._index.get(subject, [])
            position = bisect_right(sequences, upto) - 1
            if position >= 0 and sequences[position] >= self.first:
                found.append(self._events[sequences[position] - self.first])
        return sorted(found, key=lambda recorded: recorded.sequence)

    def _count_matches(self, filter_: str, sequences: Sequence[int]) -> int:
        return sum(matches(filter_, self._events[one - self.first].subject) for one in sequences)

    def last_sequence_before(self, moment: datetime) -> int:
        """As `EventLog.last_sequence_before`."""
        return self.first - 1 + bisect_left(self._events, moment, key=lambda event: event.time)

    def last_sequence(self, filter_: str) -> int:
        """The sequence of the last event that matches `filter_`, 0 for none."""
        sequences, exact = self._candidate_sequences(filter_)
        for sequence in reversed(sequences):
            if sequence < self.first:
                break
            if exact or matches(filter_, self._events[sequence - self.first].subject):
                return sequence
        return 0

    def next_sequence(self, filter_: str, after: int) -> int:
        """The sequence of the first event after `after` that matches `filter_`, 0 for none."""
        page = self.page(filter_, after=after, limit=1, max_bytes=1, upto=self.last)
        return page.events[0].sequence if page.events else 0

    def _candidate_sequences(self, filter_: str) -> tuple[Sequence[int], bool]:
        """Sequences to search, and whether the filter matches all of them."""
        if is_indexed(filter_):
            return self._index.get(filter_, []), True
        stored: Sequence[int] = range(self.first, self.last + 1)
        if self._removed:
            stored = [one for one in stored if one not in self._removed]
        return stored, filter_ in ("ev.>", ">")


def index_keys(subject: str) -> tuple[str, ...]:
    """The filters that an event of `subject` is indexed under."""
    _, owner, domain, _ = subject.split(".")
    return (subject, f"ev.{owner}.>", f"ev.{owner}.{domain}.>", f"ev.*.{domain}.>")


def is_indexed(filter_: str) -> bool:
    """Whether `filter_` has the form of one of `index_keys`."""
    parts = filter_.split(".")
    if "*" not in filter_ and ">" not in filter_:
        return True
    if parts[-1] != ">" or len(parts) not in (3, 4) or ">" in parts[:-1]:
        return False
    return "*" not in parts or (len(parts) == 4 and parts[1] == "*" and parts[2] != "*")
