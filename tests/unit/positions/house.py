"""The whole service in one process on the log in memory, and processes that die.

A `Process` is what `services.positions.__main__` wires, without NATS: it can be killed at any
moment, and another one started beside or after it. `Trader` appends trades as the orders service
does; `fold` is what the positions must come to.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from services.positions.domain import POSITIONS, Key, State, Traded, taking
from services.positions.service import PositionsService
from services.positions.taking import run_positions
from services.positions.valuing import Valuer
from tapewire.events import (
    CODEC,
    Position,
    PositionEvent,
    PositionValued,
    Side,
    TradeExecuted,
)
from tapewire.log import AlreadyStored, Draft, Meta, Recorded, Subject, Unavailable, Uncertain
from tapewire.log.market import Market
from tapewire.log.memory import Faults, MemoryLog, MemoryServer, MemoryValues
from tapewire.log.projector import Projector
from tapewire.runtime import Context
from tapewire.views import PositionsView
from tests.unit.positions.spec import START, quote, trade

T = TypeVar("T")
CONTEXT = Context(correlation="c", command_id="q", traceparent=None)


def clock() -> datetime:
    return START + timedelta(seconds=asyncio.get_running_loop().time())


class Process:
    """One process of the service. It holds the lease when it is started with `leads`."""

    def __init__(self, server: MemoryServer, faults: Faults | None = None) -> None:
        self.log = MemoryLog(server, faults)
        self.views = MemoryValues(server, faults, stream="VIEWS", prefix="view")
        self.prices = MemoryValues(server, faults)
        self.valuations = MemoryValues(server, faults, prefix="mk")
        self.chance = random.Random(faults.seed if faults is not None else 0)
        self.market = Market(self.prices, self.chance)
        self.valuer = Valuer(self.valuations, self.market, clock, self.chance)
        self.projector = Projector(self.log, self.views, PositionsView)
        self.service = PositionsService(self.log, self.views, self.market)
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, *, leads: bool = True, projector: bool = False) -> "Process":
        await patiently(self.market.start)
        self.tasks = [asyncio.create_task(self.market.follow())]
        if projector:
            await self.log.react(self.projector.reaction, "ev.*.positions.>", self.projector.note)
            self.tasks.append(asyncio.create_task(self.projector.run()))
        if leads:
            work = run_positions(self.log, self.views, self.valuer, self.chance)
            self.tasks.append(asyncio.create_task(work))
        return self

    async def kill(self) -> None:
        """The process is gone, whatever it was at."""
        for connection in (self.log, self.views, self.prices, self.valuations):
            connection.kill()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks = []

    def check(self) -> None:
        """Raise what a task died of."""
        for task in self.tasks:
            if task.done():
                task.result()


class Trader:
    """Appends trades, each once, whatever the log does meanwhile."""

    def __init__(self, server: MemoryServer, seed: int = 0) -> None:
        self._log = MemoryLog(server)
        self._chance = random.Random(seed)
        self._number = 0

    async def trade(
        self,
        side: Side,
        qty: str,
        price: str,
        fee: str = "0",
        *,
        user: str = "alice",
        symbol: str = "IBM",
    ) -> None:
        self._number += 1
        made = trade(side, qty, price, fee, symbol=symbol, number=self._number)
        await self.append(user, made, f"trade-{self._number}")

    async def append(self, user: str, made: TradeExecuted, id_: str) -> None:
        draft = Draft(
            subject=Subject(user, "trades", made.order_id),
            event=made,
            meta=Meta(id=id_, correlation=f"of-{id_}", traceparent=f"00-{id_}"),
        )
        with contextlib.suppress(AlreadyStored):  # by a try whose answer was lost
            await patiently(lambda: self._log.append([draft]))

    async def any(self, users: int = 3, symbols: int = 3) -> None:
        """A trade of somebody in something, often through zero."""
        chance = self._chance
        await self.trade(
            chance.choice([Side.BUY, Side.SELL]),
            chance.choice(["1", "2", "3", "0.7", "15"]),
            f"{chance.randrange(9000, 11000) / 100:.2f}",
            chance.choice(["0", "0.35", "-0.1"]),
            user=f"u{chance.randrange(users)}",
            symbol=f"S.{chance.randrange(symbols)}",
        )


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """What `ask` answers, asked until the log is there."""
    while True:
        with contextlib.suppress(Unavailable, Uncertain):
            return await ask()
        await asyncio.sleep(0.2)


async def show(server: MemoryServer, price: str, symbol: str = "IBM") -> None:
    """The market quotes `symbol`."""
    with contextlib.suppress(Unavailable):
        now = asyncio.get_running_loop().time()
        data = CODEC.encode(quote(price, symbol=symbol, second=now))
        await MemoryValues(server).post(symbol.replace(".", "%2E"), data)


async def stored(server: MemoryServer, filter_: str = "ev.>") -> list[Recorded]:
    """Everything in the log, past every fault."""
    log, events, more = MemoryLog(server), list[Recorded](), True
    while more:
        after = events[-1].sequence if events else 0
        page = await patiently(lambda after=after: log.page(filter_, after=after))  # type: ignore[misc]
        events += page.events
        more = page.more
    return events


def fold(events: Sequence[Recorded]) -> dict[Key, Position]:
    """What the trades among `events` come to, without any service."""
    states: dict[Key, State] = {}
    for recorded in events:
        event = recorded.event
        if isinstance(event, TradeExecuted):
            key = Key(recorded.place.owner, event.symbol)
            state = states.get(key, POSITIONS.initial)
            command = taking("", key.user, recorded.sequence, event)
            for happening in POSITIONS.decide(state, command):
                state = POSITIONS.evolve(state, happening.event)
            states[key] = state
    return {key: one.position for key, one in states.items() if isinstance(one, Traded)}


def told(events: Sequence[Recorded]) -> dict[Key, Position]:
    """What the last event of each position says."""
    return {
        Key(recorded.place.owner, recorded.place.entity): recorded.event.position
        for recorded in events
        if isinstance(recorded.event, PositionEvent)
    }


async def settled(server: MemoryServer, seconds: float = 600) -> list[Recorded]:
    """Wait until the positions are the fold of all trades; the whole log."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        events = await stored(server)
        if told(events) == fold(events):
            return events
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"never: positions {told(events)} are {fold(events)}")
        await asyncio.sleep(0.05)


async def valuations(server: MemoryServer) -> dict[str, PositionValued]:
    """What MARKET says that positions are worth."""
    found = await patiently(MemoryValues(server, prefix="mk").all)
    return {name: CODEC.decode(data, PositionValued) for name, data in found.items()}


async def valued(
    server: MemoryServer, what: str, holds: Callable[[dict[str, PositionValued]], object]
) -> dict[str, PositionValued]:
    """Wait until the values are what is waited for."""
    for _ in range(6000):
        seen = await valuations(server)
        if holds(seen):
            return seen
        await asyncio.sleep(0.01)
    raise AssertionError(f"never: {what}; last seen: {seen}")
