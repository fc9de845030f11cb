"""Stops, orders that never rest, reduce-only orders and replacements in the book and the broker."""

import asyncio
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tapewire.events import OrderFilled, OrderTriggered, OrderType, Side, TimeInForce, TradeExecuted
from tapewire.log import CommandRejected
from tapewire.log.memory import MemoryServer
from tapewire.runtime.contracts.orders import PlaceOrder, ReplaceOrder, order_id
from tapewire_services.orders.domain.trading_day import end_of_day
from tapewire_services.orders.paper_broker import PaperBroker
from tests.harness.memory_process import make_context
from tests.harness.order_builders import USER, order_type
from tests.harness.orders_process import (
    OrdersLogSummary,
    OrdersProcess,
    QuoteSimulator,
    clock,
    wait_for_log,
)
from tests.harness.verification import assert_verified

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def server() -> MemoryServer:
    return MemoryServer()


class PaperTrial:
    """A process with a broker, its market, and the user's orders by the names of the test."""

    def __init__(self, server: MemoryServer) -> None:
        self.server = server
        self.feed = QuoteSimulator(server)
        self.process = OrdersProcess(server)

    async def start(self, **broker: Any) -> "PaperTrial":
        await self.feed.publish_quote("99", "100")
        self.process.make_broker = lambda open_orders: PaperBroker(
            self.process.quote_cache, clock, lambda _: False, **broker
        ).take_over(open_orders)
        await self.process.start()
        return self

    async def place(
        self,
        name: str,
        qty: str,
        side: Side = Side.BUY,
        *,
        limit: str | None = None,
        stop: str | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        reduce_only: bool = False,
    ) -> None:
        request = PlaceOrder(
            user_id=USER,
            symbol="IBM",
            side=side,
            type=order_type(limit, stop),
            qty=Decimal(qty),
            limit_price=None if limit is None else Decimal(limit),
            stop_price=None if stop is None else Decimal(stop),
            time_in_force=time_in_force,
            reduce_only=reduce_only,
            client_order_id=name,
        )
        await self.process.place_order(request)

    async def replace(self, name: str, **terms: str) -> None:
        seen = await wait_for_log(self.server, name, lambda seen: seen.order(name))
        request = ReplaceOrder(
            user_id=USER,
            order_id=seen.order(name).order_id,
            **{field: Decimal(text) for field, text in terms.items()},
        )
        await self.process.service.replace(request, make_context())

    async def until(self, name: str, status: str, filled: str = "0") -> str | None:
        """Wait until the order has a status and a filled quantity. Return its reason."""

        def is_there(seen: OrdersLogSummary) -> bool:
            if order_id(USER, name) not in seen.orders:
                return False
            order = seen.order(name)
            return (order.status.value, order.filled_qty) == (status, Decimal(filled))

        seen = await wait_for_log(self.server, f"{name} {status} {filled}", is_there)
        return seen.order(name).reason

    async def stays(self, name: str, status: str, filled: str = "0") -> None:
        await asyncio.sleep(2)
        await self.until(name, status, filled)

    async def close(self) -> None:
        await assert_verified(self.server, allow_pending=True)
        self.process.raise_task_errors()
        await self.process.kill()


@pytest.fixture
async def trial(server: MemoryServer) -> PaperTrial:
    return await PaperTrial(server).start()


async def test_a_stop_becomes_a_market_order_once_the_market_has_reached_it(
    trial: PaperTrial,
) -> None:
    await trial.place("stop", "10", Side.SELL, stop="95")
    await trial.feed.publish_quote("96", "97")
    await trial.stays("stop", "new")
    await trial.feed.publish_quote("94", "95")
    await trial.until("stop", "filled", "10")
    seen = await wait_for_log(trial.server, "triggered", lambda seen: seen.events)
    [triggered] = [one.event for one in seen.events if isinstance(one.event, OrderTriggered)]
    assert triggered.order.triggered_at is not None
    await trial.close()


async def test_a_stop_limit_rests_at_its_limit_after_the_trigger(trial: PaperTrial) -> None:
    await trial.place("stop", "10", stop="101", limit="101.5")
    await trial.feed.publish_quote("102", "103")
    await trial.stays("stop", "new")
    await trial.feed.publish_quote("100", "101")
    await trial.until("stop", "filled", "10")
    await trial.close()


async def test_a_triggered_stop_stays_triggered_after_a_takeover(trial: PaperTrial) -> None:
    await trial.place("stop", "10", Side.SELL, stop="95", limit="94")
    await trial.feed.publish_quote("90", "91")
    await wait_for_log(trial.server, "triggered", lambda seen: seen.order("stop").triggered_at)
    await trial.process.kill()
    await trial.feed.publish_quote("98", "99")
    trial.process = OrdersProcess(trial.server)
    await trial.process.start()
    await trial.until("stop", "filled", "10")
    await trial.close()


async def test_ioc_executes_what_is_offered_and_cancels_the_rest(trial: PaperTrial) -> None:
    await trial.feed.publish_quote("99", "100", "3")
    await trial.place("part", "10", time_in_force=TimeInForce.IOC)
    assert (
        await trial.until("part", "canceled", "3") == "ioc: nothing more could be executed at once"
    )
    await trial.place("none", "10", limit="90", time_in_force=TimeInForce.IOC)
    assert "nothing could be executed at once" in str(await trial.until("none", "canceled"))
    await trial.close()


async def test_fok_executes_everything_or_nothing(trial: PaperTrial) -> None:
    await trial.feed.publish_quote("99", "100", "9")
    await trial.place("all", "9", time_in_force=TimeInForce.FOK)
    await trial.until("all", "filled", "9")
    await trial.feed.publish_quote("99", "100.5", "9")
    await trial.place("none", "10", time_in_force=TimeInForce.FOK)
    assert "in full" in str(await trial.until("none", "canceled"))
    await trial.close()


async def test_a_stop_that_is_to_be_executed_at_once_waits_for_its_trigger(
    trial: PaperTrial,
) -> None:
    await trial.place("stop", "10", Side.SELL, stop="95", time_in_force=TimeInForce.IOC)
    await trial.stays("stop", "new")
    await trial.feed.publish_quote("94", "95", "4")
    await trial.until("stop", "canceled", "4")
    await trial.close()


async def test_a_day_order_expires_at_the_end_of_the_day(server: MemoryServer) -> None:
    now = clock()
    trial = await PaperTrial(server).start(day_end=(now + timedelta(minutes=2)).time())
    await trial.place("day", "10", limit="90", time_in_force=TimeInForce.DAY)
    await trial.place("gtc", "10", limit="90")
    await trial.stays("day", "new")
    await asyncio.sleep(120)
    assert await trial.until("day", "canceled") == "the day is over"
    await trial.stays("gtc", "new")
    await trial.close()


@pytest.mark.parametrize(
    ("moment", "end"),
    [
        (datetime(2026, 3, 2, 20, 59, tzinfo=UTC), datetime(2026, 3, 2, 21, 0, tzinfo=UTC)),
        (datetime(2026, 3, 2, 21, 0, tzinfo=UTC), datetime(2026, 3, 3, 21, 0, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), datetime(2027, 1, 1, 21, 0, tzinfo=UTC)),
    ],
)
def test_an_order_that_is_placed_at_the_end_of_the_day_is_of_the_next_one(
    moment: datetime, end: datetime
) -> None:
    assert end_of_day(moment, time(21)) == end


async def test_reduce_only_is_rejected_without_a_position(trial: PaperTrial) -> None:
    await trial.place("sell", "10", Side.SELL, reduce_only=True)
    reason = await trial.until("sell", "rejected")
    assert reason == "reduce-only: there is no position to reduce"
    await trial.place("entry", "10")
    await trial.until("entry", "filled", "10")
    await trial.place("more", "5", reduce_only=True)
    await trial.until("more", "rejected")
    await trial.close()


async def test_reduce_only_executes_at_most_what_is_held_and_cancels_the_rest(
    trial: PaperTrial,
) -> None:
    await trial.place("entry", "10")
    await trial.until("entry", "filled", "10")
    await trial.place("exit", "25", Side.SELL, reduce_only=True)
    assert await trial.until("exit", "canceled", "10") == (
        "reduce-only: there is no position to reduce"
    )
    await trial.close()


async def test_two_reduce_only_orders_at_once_never_go_past_flat(trial: PaperTrial) -> None:
    await trial.place("entry", "10")
    await trial.until("entry", "filled", "10")
    for name in ("one", "two", "three"):
        await trial.place(name, "10", Side.SELL, stop="95", reduce_only=True)
    await trial.feed.publish_quote("94", "95", "7")
    for price in range(93, 80, -1):
        await asyncio.sleep(0.1)
        await trial.feed.publish_quote(str(price), str(price + 1), "7")
    seen = await wait_for_log(trial.server, "all closed", lambda seen: not seen.open_orders())
    trades = [one.event for one in seen.events if isinstance(one.event, TradeExecuted)]
    sold = sum(one.qty for one in trades if one.side is Side.SELL)
    assert sold == 10
    await trial.close()


async def test_shares_sold_by_hand_end_the_reduce_only_order_that_rests(trial: PaperTrial) -> None:
    await trial.place("entry", "10")
    await trial.until("entry", "filled", "10")
    await trial.place("protection", "10", Side.SELL, stop="90", reduce_only=True)
    await trial.place("by hand", "4", Side.SELL)
    await trial.until("by hand", "filled", "4")
    await trial.stays("protection", "new")
    await trial.place("rest by hand", "6", Side.SELL)
    assert await trial.until("protection", "canceled") == (
        "reduce-only: there is no position to reduce"
    )
    await trial.close()


async def test_what_is_held_is_known_after_a_takeover(trial: PaperTrial) -> None:
    await trial.place("entry", "10")
    await trial.until("entry", "filled", "10")
    await trial.process.kill()
    trial.process = OrdersProcess(trial.server)
    await trial.process.start()
    await trial.place("exit", "25", Side.SELL, reduce_only=True)
    await trial.until("exit", "canceled", "10")
    await trial.close()


async def test_a_replacement_loses_its_time_when_it_grows_and_keeps_it_when_it_shrinks(
    trial: PaperTrial,
) -> None:
    for name in ("first", "second", "third"):
        await trial.place(name, "10", limit="98")
    await trial.replace("first", qty="11")
    await trial.replace("second", qty="9")
    await trial.stays("first", "new")
    await trial.feed.publish_quote("97", "98", "9")
    await trial.until("second", "filled", "9")
    await trial.feed.publish_quote("96", "97", "10")
    await trial.until("third", "filled", "10")
    await trial.stays("first", "new")
    await trial.close()


async def test_a_replaced_limit_executes_at_once_when_the_market_is_there(
    trial: PaperTrial,
) -> None:
    await trial.place("limit", "10", limit="90")
    await trial.stays("limit", "new")
    await trial.replace("limit", limit_price="100")
    await trial.until("limit", "filled", "10")
    with pytest.raises(CommandRejected, match="filled already"):
        await trial.replace("limit", limit_price="101")
    await trial.close()


async def test_a_replaced_stop_is_reached_at_its_new_price(trial: PaperTrial) -> None:
    await trial.place("stop", "10", Side.SELL, stop="90")
    await trial.stays("stop", "new")
    await trial.replace("stop", stop_price="99.5")
    await trial.feed.publish_quote("98", "99.5")
    await trial.until("stop", "filled", "10")
    await trial.close()


async def test_the_fee_of_the_paper_broker_is_on_order_fill_and_trade(server: MemoryServer) -> None:
    trial = await PaperTrial(server).start(fee_per_share=Decimal("0.005"))
    await trial.place("order", "10")
    await trial.until("order", "filled", "10")
    seen = await wait_for_log(server, "filled", lambda seen: seen.events)
    fees = [
        one.event.fee for one in seen.events if isinstance(one.event, OrderFilled | TradeExecuted)
    ]
    assert fees == [Decimal("0.05")] * 2
    assert seen.order("order").fee_total == Decimal("0.05")
    assert msgspec.to_builtins(seen.order("order").type) == OrderType.MARKET.value
    await trial.close()
