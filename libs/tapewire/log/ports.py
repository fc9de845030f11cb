"""The ports of the event log and of the latest-value store.

`EventLog` is the journal: the durable events of all users in one sequence. `LatestValueStore` holds
one value per key, such as a quote or a checkpoint. JetStream and memory implement both ports, and
one contract suite (tests/contract) verifies that they behave alike. Both translate every error of a
client library into one of the errors below. Start at `EventLog`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from tapewire.events import CATALOGUE, Event
from tapewire.log.batch_part import BatchPart
from tapewire.log.bounds import Bounds
from tapewire.log.stored_value import StoredValue
from tapewire.log.subjects import EventSubject

PAGE_EVENTS = 256
"""Events of one page."""
PAGE_BYTES = 1 << 20
"""Bytes of payload in one page. A page holds at least one event, however large."""
CATCH_UP_PAGE_EVENTS = 2048
"""Events of one page for a reader that reads much of the log. The server counts what is left of the
filter for every page, however small, which takes 30 ms with a million events in the log."""
CATCH_UP_PAGE_BYTES = 2 << 20
MAX_BATCH_EVENTS = 1000
"""Events of one atomic append, limited by the server."""


class LogError(Exception):
    """The log could not carry out an operation. Subclasses say why."""


class Conflict(LogError):
    """The entity is not at the sequence that the writer expected. Load it and decide again."""


class AlreadyStored(LogError):
    """The log already holds an event of the append under the same id; nothing was appended.

    `sequence` is the sequence of that event, or None if the log does not report it.
    """

    def __init__(self, message: str, sequence: int | None = None) -> None:
        super().__init__(message)
        self.sequence = sequence


class OutcomeUnknown(LogError):
    """No answer arrived: the events may have been stored or not. Load the entity before deciding
    again."""


class Unavailable(LogError):
    """The log cannot be reached. Nothing was stored."""


class DeadlineExceeded(Unavailable):
    """The deadline of the request has passed. Nothing was stored, and nothing will be."""


class AppendRejected(LogError):
    """The log will never accept this append: too many events, too large, or no such stream."""


class EventMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored beside an event. `causation` is the id of the causing event or command."""

    id: str
    correlation: str
    causation: str | None = None
    traceparent: str | None = None


class EventDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An event to append.

    `expected_sequence` is the sequence of the subject's last event as the writer knows it: 0 if the
    subject has no event yet, None to expect nothing.
    """

    subject: EventSubject
    event: Event
    metadata: EventMetadata
    expected_sequence: int | None = None


class RecordedEvent:
    """A stored event.

    `event` and `event_subject` are decoded on first access. `delivery_count` counts how often a
    durable subscription has delivered the event, this time included. `batch` is the event's place
    in the atomic batch that it was stored in; None if it was stored by itself.
    """

    __slots__ = (
        "_event",
        "_event_subject",
        "batch",
        "data",
        "delivery_count",
        "metadata",
        "sequence",
        "subject",
        "tag",
        "time",
    )

    def __init__(
        self,
        *,
        sequence: int,
        subject: str,
        tag: str,
        data: bytes,
        metadata: EventMetadata,
        time: datetime,
        delivery_count: int = 1,
        batch: BatchPart | None = None,
    ) -> None:
        self.sequence = sequence
        self.subject = subject
        self.tag = tag
        self.data = data
        self.metadata = metadata
        self.time = time
        self.delivery_count = delivery_count
        self.batch = batch
        self._event: Event | None = None
        self._event_subject: EventSubject | None = None

    @property
    def event_subject(self) -> EventSubject:
        """The owner, domain and entity. Raises BadSubject."""
        if self._event_subject is None:
            self._event_subject = EventSubject.parse(self.subject)
        return self._event_subject

    @property
    def event(self) -> Event:
        """The decoded event. Raises UnknownType or Undecodable (tapewire.events)."""
        if self._event is None:
            self._event = CATALOGUE.decode(self.tag, self.data)
        return self._event

    def __repr__(self) -> str:
        return f"RecordedEvent({self.sequence} {self.subject} {self.tag})"


class Page(msgspec.Struct, frozen=True):
    """Events in order, and how many more the log held when it answered."""

    events: list[RecordedEvent]
    remaining: int

    @property
    def has_more(self) -> bool:
        return self.remaining > 0


class Subscription(Protocol):
    async def close(self) -> None:
        """Stop the subscription. No callback is called after this returns."""


class EventLog(Protocol):
    """The journal. All methods raise `Unavailable` if the server cannot be reached."""

    async def append(self, drafts: Sequence[EventDraft]) -> int:
        """Append all events or none, in order and without other events in between.

        Returns the sequence of the last event, once it is stored.

        Raises:
            Conflict: a subject is not at its `expected_sequence`.
            AlreadyStored: an event with one of the ids was stored within the last two minutes.
            OutcomeUnknown: no answer arrived in time.
            AppendRejected: the log will never accept these events.
        """

    async def page(
        self,
        filter: str,  # noqa: A002 - JetStream's term
        *,
        after: int,
        limit: int = PAGE_EVENTS,
        max_bytes: int = PAGE_BYTES,
    ) -> Page:
        """Read the first events after sequence `after` that match `filter`.

        A trimmed log returns what is left, and an archived one also the events before
        `bounds().first` that it keeps: compare `after` with `bounds().first`. A replica may lag:
        compare the end of the page with `last_sequence`.
        """

    async def last_events(self, subjects: Sequence[str]) -> list[RecordedEvent]:
        """Read the last event of each of `subjects` that has one, in the order of the log.

        The subjects are distinct and contain no wildcards. A replica may lag.
        """

    async def next_sequence(self, filter: str, after: int) -> int:  # noqa: A002
        """As `last_sequence`, of the first event after `after`."""

    async def last_sequence(self, filter: str) -> int:  # noqa: A002
        """The sequence of the last event that matches `filter`, or 0. The leader answers, so it
        counts everything acknowledged before the call."""

    async def bounds(self) -> Bounds:
        """The extent of the log. The leader answers, as for `last_sequence`."""

    async def last_sequence_before(self, moment: datetime) -> int:
        """The sequence of the last event stored before `moment` (UTC). ``bounds().first - 1`` if
        every event that is still stored is later."""

    async def subscribe(
        self,
        filter: str,  # noqa: A002
        on_event: Callable[[RecordedEvent], None],
        on_gap: Callable[[str], None],
    ) -> Subscription:
        """Call `on_event` for every event that is stored from now on.

        Returns once the server has registered the interest; a later `last_sequence` proves it.
        Delivery is at most once. `on_gap` is called with a reason before any event that follows a
        known loss; a loss may also go unnoticed.
        """

    async def subscribe_durable(
        self,
        name: str,
        filter: str,  # noqa: A002
        handler: Callable[[RecordedEvent], Awaitable[None]],
        *,
        in_order: bool = False,
    ) -> Subscription:
        """Hand every event that matches `filter`, from the first one, to one of the processes that
        subscribe under `name`.

        Delivery is at least once. An event whose handler raises is handed out again later, and
        parked after `failed_events.MAX_ATTEMPTS` tries. It holds up no other event.

        Args:
            in_order: hand out one event at a time among all processes, and the events of a subject
                only in the order of the log: while one has failed, those after it wait. All
                processes of the subscription pass the same value. Each event costs two more round
                trips.
        """


class LatestValueStore(Protocol):
    """One value per key; the newest wins. A key is dotted tokens below the store's prefix."""

    async def put(self, key: str, data: bytes, *, ttl: int | None = None) -> None:
        """Store a value and wait for the acknowledgement. The value expires after `ttl` whole
        seconds, if the store supports expiry.

        Raises:
            Unavailable, OutcomeUnknown: it was not stored, or may have been.
            AppendRejected: the store does not accept the value.
        """

    async def put_all(
        self, values: Mapping[str, bytes], expected_revisions: Mapping[str, int] | None = None
    ) -> int:
        """Store up to `MAX_BATCH_EVENTS` values together or not at all; the last one's revision.
        Raises the errors of `put`, and Conflict if a key is not at its expected revision."""

    async def put_unacknowledged(self, key: str, data: bytes) -> None:
        """Store a value without waiting. It may be lost; the next value of the key repairs that."""

    async def get(self, key: str) -> bytes | None: ...

    async def get_revision(self, key: str) -> tuple[bytes | None, int]:
        """The value of `key` and its revision, 0 if there is none. A replica may lag."""

    async def pop(self, key: str) -> bytes | None:
        """Remove and return the newest value of `key`. If several processes call this at once, one
        of them gets the value and the others get None.

        Raises:
            Unavailable, OutcomeUnknown: nothing was removed, or it may have been.
        """

    async def get_all(self) -> dict[str, bytes]:
        """All keys and values, read in pages."""

    async def read_all(self) -> dict[str, StoredValue]:
        """As `get_all`, with the place of each value. A replica may lag."""

    async def bounds(self) -> Bounds:
        """The extent of the stream that holds the values; another epoch is another order."""

    async def subscribe(
        self, on_value: Callable[[str, StoredValue], None], on_gap: Callable[[str], None]
    ) -> Subscription:
        """Call `on_value` for each value stored from now on, in order; `on_gap`: see `EventLog`."""
