"""The whole service in one process on the log in memory: `House`, and processes that die.

A `Process` is what `services.orders.__main__` wires, without NATS: it can be killed at any moment,
as by a signal, and another one started beside or after it.
"""

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from services.orders.broker import PaperBroker
from services.orders.deciding import Orders
from services.orders.desk import run_broker
from services.orders.service import OrdersService
from tapewire.events import CODEC, Order, OrderEvent, OrderFilled, OrderType, Side, TradeExecuted
from tapewire.log import EventLog, LogError, Overloaded, Recorded, Unavailable, new_id
from tapewire.log.grouping import GroupedLog
from tapewire.log.market import Market
from tapewire.log.memory import Faults, MemoryLog, MemoryServer, MemoryValues
from tapewire.log.projector import Projector
from tapewire.runtime import Context
from tapewire.runtime.contracts.orders import (
    CancelOrder,
    OrderReply,
    PlaceOrder,
)
from tapewire.views import OrdersView
from tests.unit.orders.spec import START, USER, quote


def clock() -> datetime:
    return START + timedelta(seconds=asyncio.get_running_loop().time())


def context(command_id: str | None = None) -> Context:
    return Context(correlation="c", command_id=command_id or new_id(), traceparent=None)


class Process:
    """One process of the service. It holds the broker's lease when `House` says so."""

    def __init__(self, server: MemoryServer, faults: Faults | None = None) -> None:
        self.log = MemoryLog(server, faults)
        self.views = MemoryValues(server, faults, stream="VIEWS", prefix="view")
        self.market = MemoryValues(server, faults)
        self.chance = random.Random(faults.seed if faults is not None else 0)
        self.board = Market(self.market, self.chance)
        self.orders = Orders(GroupedLog(self.log))
        self.projector = Projector(self.log, self.views, OrdersView)
        self.service = OrdersService(self.log, self.views, self.orders, self.board, clock)
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, *, broker: bool = True, projector: bool = False) -> "Process":
        while True:
            with contextlib.suppress(LogError):
                await self.board.start()
                break
            await asyncio.sleep(0.1)
        self.tasks = [asyncio.create_task(self.board.follow())]
        if projector:
            await self.log.react(self.projector.reaction, "ev.*.orders.>", self.projector.note)
            self.tasks.append(asyncio.create_task(self.projector.run()))
        if broker:
            self.tasks.append(asyncio.create_task(self.run_broker()))
        return self

    async def run_broker(self) -> None:
        make = lambda: PaperBroker(self.board, clock)  # noqa: E731
        await run_broker(self.log, self.views, self.orders, make, self.chance)

    async def kill(self) -> None:
        """The process is gone, whatever it was at."""
        for connection in (self.log, self.views, self.market):
            connection.kill()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise what a task died of."""
        for task in self.tasks:
            if task.done():
                task.result()

    async def place(self, request: PlaceOrder) -> OrderReply:
        """Place until it is answered, under one command id, as a gateway does."""
        command_id = new_id()
        while True:
            with contextlib.suppress(LogError, Overloaded):
                return await self.service.place(request, context(command_id))
            await asyncio.sleep(0.2)

    async def cancel(self, order_id: str, user: str = USER) -> Order:
        request = CancelOrder(user_id=user, order_id=order_id)
        command_id = new_id()
        while True:
            with contextlib.suppress(LogError, Overloaded):
                return (await self.service.cancel(request, context(command_id))).order
            await asyncio.sleep(0.2)


def ask(
    qty: str = "10",
    *,
    limit: str | None = None,
    side: Side = Side.BUY,
    client: str | None = None,
    symbol: str = "IBM",
    user: str = USER,
) -> PlaceOrder:
    return PlaceOrder(
        user_id=user,
        symbol=symbol,
        side=side,
        type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        qty=Decimal(qty),
        limit_price=None if limit is None else Decimal(limit),
        client_order_id=client,
    )


class Feed:
    """Quotes that move up and down, with sizes that fill orders in parts."""

    def __init__(self, server: MemoryServer, seed: int = 1) -> None:
        self._values = MemoryValues(server)
        self._chance = random.Random(seed)
        self._number = 0

    async def show(
        self, bid: str = "99", ask: str = "100", size: str = "1000", *, lose: int = 0
    ) -> None:
        """A quote; `lose` that many before it, which nobody sees."""
        self._number += 1 + lose
        shown = quote(bid, ask, sizes=(size, size), second=self._number)
        before = quote(second=self._number - 1).timestamp
        shown = msgspec.structs.replace(shown, follows=before)
        with contextlib.suppress(Unavailable):
            await self._values.post("IBM", CODEC.encode(shown))

    async def run(self) -> None:
        while True:
            bid = self._chance.randrange(95, 105)
            await self.show(str(bid), str(bid + 1), str(self._chance.randrange(0, 30)))
            await asyncio.sleep(0.1)


class Tally:
    """What the log says in the end, by order."""

    def __init__(self, stored: list[Recorded]) -> None:
        self.orders: dict[str, Order] = {}
        self.filled: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.traded: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.stored = stored
        for recorded in stored:
            self._take(recorded)

    def _take(self, recorded: Recorded) -> None:
        event = recorded.event
        if isinstance(event, OrderEvent):
            self.orders[event.order.order_id] = event.order
        if isinstance(event, OrderFilled):
            self.filled[event.order.order_id] += event.qty
        if isinstance(event, TradeExecuted):
            self.traded[event.order_id] += event.qty

    def open(self) -> list[Order]:
        return [order for order in self.orders.values() if order.status.open]

    def check(self) -> None:
        """Fills, trades and orders agree, and nothing was overfilled."""
        for id_, order in self.orders.items():
            assert self.filled[id_] == self.traded[id_] == order.filled_qty <= order.qty, order


async def tally(server: MemoryServer) -> Tally:
    """Read all, past every fault."""
    log: EventLog = MemoryLog(server)
    stored: list[Recorded] = []
    more = True
    while more:
        page = await log.page("ev.>", after=stored[-1].sequence if stored else 0)
        stored += page.events
        more = page.more
    return Tally(stored)


async def in_log(server: MemoryServer, what: str, holds: Callable[[Tally], object]) -> Tally:
    """Wait until the log holds what is waited for."""
    for _ in range(10_000):
        with contextlib.suppress(Unavailable):
            seen = await tally(server)
            if holds(seen):
                return seen
        await asyncio.sleep(0.01)
    raise AssertionError(f"never: {what}; last seen: {statuses(seen)}")


def statuses(seen: Tally) -> list[str]:
    return [f"{order.status.value} {order.filled_qty}" for order in seen.orders.values()]
