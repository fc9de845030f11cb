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
from tapewire.log.port import (
    AlreadyStored,
    Conflict,
    Draft,
    EventLog,
    Meta,
    Unavailable,
    Uncertain,
)
from tapewire.log.subjects import Subject

ATTEMPTS = 8
"""Times a command is decided before its conflicts are given up."""
READS = 5
"""Times an entity is read before a replica that lags is given up."""
LAG_SECONDS = 0.02
"""What a replica is given to catch up before the second read; twice as long before each later."""
CACHED_ENTITIES = 4096
"""Entities whose state a process remembers between commands."""


class Command(Protocol):
    """What a decider decides on."""

    @property
    def id(self) -> str: ...


class Refusal(Exception):
    """A decision against a command. `code` is a word for programs, `path` the field at fault."""

    def __init__(self, code: str, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = path


S = TypeVar("S")
C = TypeVar("C", bound=Command)


class Happening(msgspec.Struct, frozen=True):
    """One decided event and the entity it belongs to."""

    subject: Subject
    event: Event


class Decider(msgspec.Struct, Generic[S, C], frozen=True):
    """`decide` returns what happens (the first on the entity itself), or [] when this command was
    decided before or changes nothing; it raises Refusal. `evolve` folds one event of the entity.
    """

    initial: S
    decide: Callable[[S, C], Sequence[Happening]]
    evolve: Callable[[S, Event], S]


class Overloaded(Exception):
    """The entity kept changing under the command. Nothing was stored; try again."""


class Known(msgspec.Struct, Generic[S], frozen=True):
    """An entity's state and the sequence of its last event (0: none)."""

    state: S
    sequence: int


class Entities(Generic[S, C]):
    """Entities of one kind behind one decider, with a bounded memory of their states.

    The memory is only a guess at the truth: an append states the sequence that it was decided on,
    and a conflict drops the guess.
    """

    def __init__(self, log: EventLog, decider: Decider[S, C]) -> None:
        self._log = log
        self._decider = decider
        self._known: OrderedDict[str, Known[S]] = OrderedDict()

    async def load(self, subject: Subject) -> Known[S]:
        """Fold the entity from the log."""
        state, sequence, more = self._decider.initial, 0, True
        while more:
            page = await self._log.page(str(subject), after=sequence)
            for recorded in page.events:
                state = self._decider.evolve(state, recorded.event)
                sequence = recorded.sequence
            more = page.more
        known = Known(state, sequence)
        self._remember(str(subject), known)
        return known

    async def fresh(self, subject: Subject) -> Known[S]:
        """Fold the entity with everything acknowledged before the call. Raises Unavailable."""
        wanted = await self._log.last(str(subject))
        for attempt in range(READS):
            known = await self.load(subject)
            if known.sequence >= wanted:
                return known
            await asyncio.sleep(LAG_SECONDS * 2**attempt)
        raise Unavailable(f"{subject} should reach {wanted}, a replica ends at {known.sequence}")

    async def handle(
        self,
        subject: Subject,
        command: C,
        *,
        correlation: str,
        traceparent: str | None = None,
        new: bool = False,
    ) -> Known[S]:
        """Decide `command` on the entity and return its state afterwards.

        `new` guesses that the entity does not exist yet, which saves a read. An append notices when
        a guess was wrong; a refusal appends nothing, and so counts only on the fresh entity.

        Raises:
            Refusal: decided against.
            Overloaded: conflicts to the end.
            Unavailable, Refused: from the log.
        """
        known = self._known.get(str(subject))
        if known is None:
            known = Known(self._decider.initial, 0) if new else await self.load(subject)
        fresh = False
        for _ in range(ATTEMPTS):
            try:
                happenings = self._decider.decide(known.state, command)
            except Refusal:
                if fresh:
                    raise
                known, fresh = await self.fresh(subject), True
                continue
            if not happenings:
                return known
            drafts = _drafts(happenings, known.sequence, command.id, correlation, traceparent)
            try:
                last = await self._log.append(drafts)
            except (Conflict, AlreadyStored, Uncertain):
                known, fresh = await self.fresh(subject), True
            else:
                return self._advance(subject, known, happenings, last)
        raise Overloaded(f"{subject} changed {ATTEMPTS} times under command {command.id}")

    def _advance(
        self, subject: Subject, known: Known[S], happenings: Sequence[Happening], last: int
    ) -> Known[S]:
        state, sequence = known.state, known.sequence
        first = last - len(happenings) + 1
        for offset, happening in enumerate(happenings):
            if happening.subject == subject:
                state = self._decider.evolve(state, happening.event)
                sequence = first + offset
        advanced = Known(state, sequence)
        self._remember(str(subject), advanced)
        return advanced

    def _remember(self, key: str, known: Known[S]) -> None:
        self._known[key] = known
        self._known.move_to_end(key)
        if len(self._known) > CACHED_ENTITIES:
            self._known.popitem(last=False)


def _drafts(
    happenings: Sequence[Happening],
    sequence: int,
    command_id: str,
    correlation: str,
    traceparent: str | None,
) -> list[Draft]:
    """Event ids follow from the command and the place it was decided at: a retry of the same
    decision is the same event, a new decision after a conflict is another."""
    return [
        Draft(
            subject=happening.subject,
            event=happening.event,
            meta=Meta(
                id=f"{command_id}.{sequence}.{number}",
                correlation=correlation,
                causation=command_id,
                traceparent=traceparent,
            ),
            expect=sequence if number == 0 else None,
        )
        for number, happening in enumerate(happenings)
    ]
