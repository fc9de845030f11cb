"""Buying power: no order brings an account beyond its leverage, whichever process takes it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal

import msgspec
import pytest

from tapewire.events import (
    ExecutionTerms,
    Order,
    OrderStatus,
    Side,
    TradeCorrected,
    TradeExecuted,
)
from tapewire.log import CommandRejected, EventDraft, EventMetadata, EventSubject
from tapewire.log.checkpoint import checkpoint_key, decode_checkpoint, write_checkpoint
from tapewire.log.memory import Faults, MemoryServer
from tapewire.runtime.contracts.orders import OrderReply, PlaceOrder, ReplaceOrder
from tapewire.views.account import AccountTerms
from tapewire_services.orders.buying_power import CHECKPOINT_NAME, RESERVATION_SECONDS
from tests.harness.memory_process import make_context, retry_until_answered
from tests.harness.order_builders import USER
from tests.harness.orders_process import (
    OrdersProcess,
    QuoteSimulator,
    place_request,
    wait_for_log,
)
from tests.harness.recorded_log import read_events

pytestmark = pytest.mark.virtual_time

TERMS = AccountTerms(starting_balance=Decimal(10_000), max_leverage=Decimal(2))
"""An exposure of 20,000 dollars: 200 shares at 100."""


@pytest.fixture
async def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
async def feed(server: MemoryServer) -> QuoteSimulator:
    feed = QuoteSimulator(server)
    await feed.publish_quote("100", "100")
    return feed


@pytest.fixture
async def process(server: MemoryServer, feed: QuoteSimulator) -> AsyncIterator[OrdersProcess]:  # noqa: ARG001
    """One process with its broker. Nothing applies trades to positions."""
    process = await OrdersProcess(server, terms=TERMS).start()
    yield process
    await process.kill()


def bid(qty: str, name: str, limit: str = "50") -> PlaceOrder:
    """A request to buy that rests below the market."""
    return place_request(qty, limit=limit, client_order_id=name)


async def refuse(process: OrdersProcess, request: PlaceOrder) -> CommandRejected:
    with pytest.raises(CommandRejected) as rejection:
        await process.place_order(request)
    assert (rejection.value.code, rejection.value.path) == ("buying_power", "qty")
    return rejection.value


async def replace_qty(process: OrdersProcess, order: Order, qty: str) -> OrderReply:
    request = ReplaceOrder(user_id=USER, order_id=order.order_id, qty=Decimal(qty))
    context = make_context()
    return await retry_until_answered(lambda: process.service.replace(request, context))


async def fill_market_order(process: OrdersProcess, server: MemoryServer, **fields: str) -> None:
    """Place a market order, and wait until it is filled."""
    side = Side(fields.get("side", "buy"))
    request = place_request(fields["qty"], side=side, client_order_id=fields["name"])
    placed = await process.place_order(request)
    await wait_for_log(
        server,
        "filled",
        lambda seen: seen.orders[placed.order.order_id].status is OrderStatus.FILLED,
    )


async def test_open_orders_reserve_and_a_cancel_releases(process: OrdersProcess) -> None:
    first = await process.place_order(bid("300", "a"))
    rejection = await refuse(process, bid("101", "b"))
    assert "5050.00 dollars of exposure" in rejection.message
    assert "buying power is 5000.00 dollars" in rejection.message
    await process.place_order(bid("100", "c"))
    await refuse(process, bid("0.01", "d"))
    await process.cancel_order(first.order.order_id)
    await process.place_order(bid("300", "e"))


async def test_a_trade_counts_before_it_is_a_position(
    process: OrdersProcess, server: MemoryServer
) -> None:
    """The positions service is away: an account would look empty by its positions."""
    await fill_market_order(process, server, qty="150", name="a")
    await refuse(process, place_request("51", client_order_id="b"))
    await fill_market_order(process, server, qty="50", name="c")
    await refuse(process, bid("1", "d"))
    await fill_market_order(process, server, side="sell", qty="200", name="e")
    await fill_market_order(process, server, side="sell", qty="200", name="f")
    await refuse(process, place_request("1", side=Side.SELL, client_order_id="g"))


async def test_a_busted_trade_counts_no_more_before_the_position_is_corrected(
    process: OrdersProcess, server: MemoryServer
) -> None:
    await fill_market_order(process, server, qty="200", name="a")
    await refuse(process, bid("1", "b"))
    events = await read_events(process.log, "ev.*.trades.>")
    trade = events[0].event
    assert isinstance(trade, TradeExecuted)
    correction = TradeCorrected(
        trade_id=trade.trade_id,
        order_id=trade.order_id,
        symbol=trade.symbol,
        side=trade.side,
        qty=Decimal(0),
        price=trade.price,
        strategy_id=None,
        timestamp=trade.timestamp,
        before=ExecutionTerms(qty=trade.qty, price=trade.price, fee=trade.fee),
        number=1,
    )
    draft = EventDraft(
        subject=EventSubject(USER, "trades", trade.order_id),
        event=correction,
        metadata=EventMetadata(id="bust", correlation="c"),
    )
    await process.log.append([draft])
    await process.place_order(bid("400", "c"))
    await refuse(process, bid("1", "d"))


async def test_what_reduces_passes_although_the_account_is_beyond_its_limit(
    process: OrdersProcess, server: MemoryServer, feed: QuoteSimulator
) -> None:
    await fill_market_order(process, server, qty="200", name="a")
    await feed.publish_quote("60", "60")
    await asyncio.sleep(1)
    await refuse(process, bid("1", "b"))
    await process.place_order(place_request("1", limit="500", side=Side.SELL))
    await fill_market_order(process, server, side="sell", qty="100", name="c")
    await fill_market_order(process, server, side="sell", qty="99", name="d")


async def test_reduce_only_orders_are_not_checked(
    process: OrdersProcess, server: MemoryServer
) -> None:
    """An exit of a strategy is one, and may be larger than what is left."""
    await fill_market_order(process, server, qty="200", name="a")
    await process.place_order(place_request("200", limit="500", side=Side.SELL))
    much = place_request("900", side=Side.SELL, client_order_id="exit")
    placed = await process.place_order(msgspec.structs.replace(much, reduce_only=True))
    seen = await wait_for_log(
        server,
        "flat",
        lambda seen: not seen.orders[placed.order.order_id].status.is_open,
    )
    assert seen.orders[placed.order.order_id].filled_qty == 200


async def test_a_replacement_is_checked_and_reserved(process: OrdersProcess) -> None:
    order = (await process.place_order(bid("200", "a"))).order
    with pytest.raises(CommandRejected) as rejection:
        await replace_qty(process, order, "401")
    assert rejection.value.code == "buying_power"
    replaced = await replace_qty(process, order, "390")
    assert replaced.order.qty == 390
    await refuse(process, bid("11", "b"))
    await replace_qty(process, replaced.order, "100")
    await asyncio.sleep(RESERVATION_SECONDS + 1)
    await process.place_order(bid("300", "c"))


async def test_a_repeated_order_is_answered_as_before(process: OrdersProcess) -> None:
    placed = await process.place_order(bid("400", "a"))
    again = await process.place_order(bid("400", "a"))
    assert (again.created, again.order.order_id) == (False, placed.order.order_id)


async def test_an_order_that_was_rejected_for_another_reason_reserves_nothing(
    process: OrdersProcess,
) -> None:
    await process.place_order(bid("100", "a"))
    with pytest.raises(CommandRejected) as rejection:
        await process.place_order(bid("300", "a", limit="49"))
    assert rejection.value.code == "key_reused"
    await process.place_order(bid("300", "b"))


@pytest.mark.parametrize("seed", range(4))
async def test_orders_that_two_processes_take_at_once_never_exceed_the_limit_together(
    server: MemoryServer,
    feed: QuoteSimulator,  # noqa: ARG001
    seed: int,
) -> None:
    faults = [Faults(seed=seed + number) for number in range(2)]
    processes = [
        await OrdersProcess(server, fault, terms=TERMS).start(with_broker=False) for fault in faults
    ]

    async def try_to_place(number: int) -> str:
        request = bid("90", f"o{number}", limit="100")
        try:
            await processes[number % 2].place_order(request)
        except CommandRejected as rejection:
            return rejection.code
        return "placed"

    answers = Counter(await asyncio.gather(*map(try_to_place, range(12))))
    assert answers == {"placed": 2, "buying_power": 10}
    others = bid("90", "other", limit="100")
    await processes[0].place_order(msgspec.structs.replace(others, user_id="bob"))
    for process in processes:
        await process.kill()


async def test_an_order_whose_process_died_reserves_for_a_while_only(
    process: OrdersProcess,
) -> None:
    key = checkpoint_key(USER, CHECKPOINT_NAME)
    await process.place_order(bid("1", "a"))
    stored = await process.views.get(key)
    assert stored is not None
    [reserved] = msgspec.json.decode(bytes(decode_checkpoint(stored).state))
    reserved["order"] |= {"orderId": "lost", "qty": 399}
    state = msgspec.json.encode([reserved])
    await write_checkpoint(process.views, key, epoch="", as_of=0, state=state)
    await refuse(process, bid("1", "b"))
    await asyncio.sleep(RESERVATION_SECONDS + 1)
    await process.place_order(bid("1", "c"))


async def test_without_a_limit_nothing_is_checked(
    server: MemoryServer,
    feed: QuoteSimulator,  # noqa: ARG001
) -> None:
    process = await OrdersProcess(server).start(with_broker=False)
    await process.place_order(bid("900000", "a"))
    assert await process.views.get(checkpoint_key(USER, CHECKPOINT_NAME)) is None
    await process.kill()
