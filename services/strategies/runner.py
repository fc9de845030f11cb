"""The runner, in one process of all: has every strategy that is at work worked.

It follows the strategies' events, which say who is at work, and all orders' events, from which
`Fills` tells strategies what became of theirs; each from a checkpoint in VIEWS. The next holder of
the lease rebuilds all that: what was begun is finished under the same names, so nothing is done
twice; stop-losses go on from their marks, and so do decision-makers where no price was missed.
Start at `run_strategies`, the work of the lease.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from services.strategies.fills import Fills
from services.strategies.floor import Floor
from services.strategies.hand import Desk
from services.strategies.marks import Mark, Marks
from services.strategies.progress import Working
from services.strategies.roster import Roster
from tapewire.events import Undecodable, UnknownType
from tapewire.log import BadSubject, LogError, Recorded, Unavailable, Values, pattern
from tapewire.log.follower import follow
from tapewire.log.market import Market
from tapewire.log.patience import Patience
from tapewire.runtime.contracts.progress import Progress

LEASE = "strategies-runner"
FILLS = "strategies-fills"
PAUSE_PER_SECOND = 20.0
"""Seconds without a look at the marks for each that a look takes: wide windows are long to copy."""

logger = structlog.get_logger("strategies.runner")


STRATEGIES, ORDERS = pattern(domain="strategies"), pattern(domain="orders")


async def run_strategies(
    desk: Desk,
    values: Values,
    market: Market,
    begins: Callable[[Working], None] = lambda _runner: None,
) -> None:
    """Work all strategies until canceled. `begins` hears of the runner."""
    log, chance = desk.log, desk.chance
    floor = Floor(desk, market)
    runner = _Runner(desk, values, floor)
    begins(runner)
    places, make_fills = runner.places, lambda: Fills(desk.entities)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(follow(log, values, STRATEGIES, LEASE, runner.begin, chance, places))
            group.create_task(follow(log, values, ORDERS, FILLS, make_fills, chance, places))
            group.create_task(runner.keep_marks())
    finally:
        await floor.close()


class _Runner:
    """Gives the follower a crew, a new one whenever the log was made anew."""

    def __init__(self, desk: Desk, values: Values, floor: Floor) -> None:
        self._desk = desk
        self._values = values
        self._floor = floor
        self._crew: _Crew | None = None
        self.places: dict[str, int] = {}

    def begin(self) -> "_Crew":
        """Everything from the start: nobody is at work until the log says so."""
        self._floor.clear()
        self._crew = _Crew(self._desk, self._values, self._floor)
        return self._crew

    async def progress(self) -> Progress:
        """How far it is; what that says is dealt with is kept before it is said."""
        marks = None if self._crew is None else self._crew.marks
        if marks is None or not {STRATEGIES, ORDERS} <= self.places.keys():
            raise Unavailable("the runner is still reading what there is to work")
        await marks.save(self._floor.marks())
        unkept = not marks.keeps(self._floor.marks())
        return Progress(
            busy=self._floor.busy + unkept,
            taken=dict(self.places),
            quotes=self._floor.dealt_with(),
        )

    async def keep_marks(self) -> None:
        """Save what is known beyond the log, until canceled."""
        marks, clock, took = Marks(self._values, ""), asyncio.get_running_loop().time, 0.0
        while True:
            await asyncio.sleep(max(marks.pause(), took * PAUSE_PER_SECOND))
            if self._crew is None or self._crew.marks is None:
                continue
            marks, began = self._crew.marks, clock()
            known, took = self._floor.marks(), clock() - began
            try:
                await marks.save(known)
            except LogError as error:
                logger.warning("cannot keep the marks", error=str(error))


class _Crew:
    """The consumer of the strategies' events: has worked who is at work, once all is known."""

    def __init__(self, desk: Desk, values: Values, floor: Floor) -> None:
        self._desk = desk
        self._values = values
        self._floor = floor
        self._roster = Roster()
        self.marks: Marks | None = None

    def restore(self, state: bytes) -> None:
        self._roster = Roster.decode(state)

    def save(self) -> bytes:
        return self._roster.encode()

    async def take(self, events: Sequence[Recorded]) -> None:
        for recorded in events:
            try:
                member = self._roster.apply(recorded)
            except (UnknownType, Undecodable, BadSubject) as error:
                logger.error("passes over an event", sequence=recorded.sequence, error=str(error))
                continue
            if member is not None and self.marks is not None:
                self._floor.take(member)

    async def caught_up(self) -> None:
        """Everybody to work, with what was known beyond the log."""
        patience = Patience(self._desk.chance)
        symbols = {member.strategy.symbol for member in self._roster.members()}
        while True:
            try:
                marks = Marks(self._values, (await self._desk.log.bounds()).epoch)
                found: Mapping[str, Mark] = await marks.load(symbols)
            except LogError as error:
                logger.warning("cannot read the marks", error=str(error))
                await patience.wait()
            else:
                break
        self.marks = marks
        for member in self._roster.members():
            self._floor.take(member, found.get(str(member.subject)))
        logger.info("works", strategies=len(self._roster.members()))
