"""The paper broker on the log in memory, in virtual time."""

import asyncio
import contextlib
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import pytest

from tapewire.brokers import OpenOrder
from tapewire.events import (
    OrderEvent,
    OrderFilled,
    OrderStatus,
    OrderTriggered,
    OrderType,
    OrderWaiting,
    Side,
)
from tapewire.log import CommandRejected, EventSubject, Versioned
from tapewire.log.catch_up_subscription import MIN_CHECKPOINT_EVENTS
from tapewire.log.checkpoint import (
    Checkpoint,
    decode_checkpoint,
    encode_checkpoint,
    shared_checkpoint_key,
)
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.quote_cache import QuoteCache
from tapewire.runtime.contracts.orders import CorrectExecution, PlaceOrder
from tapewire_services.orders.broker_reporter import BrokerReporter
from tapewire_services.orders.broker_runner import CHECKPOINT_NAME, ORDERS_FILTER
from tapewire_services.orders.domain.commands import Command
from tapewire_services.orders.domain.open_orders import OpenOrders
from tapewire_services.orders.domain.order_book import OrderBook
from tapewire_services.orders.domain.order_state import State
from tapewire_services.orders.paper_broker import PaperBroker
from tests.harness.erasures import append_erasure, held_pages
from tests.harness.memory_process import make_context
from tests.harness.order_builders import open_order
from tests.harness.orders_process import (
    OrdersLogSummary,
    OrdersProcess,
    QuoteSimulator,
    order_statuses,
    place_request,
    wait_for_log,
)
from tests.harness.verification import assert_verified

CHECKPOINT_KEY = shared_checkpoint_key(CHECKPOINT_NAME)
CHECKPOINT_OF_ANOTHER_LOG = encode_checkpoint(
    Checkpoint(epoch="e0", as_of=1, state=msgspec.Raw(OpenOrders().encode()))
)

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
async def feed(server: MemoryServer) -> QuoteSimulator:
    return QuoteSimulator(server)


def has_filled(qty: str, seen: OrdersLogSummary) -> bool:
    return order_statuses(seen)[0].endswith(f" {qty}")


async def test_a_market_order_is_accepted_and_filled_at_the_ask(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    await feed.publish_quote("99", "100")
    process = await OrdersProcess(server).start()
    placed = await process.place_order(place_request("10"))
    assert (placed.created, placed.order.status) == (True, OrderStatus.NEW)
    seen = await wait_for_log(server, "filled", lambda seen: not seen.open_orders())
    assert [recorded.tag for recorded in seen.events] == [
        "order.placed.v1",
        "order.accepted.v1",
        "order.filled.v1",
        "trade.executed.v1",
    ]
    assert {recorded.metadata.correlation for recorded in seen.events} == {"c"}
    assert seen.orders[placed.order.order_id].filled_avg_price == Decimal(100)
    await process.kill()


async def test_the_broker_looks_for_executions_only_while_an_order_rests(
    server: MemoryServer, feed: QuoteSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every event of an order reaches the broker again, and an offer that was executed in part is
    followed on; neither has anything to search for."""
    resting_counts = list[int]()
    match_orders = OrderBook.match_orders

    def noting_match_orders(book: OrderBook, symbol: str, *, is_stale: bool) -> object:
        market = book._markets[symbol]
        sides = (market.asks.priority_keys, market.bids.priority_keys)
        resting_counts.append(sum(map(len, sides)) + len(market.stops))
        return match_orders(book, symbol, is_stale=is_stale)

    monkeypatch.setattr(OrderBook, "match_orders", noting_match_orders)
    await feed.publish_quote("99", "100", "100")
    process = await OrdersProcess(server).start()
    for number in range(1, 4):
        await process.place_order(place_request("10"))
        await asyncio.sleep(1)
        seen = await wait_for_log(server, "filled", lambda seen: not seen.open_orders())
        assert order_statuses(seen) == ["filled 10"] * number
    await feed.publish_quote("99", "101", "100")
    await asyncio.sleep(1)
    assert resting_counts == [1, 1, 1]
    await process.kill()


async def test_an_order_that_was_open_before_the_broker_started_is_filled(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    await feed.publish_quote()
    process = await OrdersProcess(server).start(with_broker=False)
    await process.place_order(place_request("10"))
    broker = await OrdersProcess(server).start()
    await wait_for_log(server, "filled", lambda seen: order_statuses(seen) == ["filled 10"])
    await process.kill()
    await broker.kill()


async def test_the_next_broker_does_not_consume_a_quote_again(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    """The successor of a killed broker used to fill the rest of the order from the same quote:
    twice as many shares were executed as were quoted."""
    await feed.publish_quote("99", "100", "4")
    process = await OrdersProcess(server).start()
    await process.place_order(place_request("10"))
    await wait_for_log(server, "4 filled", partial(has_filled, "4"))
    await process.kill()
    process = await OrdersProcess(server).start()
    later = await process.place_order(place_request("1"))
    await wait_for_log(server, "accepted", lambda seen: len(seen.events) >= 6)
    await asyncio.sleep(10)  # of virtual time
    assert order_statuses(await wait_for_log(server, "there", bool)) == [
        "partially_filled 4",
        "new 0",
    ]
    await feed.publish_quote("99", "101", "4")
    await wait_for_log(server, "8 filled", partial(has_filled, "8"))
    assert later.created
    await process.kill()


async def test_a_limit_order_waits_and_is_filled_in_parts(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    await feed.publish_quote("99", "100", "4")
    process = await OrdersProcess(server).start()
    await process.place_order(place_request("10", limit="99.5"))
    await wait_for_log(server, "accepted", lambda seen: len(seen.events) == 2)
    for ask_, filled in [("99.5", "4"), ("100", "4"), ("99", "8"), ("99.4", "10")]:
        await feed.publish_quote("90", ask_, "4")
        seen = await wait_for_log(
            server,
            f"{filled} filled",
            partial(has_filled, filled),
        )
    assert order_statuses(seen) == ["filled 10"]
    await process.kill()


async def test_an_order_above_the_maximum_value_is_rejected_with_the_reason(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    await feed.publish_quote()
    process = await OrdersProcess(server).start()
    placed = await process.place_order(place_request("1000000", limit="1000.01"))
    seen = await wait_for_log(server, "closed", lambda seen: not seen.open_orders())
    order = seen.orders[placed.order.order_id]
    assert order.status is OrderStatus.REJECTED
    assert order.reason is not None
    assert order.reason.startswith("1000010000 dollars")
    await process.kill()


async def test_a_canceled_order_is_not_filled_and_the_next_order_gets_its_size(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    await feed.publish_quote("90", "100", "4")
    process = await OrdersProcess(server).start()
    first = await process.place_order(place_request("4", limit="95"))
    second = await process.place_order(place_request("4", limit="95"))
    await wait_for_log(server, "both accepted", lambda seen: len(seen.events) == 4)
    await process.cancel_order(first.order.order_id)
    await feed.publish_quote("90", "95", "4")
    seen = await wait_for_log(server, "closed", lambda seen: not seen.open_orders())
    assert seen.orders[first.order.order_id].status is OrderStatus.CANCELED
    assert seen.orders[second.order.order_id].status is OrderStatus.FILLED
    await process.kill()


async def test_a_cancel_by_another_process_may_win_against_a_fill(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    """The broker's cached order is older than the log. Its append conflicts, and the broker then
    reads that the order is closed."""
    await feed.publish_quote("90", "100")
    broker = await OrdersProcess(server).start()
    other = await OrdersProcess(server).start(with_broker=False)
    placed = await broker.place_order(place_request("4", limit="95"))
    await wait_for_log(server, "accepted", lambda seen: len(seen.events) == 2)
    canceling = asyncio.create_task(other.cancel_order(placed.order.order_id))
    await feed.publish_quote("90", "95")
    with contextlib.suppress(CommandRejected):
        await canceling
    await wait_for_log(server, "closed", lambda seen: not seen.open_orders())
    await assert_verified(server, allow_pending=True)
    broker.raise_task_errors()
    await broker.kill()
    await other.kill()


async def test_a_fill_is_decided_on_the_log_and_not_on_an_outdated_cache(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    """A process that loses the lease and wins it again has cached orders as they were. A fill that
    names what was filled since used to be rejected because of that cache, and the order failed."""
    await feed.publish_quote("90", "100", "0")
    one, two = OrdersProcess(server), OrdersProcess(server)
    await one.start(with_broker=False)
    await two.start(with_broker=False)
    await one.place_order(place_request("10"))
    for turn, process in enumerate([one, two, one, two, one], 1):
        lease = asyncio.create_task(process.runner.run())
        await feed.publish_quote("90", f"100.{turn}", "2")
        await wait_for_log(
            server,
            f"fill {turn}",
            partial(has_filled, str(2 * turn)),
        )
        lease.cancel()
        await asyncio.gather(lease, return_exceptions=True)
    seen = await wait_for_log(server, "filled", lambda seen: not seen.open_orders())
    assert order_statuses(seen) == ["filled 10"]
    await one.kill()
    await two.kill()


async def test_the_next_broker_starts_at_the_checkpoint(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    await feed.publish_quote("90", "100")
    process = await OrdersProcess(server).start()
    for _ in range(MIN_CHECKPOINT_EVENTS):
        await process.place_order(place_request("4", limit="95"))
    views = MemoryLatestValueStore(server, stream="VIEWS", prefix="view")
    await asyncio.sleep(5)
    data = await views.get(CHECKPOINT_KEY)
    assert data is not None
    assert len(OpenOrders.decode(bytes(decode_checkpoint(data).state))) == MIN_CHECKPOINT_EVENTS
    await process.kill()
    await feed.publish_quote("90", "95", "100000")
    last = await OrdersProcess(server).start()
    seen = await wait_for_log(server, "all filled", lambda seen: not seen.open_orders())
    assert order_statuses(seen) == ["filled 4"] * MIN_CHECKPOINT_EVENTS
    await last.kill()


@pytest.mark.parametrize("data", [b"rubbish", CHECKPOINT_OF_ANOTHER_LOG])
async def test_an_unusable_checkpoint_is_ignored(
    data: bytes, server: MemoryServer, feed: QuoteSimulator
) -> None:
    await feed.publish_quote()
    await MemoryLatestValueStore(server, stream="VIEWS", prefix="view").put(CHECKPOINT_KEY, data)
    placing = await OrdersProcess(server).start(with_broker=False)
    await placing.place_order(place_request("10"))
    broker = await OrdersProcess(server).start()
    await wait_for_log(server, "filled", lambda seen: order_statuses(seen) == ["filled 10"])
    await placing.kill()
    await broker.kill()


async def test_an_order_is_filled_immediately_and_not_at_the_next_poll(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    await feed.publish_quote()
    process = await OrdersProcess(server).start()
    await asyncio.sleep(100)
    clock = asyncio.get_running_loop().time
    for _ in range(5):
        began = clock()
        await process.place_order(place_request())
        await wait_for_log(server, "filled", lambda seen: not seen.open_orders())
        assert clock() - began < 0.05
    await process.kill()


async def test_an_order_whose_fill_is_always_rejected_fails(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    await feed.publish_quote()
    quote_cache = QuoteCache(MemoryLatestValueStore(server))
    await quote_cache.start()
    await feed.repeat_quote()
    broker, reports = PaperBroker(quote_cache), RefusedFills()
    broker.add_order(open_order())
    working = asyncio.create_task(broker.run(reports))
    await asyncio.sleep(1)
    assert reports.reported == ["fill", "the broker could not execute the order"]
    working.cancel()


class RefusedFills(BrokerReporter):
    """Refuses every fill, and changes nothing."""

    def __init__(self) -> None:
        self.reported: list[str] = []

    async def propose_fill(self, order: OpenOrder, **_: object) -> OpenOrder:
        self.reported.append("fill")
        return order

    async def failed(self, order: OpenOrder, reason: str) -> OpenOrder:
        self.reported.append(reason)
        failed = msgspec.structs.replace(order.order, status=OrderStatus.FAILED)
        return msgspec.structs.replace(order, order=failed, sequence=order.sequence + 1)


async def test_the_resting_order_of_an_erased_user_is_not_executed(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    await feed.publish_quote("99", "100")
    process = await OrdersProcess(server).start()
    for user in ("alice", "bob"):
        await process.place_order(place_request("10", limit="90", user=user))
    await wait_for_log(server, "both are accepted", lambda seen: len(seen.events) == 4)
    await append_erasure(MemoryEventLog(server), "alice")
    await asyncio.sleep(5)  # of virtual time
    await feed.publish_quote("88", "89")
    seen = await wait_for_log(server, "one is filled", lambda seen: len(seen.open_orders()) == 1)
    await asyncio.sleep(5)
    seen = await wait_for_log(server, "there", bool)
    assert order_statuses(seen) == ["new 0", "filled 10"]
    await process.kill()


STOP_LIMIT = PlaceOrder(
    user_id="alice",
    symbol="IBM",
    side=Side.BUY,
    type=OrderType.STOP_LIMIT,
    qty=Decimal(10),
    stop_price=Decimal(105),
    limit_price=Decimal(95),
)


@pytest.mark.parametrize("is_removed", [False, True])
@pytest.mark.parametrize(
    ("request_", "quoted", "report"),
    [
        (place_request("10", limit="95", user="alice"), ("94", "95", "4"), OrderFilled),
        (place_request("10", limit="95", user="alice"), ("96", "94", "50"), OrderWaiting),
        (STOP_LIMIT, ("105", "106", "50"), OrderTriggered),
    ],
)
async def test_an_order_that_the_broker_knows_later_than_the_erasure_is_worked_no_more(
    server: MemoryServer,
    feed: QuoteSimulator,
    monkeypatch: pytest.MonkeyPatch,
    request_: PlaceOrder,
    quoted: tuple[str, str, str],
    report: type[OrderEvent],
    is_removed: bool,
) -> None:
    """The broker's own report was stored after the erasure, and removed before it was read, or
    not."""
    await feed.publish_quote("99", "100")
    process = await OrdersProcess(server).start()
    await process.place_order(request_)
    await wait_for_log(server, "accepted", lambda seen: len(seen.events) == 2)
    await asyncio.sleep(1)  # of virtual time
    with held_pages(process.log, ORDERS_FILTER):
        await append_erasure(process.log, "alice")
        await feed.publish_quote(*quoted)
        await wait_for_log(
            server,
            "reported",
            lambda seen: any(isinstance(one.event, report) for one in seen.events),
        )
        if is_removed:
            server.remove_user("alice")
    await asyncio.sleep(5)
    before, handled = (await process.log.bounds()).last, list[Command]()
    handle = process.orders.handle

    async def record(subject: EventSubject, command: Command, **options: Any) -> Versioned[State]:
        handled.append(command)
        return await handle(subject, command, **options)

    monkeypatch.setattr(process.orders, "handle", record)
    for ask in ("94", "93", "92"):
        await feed.publish_quote("90", ask)
        await asyncio.sleep(5)
    assert handled == []
    assert (await process.log.bounds()).last == before
    await process.kill()


async def test_what_is_busted_of_a_working_order_is_executed_again(
    server: MemoryServer, feed: QuoteSimulator
) -> None:
    """The part that is proposed again has the same place in the order as the busted one."""
    await feed.publish_quote("99", "100", "4")
    process = await OrdersProcess(server).start()
    placed = (await process.place_order(place_request("10"))).order
    await wait_for_log(server, "4 filled", partial(has_filled, "4"))
    for number in (1, 2):
        busted = CorrectExecution(trade_id=f"{placed.order_id}-{number}", is_busted=True)
        order = (await process.service.correct(busted, make_context())).order
        assert (order.status, order.filled_qty) == (OrderStatus.NEW, Decimal(0))
        await feed.publish_quote("99", "101", f"{3 + number}")
        await wait_for_log(server, "filled again", partial(has_filled, f"{3 + number}"))
    await assert_verified(server, allow_pending=True)
    await process.kill()
