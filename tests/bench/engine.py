"""The throughput of the log, orders and positions over NATS, without the edge."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

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
from tapewire.log import (
    EVERYBODY,
    EventDraft,
    EventLog,
    EventMetadata,
    EventSubject,
    new_id,
    pattern,
)
from tapewire.log.jetstream import JetStreamEventLog, NatsConnection, connect
from tapewire.log.ports import MAX_BATCH_EVENTS
from tapewire.runtime import RequestClient
from tapewire.runtime.contracts import orders
from tests.bench.client import BenchTarget
from tests.bench.sizes import BenchSize, TableRows, format_milliseconds
from tests.bench.system import BenchSystem

CONCURRENCY = 64
"""Commands, or appends, in progress at the same time."""
BATCH_SIZES = (10, 100, 1000)
"""Events of one atomic append."""
TRADER_COUNT = 50
COMPLETION_TIMEOUT_SECONDS = 300.0


@asynccontextmanager
async def connect_nats(system: BenchSystem) -> AsyncIterator[NatsConnection]:
    connection = await connect(system.nats_url, "bench")
    try:
        yield connection
    finally:
        await connection.close()


async def measure_commands(_target: BenchTarget, system: BenchSystem, size: BenchSize) -> TableRows:
    """Market orders requested from the orders service: one after the other, and many at once."""
    async with connect_nats(system) as connection:
        requests = RequestClient(connection)
        waited: list[float] = []

        async def place_order(number: int) -> None:
            request = orders.PlaceOrder(
                user_id=f"commands-{number % TRADER_COUNT}",
                symbol="IBM",
                side=Side.BUY if number % 2 else Side.SELL,
                type=OrderType.MARKET,
                qty=Decimal(1),
            )
            began = time.perf_counter()
            await requests.request(
                orders.SERVICE, orders.PLACE, request, orders.OrderReply, correlation=new_id()
            )
            waited.append(time.perf_counter() - began)

        await place_order(0)
        waited.clear()
        awaited = await _measure_rate(place_order, size.command_count // 8, 1)
        one = format_milliseconds(waited)
        pipelined = await _measure_rate(place_order, size.command_count, CONCURRENCY)
    return [
        ("orders placed by request, each awaited", f"{awaited:,.0f}/s, {one}"),
        (f"orders placed by request, {CONCURRENCY} at once", f"{pipelined:,.0f}/s"),
    ]


async def measure_appends(_target: BenchTarget, system: BenchSystem, size: BenchSize) -> TableRows:
    """Events appended by the log library: each awaited, many at once, and in atomic batches."""
    async with connect_nats(system) as connection:
        log = JetStreamEventLog(connection)

        async def append(_: int, events: int = 1) -> None:
            await log.append([_make_item(new_id()) for _ in range(events)])

        awaited = await _measure_rate(append, size.append_count // 4, 1)
        pipelined = await _measure_rate(append, size.append_count, CONCURRENCY)
        rows = [
            ("events appended, each awaited", f"{awaited:,.0f}/s"),
            (f"events appended, {CONCURRENCY} at once", f"{pipelined:,.0f}/s"),
        ]
        for events in BATCH_SIZES:
            count = max(2, min(size.append_count // 8, 2 * size.append_count // events))
            rate = events * await _measure_rate(partial(append, events=events), count, 1)
            rows.append((f"events appended in atomic batches of {events}", f"{rate:,.0f}/s"))
    return rows


async def measure_reactions(
    _target: BenchTarget, system: BenchSystem, size: BenchSize
) -> TableRows:
    """Positions from trades: from the first appended trade to the last position event."""
    async with connect_nats(system) as connection:
        log, run = JetStreamEventLog(connection), new_id()
        began, last = time.perf_counter(), 0
        for start in range(0, size.trade_count, MAX_BATCH_EVENTS):
            numbers = range(start, min(start + MAX_BATCH_EVENTS, size.trade_count))
            last = await log.append([_make_trade(f"{run}-{number}", number) for number in numbers])
        appended = time.perf_counter() - began
        await wait_for_position(log, last)
        seconds = time.perf_counter() - began
    return [
        (
            f"trades folded into positions, {TRADER_COUNT} users",
            f"{size.trade_count / seconds:,.0f}/s (appended in {appended:.1f} s)",
        )
    ]


async def measure_notifications(
    _target: BenchTarget, system: BenchSystem, size: BenchSize
) -> TableRows:
    """Notifications of closed orders: from the first appended order event to the last
    notification."""
    async with connect_nats(system) as connection:
        log, run = JetStreamEventLog(connection), new_id()
        first = (await log.bounds()).last
        began = time.perf_counter()
        for start in range(0, size.trade_count, MAX_BATCH_EVENTS):
            numbers = range(start, min(start + MAX_BATCH_EVENTS, size.trade_count))
            await log.append([_make_rejection(f"{run}-{number}", number) for number in numbers])
        appended = time.perf_counter() - began
        await wait_for_notifications(log, first, size.trade_count)
        seconds = time.perf_counter() - began
    return [
        (
            f"notifications of orders, {TRADER_COUNT} users",
            f"{size.trade_count / seconds:,.0f}/s (appended in {appended:.1f} s)",
        )
    ]


async def wait_for_notifications(log: EventLog, after: int, notification_count: int) -> None:
    """Wait until the log holds `notification_count` notifications after that sequence."""
    filter_ = pattern(domain="notifications")
    async with asyncio.timeout(COMPLETION_TIMEOUT_SECONDS):
        while True:
            page = await log.page(filter_, after=after, limit=1)
            if len(page.events) + page.remaining >= notification_count:
                return
            await asyncio.sleep(0.05)


async def wait_for_position(log: EventLog, trade_sequence: int) -> None:
    """Wait until the position event of the trade at that sequence is stored."""
    positions = pattern(domain="positions")
    async with asyncio.timeout(COMPLETION_TIMEOUT_SECONDS):
        while True:
            last = await log.last_sequence(positions)
            if last > trade_sequence:
                page = await log.page(positions, after=last - 1, limit=1)
                event = page.events[0].event if page.events else None
                if isinstance(event, PositionEvent) and event.trade_sequence >= trade_sequence:
                    return
            await asyncio.sleep(0.01)


async def _measure_rate(
    work: Callable[[int], Awaitable[None]], count: int, concurrency: int
) -> float:
    """The rate per second, with `concurrency` calls in progress."""
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            await work(number)

    began = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(concurrency)))
    return count / (time.perf_counter() - began)


def _make_item(id_: str) -> EventDraft:
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
    return EventDraft(
        subject=EventSubject(EVERYBODY, "items", id_),
        event=ItemAnalysed(item=item, scored=True),
        metadata=EventMetadata(id=id_, correlation="bench"),
        expected_sequence=0,
    )


def _make_rejection(id_: str, number: int) -> EventDraft:
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
    return EventDraft(
        subject=EventSubject(f"trader-{number % TRADER_COUNT}", "orders", id_),
        event=OrderRejected(order=order, command_id=id_),
        metadata=EventMetadata(id=id_, correlation="bench"),
    )


def _make_trade(id_: str, number: int) -> EventDraft:
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
    return EventDraft(
        subject=EventSubject(f"trader-{number % TRADER_COUNT}", "trades", id_),
        event=trade,
        metadata=EventMetadata(id=id_, correlation="bench"),
    )
