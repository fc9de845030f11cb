"""The one loop that writes: load, decide, append, and again on conflict.

Deciders are three pure functions; time and ids arrive inside the command. A command that was
already decided is answered as it was before (`answer`), so commands may be retried by anyone,
after any fault.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from tapewire.events import Event
from tapewire.log.ports import (
    AlreadyStored,
    Conflict,
    EventDraft,
    EventLog,
    EventMetadata,
    OutcomeUnknown,
    Unavailable,
)
from tapewire.log.subjects import EventSubject

MAX_DECIDE_ATTEMPTS = 8
"""Times a command is decided before its conflicts are given up."""
MAX_LOAD_ATTEMPTS = 5
"""Times an entity is read before a replica that lags is given up."""
INITIAL_LAG_WAIT_SECONDS = 0.02
"""What a replica is given to catch up before the second read; twice as long before each later."""
MAX_CACHED_ENTITIES = 4096
"""Entities whose state a process remembers between commands."""


class Command(Protocol):
    """What a decider decides on."""

    @property
    def id(self) -> str: ...


class CommandRejected(Exception):
    """A decision against a command. `code` is a word for programs, `path` the field at fault."""

    def __init__(self, code: str, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = path


S = TypeVar("S")
C = TypeVar("C", bound=Command)


class NewEvent(msgspec.Struct, frozen=True):
    """One decided event and the entity it belongs to."""

    subject: EventSubject
    event: Event


class Decider(msgspec.Struct, Generic[S, C], frozen=True):
    """`decide` returns what happens (the first on the entity itself), or [] when this command was
    decided before or changes nothing; it raises Refusal. `evolve` folds one event of the entity.
    """

    initial_state: S
    decide: Callable[[S, C], Sequence[NewEvent]]
    evolve: Callable[[S, Event], S]


class TooManyConflicts(Exception):
    """The entity kept changing under the command. Nothing was stored; try again."""


class Versioned(msgspec.Struct, Generic[S], frozen=True):
    """An entity's state and the sequence of its last event (0: none)."""

    state: S
    sequence: int


class CommandHandler(Generic[S, C]):
    """Entities of one kind behind one decider, with a bounded memory of their states.

    The memory is only a guess at the truth: an append states the sequence that it was decided on,
    and a conflict drops the guess.
    """

    def __init__(self, log: EventLog, decider: Decider[S, C]) -> None:
        self._log = log
        self._decider = decider
        self._cache: OrderedDict[str, Versioned[S]] = OrderedDict()

    async def load(self, subject: EventSubject) -> Versioned[S]:
        """Fold the entity from the log."""
        state, sequence, more = self._decider.initial_state, 0, True
        while more:
            page = await self._log.page(str(subject), after=sequence)
            for recorded in page.events:
                state = self._decider.evolve(state, recorded.event)
                sequence = recorded.sequence
            more = page.has_more
        known = Versioned(state, sequence)
        self._cache_state(str(subject), known)
        return known

    async def load_latest(self, subject: EventSubject) -> Versioned[S]:
        """Fold the entity with everything acknowledged before the call. Raises Unavailable."""
        wanted = await self._log.last_sequence(str(subject))
        for attempt in range(MAX_LOAD_ATTEMPTS):
            known = await self.load(subject)
            if known.sequence >= wanted:
                return known
            await asyncio.sleep(INITIAL_LAG_WAIT_SECONDS * 2**attempt)
        raise Unavailable(f"{subject} should reach {wanted}, a replica ends at {known.sequence}")

    async def handle(
        self,
        subject: EventSubject,
        command: C,
        *,
        correlation: str,
        traceparent: str | None = None,
        is_new: bool = False,
    ) -> Versioned[S]:
        """Decide `command` on the entity and return its state afterwards.

        `new` guesses that the entity does not exist yet, which saves a read. An append notices when
        a guess was wrong; a refusal appends nothing, and so counts only on the fresh entity.

        Raises:
            Refusal: decided against.
            Overloaded: conflicts to the end.
            Unavailable, Refused: from the log.
        """
        known = self._cache.get(str(subject))
        if known is None:
            known = (
                Versioned(self._decider.initial_state, 0) if is_new else await self.load(subject)
            )
        fresh = False
        for _ in range(MAX_DECIDE_ATTEMPTS):
            try:
                happenings = self._decider.decide(known.state, command)
            except CommandRejected:
                if fresh:
                    raise
                known, fresh = await self.load_latest(subject), True
                continue
            if not happenings:
                return known
            drafts = _make_drafts(happenings, known.sequence, command.id, correlation, traceparent)
            try:
                last = await self._log.append(drafts)
            except (Conflict, AlreadyStored, OutcomeUnknown):
                known, fresh = await self.load_latest(subject), True
            else:
                return self._advance(subject, known, happenings, last)
        raise TooManyConflicts(
            f"{subject} changed {MAX_DECIDE_ATTEMPTS} times under command {command.id}"
        )

    def _advance(
        self,
        subject: EventSubject,
        versioned: Versioned[S],
        new_events: Sequence[NewEvent],
        last_sequence: int,
    ) -> Versioned[S]:
        state, sequence = versioned.state, versioned.sequence
        first = last_sequence - len(new_events) + 1
        for offset, happening in enumerate(new_events):
            if happening.subject == subject:
                state = self._decider.evolve(state, happening.event)
                sequence = first + offset
        advanced = Versioned(state, sequence)
        self._cache_state(str(subject), advanced)
        return advanced

    def _cache_state(self, key: str, versioned: Versioned[S]) -> None:
        self._cache[key] = versioned
        self._cache.move_to_end(key)
        if len(self._cache) > MAX_CACHED_ENTITIES:
            self._cache.popitem(last=False)


def _make_drafts(
    new_events: Sequence[NewEvent],
    sequence: int,
    command_id: str,
    correlation: str,
    traceparent: str | None,
) -> list[EventDraft]:
    """Event ids follow from the command and the place it was decided at: a retry of the same
    decision is the same event, a new decision after a conflict is another."""
    return [
        EventDraft(
            subject=happening.subject,
            event=happening.event,
            metadata=EventMetadata(
                id=f"{command_id}.{sequence}.{number}",
                correlation=correlation,
                causation=command_id,
                traceparent=traceparent,
            ),
            expected_sequence=sequence if number == 0 else None,
        )
        for number, happening in enumerate(new_events)
    ]
