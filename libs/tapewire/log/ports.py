"""The port of the event log, and the port of newest-wins values.

`EventLog` is the journal: every durable event of every user under one sequence. `Values` holds one
value a key (quotes, checkpoints of views). JetStream and memory stand behind both, and one contract
suite (tests/contract) holds them to the same behaviour. No error of a client library passes here:
what can go wrong is one of the classes below.
"""

import hashlib
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from tapewire.events import CATALOGUE, Event
from tapewire.log.subjects import EventSubject

PAGE_EVENTS = 256
"""Events asked for at once: a page."""
PAGE_BYTES = 1 << 20
"""Bytes of payload in a page at the most (a page always holds at least one event)."""
CATCH_UP_PAGE_EVENTS = 2048
"""Events asked for at once by who reads a long way: for every page, however small, the server
counts what is left of its filter, which takes it 30 ms with a million events in the log."""
CATCH_UP_PAGE_BYTES = 2 << 20
MAX_BATCH_EVENTS = 1000
"""Events that one atomic append can hold (a limit of the server)."""


class LogError(Exception):
    """Something the log could not do."""


class Conflict(LogError):
    """The entity was not where the writer expected it: read it again and decide again."""


class AlreadyStored(LogError):
    """An event of the append is in the log already under the same id; nothing was appended.
    `sequence` is where it stands, None where the log does not say."""

    def __init__(self, message: str, sequence: int | None = None) -> None:
        super().__init__(message)
        self.sequence = sequence


class OutcomeUnknown(LogError):
    """No answer came: the events may have been stored, or not. Read before deciding again."""


class Unavailable(LogError):
    """The log cannot be reached: certainly nothing was stored."""


class AppendRejected(LogError):
    """The log will never take this append (too many events, too large, no such stream)."""


class EventMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What travels beside an event. `causation` is the id of an event or a command."""

    id: str
    correlation: str
    causation: str | None = None
    traceparent: str | None = None


class EventDraft(msgspec.Struct, frozen=True, kw_only=True):
    """An event to append. `expect` is the last sequence of the subject that the writer knows.

    0 says that the subject has no event yet; None expects nothing.
    """

    subject: EventSubject
    event: Event
    metadata: EventMetadata
    expected_sequence: int | None = None


class RecordedEvent:
    """An event as the log holds it. `event` and `place` are decoded when first asked for, and
    once. `delivered` is how many times a reaction was handed it, this time included."""

    __slots__ = (
        "_event",
        "_event_subject",
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
    ) -> None:
        self.sequence = sequence
        self.subject = subject
        self.tag = tag
        self.data = data
        self.metadata = metadata
        self.time = time
        self.delivery_count = delivery_count
        self._event: Event | None = None
        self._event_subject: EventSubject | None = None

    @property
    def event_subject(self) -> EventSubject:
        """Owner, domain and entity. Raises BadSubject."""
        if self._event_subject is None:
            self._event_subject = EventSubject.parse(self.subject)
        return self._event_subject

    @property
    def event(self) -> Event:
        """Raises UnknownType or Undecodable (tapewire.events)."""
        if self._event is None:
            self._event = CATALOGUE.decode(self.tag, self.data)
        return self._event

    def __repr__(self) -> str:
        return f"Recorded({self.sequence} {self.subject} {self.tag})"


class Page(msgspec.Struct, frozen=True):
    """Events in order, and how many further ones the log held when it answered."""

    events: list[RecordedEvent]
    remaining: int

    @property
    def has_more(self) -> bool:
        return self.remaining > 0


class Bounds(msgspec.Struct, frozen=True):
    """The extent of the log. `epoch` names this incarnation of it: letters and digits, a letter
    first; it changes when the log was made anew. `first` is the first sequence still there
    (``last + 1`` when there is none), `last` the last one given."""

    epoch: str
    first: int
    last: int


class Subscription(Protocol):
    async def close(self) -> None:
        """No call-back is made after this returns."""


class EventLog(Protocol):
    """The journal. All methods raise `Unavailable` when the server cannot be reached."""

    async def append(self, drafts: Sequence[EventDraft]) -> int:
        """Append all or nothing, in order and without a foreign event between; the sequence of
        the last one. Returning means stored.

        Raises:
            Conflict: a subject is not at its `expect`.
            AlreadyStored: an id is known from the last two minutes.
            OutcomeUnknown: no answer in time.
            Refused: never to be taken.
        """

    async def page(
        self,
        filter: str,  # noqa: A002 - the word of the field
        *,
        after: int,
        limit: int = PAGE_EVENTS,
        max_bytes: int = PAGE_BYTES,
    ) -> Page:
        """The first events after sequence `after` that `filter` takes. A trimmed log answers with
        what is left: compare `after` with `bounds().first`. A replica may lag: compare the end
        with `last`."""

    async def last_events(self, subjects: Sequence[str]) -> list[RecordedEvent]:
        """The last event of each of `subjects` (no filters, each once) that has any, in the order
        of the log. A replica may lag: what it does not know yet is not there."""

    async def last_sequence(self, filter: str) -> int:  # noqa: A002
        """The sequence of the last event that `filter` takes, 0 for none: from the leader, so
        everything acknowledged before the call is counted."""

    async def bounds(self) -> Bounds:
        """From the leader, as `last`."""

    async def last_sequence_before(self, moment: datetime) -> int:
        """The sequence of the last event stored before `moment` (UTC), as far as the log still
        reaches; ``bounds().first - 1`` when all it holds is later."""

    async def subscribe(
        self,
        filter: str,  # noqa: A002
        on_event: Callable[[RecordedEvent], None],
        on_gap: Callable[[str], None],
    ) -> Subscription:
        """Call `on_event` for events as they are stored, once the interest has reached the server
        (a later `last` proves it). At most once: `on_gap` says why some may be missing, and is
        called before any later event; a loss that nothing noticed is possible too."""

    async def subscribe_durable(
        self,
        name: str,
        filter: str,  # noqa: A002
        handler: Callable[[RecordedEvent], Awaitable[None]],
    ) -> Subscription:
        """Hand every event that `filter` takes, from the first one ever, to one of all the
        processes that react under `name`: at least once, again and later when the handler raises.
        """


class LatestValueStore(Protocol):
    """One value a key; the newest wins. Keys are dotted tokens below the store's own prefix."""

    async def put(self, key: str, data: bytes, *, ttl: int | None = None) -> None:
        """Store, acknowledged; forgotten after `ttl` whole seconds where the store allows that.

        Raises Unavailable or OutcomeUnknown."""

    async def put_unacknowledged(self, key: str, data: bytes) -> None:
        """Store without waiting: may be lost, which the next value mends."""

    async def get(self, key: str) -> bytes | None: ...

    async def pop(self, key: str) -> bytes | None:
        """The newest value of `key`, which is gone then: of any number that take it at once, from
        any process, one gets it and the others None.

        Raises Unavailable (nothing was taken) or OutcomeUnknown (it may be gone)."""

    async def get_all(self) -> dict[str, bytes]:
        """Every key's value, in pages."""

    async def subscribe(
        self, on_value: Callable[[str, bytes], None], on_gap: Callable[[str], None]
    ) -> Subscription:
        """Call `on_value` for values as they are stored; `on_gap` as `EventLog.live` has it."""


def new_id() -> str:
    """A fresh id for a command, an event or a correlation: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def derive_id(*parts: str) -> str:
    """Return an id derived from `parts`: 32 hexadecimal digits, equal for equal parts."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
