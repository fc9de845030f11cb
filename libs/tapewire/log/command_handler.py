"""The command handler: load an entity, decide, append, and repeat after a conflict.

A decider consists of pure functions; a command carries its time and its ids. A decider recognizes a
command that it has decided before, and the handler then returns the current entity. Any command may
therefore be repeated after any fault. Start at `CommandHandler.handle`.
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
"""Decisions on one command before the handler gives up on conflicts."""
MAX_LOAD_ATTEMPTS = 5
"""Reads of one entity before the handler gives up on a lagging replica."""
INITIAL_LAG_WAIT_SECONDS = 0.02
"""The wait for a lagging replica before the second read; it doubles before each further read."""
MAX_CACHED_ENTITIES = 4096
"""Entities whose state one handler caches between commands."""


class Command(Protocol):
    """What a decider decides on."""

    @property
    def id(self) -> str: ...


class CommandRejected(Exception):
    """The command was decided against. `code` is for programs; `path` names the field at fault."""

    def __init__(self, code: str, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = path


S = TypeVar("S")
C = TypeVar("C", bound=Command)


class NewEvent(msgspec.Struct, frozen=True):
    """A decided event, and the subject of its entity."""

    subject: EventSubject
    event: Event


class Decider(msgspec.Struct, Generic[S, C], frozen=True):
    """Decides commands and folds events of one kind of entity, such as an order.

    `decide` returns the new events, those of the entity itself first. It returns an empty sequence
    if the command changes nothing or was decided before, and raises CommandRejected. `evolve`
    applies one event to the entity's state.
    """

    initial_state: S
    decide: Callable[[S, C], Sequence[NewEvent]]
    evolve: Callable[[S, Event], S]


class TooManyConflicts(Exception):
    """Other writers kept changing the entity. Nothing was stored; the command may be repeated."""


class Versioned(msgspec.Struct, Generic[S], frozen=True):
    """An entity's state and the sequence of its last event; 0 if it has none."""

    state: S
    sequence: int


class CommandHandler(Generic[S, C]):
    """Handles commands on all entities of one kind, with a bounded cache of their states.

    A cached state may be stale: every append states the sequence that it was decided on, and a
    conflict reloads the entity.
    """

    def __init__(self, log: EventLog, decider: Decider[S, C]) -> None:
        self._log = log
        self._decider = decider
        self._cache: OrderedDict[str, Versioned[S]] = OrderedDict()

    async def load(self, subject: EventSubject) -> Versioned[S]:
        """Load the entity by folding its events."""
        state, sequence, more = self._decider.initial_state, 0, True
        while more:
            page = await self._log.page(str(subject), after=sequence)
            for recorded in page.events:
                state = self._decider.evolve(state, recorded.event)
                sequence = recorded.sequence
            more = page.has_more
        current = Versioned(state, sequence)
        self._cache_state(str(subject), current)
        return current

    async def load_latest(self, subject: EventSubject) -> Versioned[S]:
        """Load the entity with every event acknowledged before the call. Raises Unavailable if the
        replicas lag for too long."""
        wanted = await self._log.last_sequence(str(subject))
        for attempt in range(MAX_LOAD_ATTEMPTS):
            current = await self.load(subject)
            if current.sequence >= wanted:
                return current
            await asyncio.sleep(INITIAL_LAG_WAIT_SECONDS * 2**attempt)
        raise Unavailable(f"{subject} should reach {wanted}, a replica ends at {current.sequence}")

    async def handle(
        self,
        subject: EventSubject,
        command: C,
        *,
        correlation: str,
        traceparent: str | None = None,
        is_new: bool = False,
    ) -> Versioned[S]:
        """Decide `command` on the entity and return the entity's state afterwards.

        Args:
            correlation: the correlation id of the new events.
            is_new: assume that the entity has no events yet, which saves a read. A wrong assumption
                costs a conflict. A rejection counts only on the state as loaded from the log.

        Raises:
            CommandRejected: the command was decided against.
            TooManyConflicts: other writers kept changing the entity.
            Unavailable, AppendRejected: from the log.
        """
        current = self._cache.get(str(subject))
        if current is None:
            current = (
                Versioned(self._decider.initial_state, 0) if is_new else await self.load(subject)
            )
        fresh = False
        for _ in range(MAX_DECIDE_ATTEMPTS):
            try:
                new_events = self._decider.decide(current.state, command)
            except CommandRejected:
                if fresh:
                    raise
                current, fresh = await self.load_latest(subject), True
                continue
            if not new_events:
                return current
            drafts = _make_drafts(
                new_events, current.sequence, command.id, correlation, traceparent
            )
            try:
                last = await self._log.append(drafts)
            except (Conflict, AlreadyStored, OutcomeUnknown):
                current, fresh = await self.load_latest(subject), True
            else:
                return self._advance(subject, current, new_events, last)
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
        for offset, new_event in enumerate(new_events):
            if new_event.subject == subject:
                state = self._decider.evolve(state, new_event.event)
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
    """The drafts of the decided events.

    An event's id consists of the command's id and the sequence that the command was decided on: a
    retry of the same decision has the same ids, a new decision after a conflict has others.
    """
    return [
        EventDraft(
            subject=new_event.subject,
            event=new_event.event,
            metadata=EventMetadata(
                id=f"{command_id}.{sequence}.{number}",
                correlation=correlation,
                causation=command_id,
                traceparent=traceparent,
            ),
            expected_sequence=sequence if number == 0 else None,
        )
        for number, new_event in enumerate(new_events)
    ]
