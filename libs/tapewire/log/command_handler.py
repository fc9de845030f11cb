"""The command handler: load an entity, decide, append, and repeat after a conflict.

A decider consists of pure functions; a command carries its time and its ids. A decider recognizes a
command that it has decided before, and the handler then returns the current entity. Any command may
therefore be repeated after any fault. Start at `CommandHandler.handle`.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from tapewire.events import Event
from tapewire.log.idempotency import IdempotencyKey, is_key_used
from tapewire.log.ids import event_id
from tapewire.log.ports import (
    AlreadyStored,
    Conflict,
    EventDraft,
    EventLog,
    EventMetadata,
    OutcomeUnknown,
    Unavailable,
)
from tapewire.log.rejection import CommandRejected
from tapewire.log.request_scope import check_deadline
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

    A cached state may be stale. Every append states the sequence that it was decided on, and a
    conflict reloads the entity; a rejection, or a command without effect, counts on the newest
    state only.
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
        key: IdempotencyKey | None = None,
    ) -> Versioned[S]:
        """Decide `command` on the entity and return the entity's state afterwards.

        Args:
            correlation: the correlation id of the new events.
            key: the idempotency key of the command. A command whose key was used for the same
                content is not decided again, whenever that was.
            is_new: assume that the entity has no events yet, which saves a read. A wrong assumption
                costs a conflict. A rejection counts only on the state as loaded from the log.

        Raises:
            CommandRejected: the command was decided against, or its key was used for another one.
            TooManyConflicts: other writers kept changing the entity.
            DeadlineExceeded: the deadline of the request has passed.
            Unavailable, AppendRejected: from the log.
        """
        current = await self._assumed_state(subject, is_new)
        for _ in range(MAX_DECIDE_ATTEMPTS):
            check_deadline()
            try:
                current, new_events = await self._decide(subject, current, command)
            except CommandRejected:
                if (executed := await self._load_if_executed(subject, key)) is not None:
                    return executed
                raise
            if not new_events:
                executed = await self._load_if_executed(subject, key) if key else current
                if executed is not None:
                    return executed
            drafts = _make_drafts(
                subject, new_events, current.sequence, command.id, correlation, traceparent, key
            )
            try:
                last = await self._log.append(drafts)
            except (Conflict, AlreadyStored, OutcomeUnknown):
                current = await self.load_latest(subject)
                if (executed := await self._load_if_executed(subject, key)) is not None:
                    return executed
            else:
                return self._advance(subject, current, new_events, last - len(drafts) + 1)
        raise TooManyConflicts(
            f"{subject} changed {MAX_DECIDE_ATTEMPTS} times under command {command.id}"
        )

    async def _decide(
        self, subject: EventSubject, current: Versioned[S], command: C
    ) -> tuple[Versioned[S], Sequence[NewEvent]]:
        """The events of `command`, and the state that they were decided on: `current`, or the
        newest one if `command` changes nothing of `current`, which may be older, or was erased.
        Raises CommandRejected if the newest one says so."""
        with contextlib.suppress(CommandRejected):
            new_events = self._decider.decide(current.state, command)
            if new_events or await self._log.last_sequence(str(subject)) == current.sequence:
                return current, new_events
        newest = await self.load_latest(subject)
        return newest, self._decider.decide(newest.state, command)

    async def _assumed_state(self, subject: EventSubject, is_new: bool) -> Versioned[S]:
        """The state to decide on first, which may be stale."""
        cached = self._cache.get(str(subject))
        if cached is not None:
            return cached
        return Versioned(self._decider.initial_state, 0) if is_new else await self.load(subject)

    async def _load_if_executed(
        self, subject: EventSubject, key: IdempotencyKey | None
    ) -> Versioned[S] | None:
        """The entity, if the command of `key` was carried out. Raises CommandRejected if another
        command was."""
        if key is None or not await is_key_used(self._log, key):
            return None
        return await self.load_latest(subject)

    def _advance(
        self,
        subject: EventSubject,
        versioned: Versioned[S],
        new_events: Sequence[NewEvent],
        first: int,
    ) -> Versioned[S]:
        """The entity after `new_events`, which were stored from sequence `first` on."""
        state, sequence = versioned.state, versioned.sequence
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
    subject: EventSubject,
    new_events: Sequence[NewEvent],
    sequence: int,
    command_id: str,
    correlation: str,
    traceparent: str | None,
    key: IdempotencyKey | None,
) -> list[EventDraft]:
    """The drafts of the events that were decided on the entity at `subject`, and that of `key`."""
    drafts = [
        EventDraft(
            subject=new_event.subject,
            event=new_event.event,
            metadata=EventMetadata(
                id=event_id(command_id, subject, sequence, number),
                correlation=correlation,
                causation=command_id,
                traceparent=traceparent,
            ),
            expected_sequence=sequence if number == 0 else None,
        )
        for number, new_event in enumerate(new_events)
    ]
    return drafts if key is None else [*drafts, key.draft(correlation, traceparent)]
