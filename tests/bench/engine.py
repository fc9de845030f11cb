"""What the log, orders and positions do in a second, without the edge between: over NATS."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal

from tapewire.events import (
    Item,
    ItemAnalysed,
    Order,
    OrderRejected,
    OrderStatus,
    OrderType,
    PositionEvent,
    Sentiment,
    Side,
    TradeExecuted,
)
from tapewire.log import EVERYBODY, Draft, EventLog, Meta, Subject, new_id, pattern
from tapewire.log.jetstream import JetStreamLog, Wire, connect
from tapewire.log.port import BATCH_EVENTS
from tapewire.runtime import Requests
from tapewire.runtime.contracts import orders
from tests.bench.client import Target
from tests.bench.figures import Rows, Size, milliseconds
from tests.bench.system import System

AT_ONCE = 64
"""Commands, or appends, under way at the same time."""
BATCHES = (10, 100, 1000)
"""Events of one atomic append."""
TRADERS = 50
DONE_SECONDS = 300.0


@asynccontextmanager
async def wired(system: System) -> AsyncIterator[Wire]:
    wire = await connect(system.nats_url, "bench")
    try:
        yield wire
    finally:
        await wire.close()


async def commands(_target: Target, system: System, size: Size) -> Rows:
    """Market orders asked of the orders service: one after the other, and many at once."""
    async with wired(system) as wire:
        requests = Requests(wire)
        waited: list[float] = []

        async def place(number: int) -> None:
            request = orders.PlaceOrder(
                user_id=f"commands-{number % TRADERS}",
                symbol="IBM",
                side=Side.BUY if number % 2 else Side.SELL,
                type=OrderType.MARKET,
                qty=Decimal(1),
            )
            began = time.perf_counter()
            await requests.ask(
                orders.SERVICE, orders.PLACE, request, orders.OrderReply, correlation=new_id()
            )
            waited.append(time.perf_counter() - began)

        await place(0)
        waited.clear()
        awaited = await _rate(place, size.commands // 8, 1)
        one = milliseconds(waited)
        pipelined = await _rate(place, size.commands, AT_ONCE)
    return [
        ("orders placed by request, each awaited", f"{awaited:,.0f}/s, {one}"),
        (f"orders placed by request, {AT_ONCE} at once", f"{pipelined:,.0f}/s"),
    ]


async def appends(_target: Target, system: System, size: Size) -> Rows:
    """Events appended by the log library: each awaited, many at once, in atomic batches."""
    async with wired(system) as wire:
        log = JetStreamLog(wire)

        async def append(_: int, events: int = 1) -> None:
            await log.append([_item(new_id()) for _ in range(events)])

        awaited = await _rate(append, size.appends // 4, 1)
        pipelined = await _rate(append, size.appends, AT_ONCE)
        rows = [
            ("events appended, each awaited", f"{awaited:,.0f}/s"),
            (f"events appended, {AT_ONCE} at once", f"{pipelined:,.0f}/s"),
        ]
        for events in BATCHES:
            count = max(2, min(size.appends // 8, 2 * size.appends // events))
            rate = events * await _rate(lambda n, events=events: append(n, events), count, 1)
            rows.append((f"events appended in atomic batches of {events}", f"{rate:,.0f}/s"))
    return rows


async def reactions(_target: Target, system: System, size: Size) -> Rows:
    """Trades into positions: from the first trade appended to the last event of a position."""
    async with wired(system) as wire:
        log, run = JetStreamLog(wire), new_id()
        began, last = time.perf_counter(), 0
        for start in range(0, size.trades, BATCH_EVENTS):
            numbers = range(start, min(start + BATCH_EVENTS, size.trades))
            last = await log.append([_trade(f"{run}-{number}", number) for number in numbers])
        appended = time.perf_counter() - began
        await taken(log, last)
        seconds = time.perf_counter() - began
    return [
        (
            f"trades folded into positions, {TRADERS} users",
            f"{size.trades / seconds:,.0f}/s (appended in {appended:.1f} s)",
        )
    ]


async def notifications(_target: Target, system: System, size: Size) -> Rows:
    """Ends of orders into notifications: from the first one appended to the last user told."""
    async with wired(system) as wire:
        log, run = JetStreamLog(wire), new_id()
        first = (await log.bounds()).last
        began = time.perf_counter()
        for start in range(0, size.trades, BATCH_EVENTS):
            numbers = range(start, min(start + BATCH_EVENTS, size.trades))
            await log.append([_rejection(f"{run}-{number}", number) for number in numbers])
        appended = time.perf_counter() - began
        await told(log, first, size.trades)
        seconds = time.perf_counter() - began
    return [
        (
            f"notifications of orders, {TRADERS} users",
            f"{size.trades / seconds:,.0f}/s (appended in {appended:.1f} s)",
        )
    ]


async def told(log: EventLog, after: int, count: int) -> None:
    """Wait until the log holds `count` notifications after that sequence."""
    filter_ = pattern(domain="notifications")
    async with asyncio.timeout(DONE_SECONDS):
        while True:
            page = await log.page(filter_, after=after, limit=1)
            if len(page.events) + page.left >= count:
                return
            await asyncio.sleep(0.05)


async def taken(log: EventLog, trade: int) -> None:
    """Wait until the trade at that sequence made its position event."""
    positions = pattern(domain="positions")
    async with asyncio.timeout(DONE_SECONDS):
        while True:
            last = await log.last(positions)
            if last > trade:
                page = await log.page(positions, after=last - 1, limit=1)
                event = page.events[0].event if page.events else None
                if isinstance(event, PositionEvent) and event.trade_sequence >= trade:
                    return
            await asyncio.sleep(0.01)


async def _rate(work: Callable[[int], Awaitable[None]], count: int, at_once: int) -> float:
    """How many a second, `at_once` under way."""
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            await work(number)

    began = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(at_once)))
    return count / (time.perf_counter() - began)


def _item(id_: str) -> Draft:
    item = Item(
        id=id_,
        title="Quarterly figures are out",
        source="bench",
        url=None,
        tickers=("IBM",),
        tags=("earnings",),
        sentiment=Sentiment.NEUTRAL,
        score=Decimal(0),
        timestamp=datetime.now(UTC),
    )
    return Draft(
        subject=Subject(EVERYBODY, "items", id_),
        event=ItemAnalysed(item=item, scored=True),
        meta=Meta(id=id_, correlation="bench"),
        expect=0,
    )


def _rejection(id_: str, number: int) -> Draft:
    order = Order(
        order_id=id_,
        client_order_id=id_,
        symbol="IBM",
        side=Side.BUY,
        type=OrderType.MARKET,
        qty=Decimal(1),
        limit_price=None,
        status=OrderStatus.REJECTED,
        filled_qty=Decimal(0),
        filled_avg_price=None,
        strategy_id=None,
        reason="too much",
        timestamp=datetime.now(UTC),
    )
    return Draft(
        subject=Subject(f"trader-{number % TRADERS}", "orders", id_),
        event=OrderRejected(order=order, command_id=id_),
        meta=Meta(id=id_, correlation="bench"),
    )


def _trade(id_: str, number: int) -> Draft:
    trade = TradeExecuted(
        trade_id=id_,
        order_id=id_,
        symbol=("IBM", "SPY", "MSFT")[number % 3],
        side=Side.SELL if number % 5 == 0 else Side.BUY,
        qty=Decimal(number % 90 + 10),
        price=Decimal(10_000 + number % 700) / 100,
        strategy_id=None,
        timestamp=datetime.now(UTC),
    )
    return Draft(
        subject=Subject(f"trader-{number % TRADERS}", "trades", id_),
        event=trade,
        meta=Meta(id=id_, correlation="bench"),
    )
