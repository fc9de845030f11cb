"""What a venue reports is booked or kept, whatever it says and whatever fails meanwhile."""

import asyncio
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import msgspec
import pytest

from tapewire.events import (
    CODEC,
    UNKNOWN_OWNER,
    AlertRaised,
    CorrectionUnmatched,
    ExecutionUnmatched,
    OrderFilled,
    ReportedCorrection,
    ReportedExecution,
    TradeCorrected,
    TradeExecuted,
)
from tapewire.log.memory import Faults, MemoryServer
from tapewire.runtime.contracts.orders import order_id
from tapewire_services.orders.execution_booking import FILTER, SUBSCRIPTION, ExecutionNotBooked
from tests.harness.order_builders import START, USER
from tests.harness.orders_process import (
    OrdersLogSummary,
    OrdersProcess,
    QuoteSimulator,
    clock,
    place_request,
    read_log_summary,
    wait_for_log,
)
from tests.harness.verification import assert_verified

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
async def process(server: MemoryServer) -> OrdersProcess:
    """A process whose orders are worked by no broker of ours."""
    await QuoteSimulator(server).publish_quote()
    return await OrdersProcess(server).start(with_broker=False)


def reported(
    order: str, execution: str = "E1", qty: str = "77", price: str = "100", user: str | None = None
) -> ReportedExecution:
    return ReportedExecution(
        execution_id=execution,
        order_id=order,
        qty=Decimal(qty),
        price=Decimal(price),
        timestamp=START,
        user=user,
    )


async def events_of(server: MemoryServer, kind: type) -> list[object]:
    seen = await read_log_summary(server)
    return [one.event for one in seen.events if isinstance(one.event, kind)]


@pytest.mark.parametrize("user", [USER, None, "somebody else"])
async def test_an_execution_of_a_canceled_order_is_booked_with_trade_and_alert(
    server: MemoryServer, process: OrdersProcess, user: str | None
) -> None:
    placed = (await process.place_order(place_request("100"))).order
    await process.cancel_order(placed.order_id)
    for _ in range(3):
        order = await process.reporter.executed(reported(placed.order_id, user=user))
    assert order is not None
    assert (order.status.value, order.filled_qty) == ("canceled", Decimal(77))
    [filled] = await events_of(server, OrderFilled)
    [trade] = await events_of(server, TradeExecuted)
    [alert] = await events_of(server, AlertRaised)
    assert isinstance(filled, OrderFilled)
    assert isinstance(trade, TradeExecuted)
    assert isinstance(alert, AlertRaised)
    assert (trade.qty, trade.execution_id) == (Decimal(77), "E1")
    assert (alert.level.value, alert.symbol) == ("error", "IBM")
    assert f"bought 77 IBM at 100 for order {placed.order_id}, which was closed" in alert.message
    await assert_verified(server, allow_pending=True)
    await process.kill()


@pytest.mark.parametrize(
    "executed_at",
    [
        START - timedelta(days=3),  # before the order was placed
        START + timedelta(microseconds=7),
        START + timedelta(hours=2),  # ahead of the clock
        (START - timedelta(minutes=1)).astimezone(timezone(timedelta(hours=-5))),
    ],
)
async def test_the_time_that_the_venue_reported_is_kept_as_reported(
    server: MemoryServer, process: OrdersProcess, executed_at: datetime
) -> None:
    placed = (await process.place_order(place_request("100"))).order
    execution = msgspec.structs.replace(reported(placed.order_id), timestamp=executed_at)
    await process.reporter.executed(execution)
    [filled] = await events_of(server, OrderFilled)
    [trade] = await events_of(server, TradeExecuted)
    assert isinstance(filled, OrderFilled)
    assert isinstance(trade, TradeExecuted)
    assert filled.venue_time == trade.venue_time == executed_at
    assert b"-05:00" not in CODEC.encode(trade)
    assert placed.timestamp <= trade.timestamp <= clock() + timedelta(seconds=5)
    await assert_verified(server, allow_pending=True)
    await process.kill()


@pytest.mark.parametrize(
    "order",
    ["", "0" * 32, "x" * 65, "a.b", "ev.*.orders.>", "\ud800", "\n\0", "Ünbekannt", "O-1 "],
)
async def test_an_execution_of_an_order_that_is_not_ours_is_kept_once(
    server: MemoryServer, process: OrdersProcess, order: str
) -> None:
    await process.place_order(place_request("100"))
    for _ in range(3):
        assert await process.reporter.executed(reported(order)) is None
    await process.reporter.executed(reported(order, qty="78"))
    seen = await read_log_summary(server)
    unmatched = [one for one in seen.events if isinstance(one.event, ExecutionUnmatched)]
    assert [one.event_subject.owner for one in unmatched] == [UNKNOWN_OWNER] * 2
    assert [one.event.execution.qty for one in unmatched] == [77, 78]  # type: ignore[attr-defined]
    assert not await events_of(server, OrderFilled)
    await assert_verified(server, allow_pending=True)
    await process.kill()


@pytest.mark.parametrize(
    ("execution", "reason"),
    [
        (reported("", qty="NaN"), "qty"),
        (reported("", qty="0"), "qty"),
        (reported("", price="Infinity"), "price"),
        (reported("", execution=""), "executionId"),
        (reported("", execution="E\r\nNats-Msg-Id: x"), "executionId"),
    ],
)
async def test_a_report_that_cannot_be_booked_is_kept_with_the_reason(
    server: MemoryServer, process: OrdersProcess, execution: ReportedExecution, reason: str
) -> None:
    placed = (await process.place_order(place_request("100"))).order
    fields = {
        name: getattr(execution, name) for name in ("execution_id", "qty", "price", "timestamp")
    }
    report = ReportedExecution(order_id=placed.order_id, user=USER, **fields)
    assert await process.reporter.executed(report) is None
    [unmatched] = await events_of(server, ExecutionUnmatched)
    assert isinstance(unmatched, ExecutionUnmatched)
    assert reason in unmatched.reason
    await process.kill()


async def test_an_execution_that_arrives_before_its_order_is_booked_once_the_order_is_there(
    server: MemoryServer, process: OrdersProcess
) -> None:
    await process.log.subscribe_durable(SUBSCRIPTION, FILTER, process.booking.retry_unmatched)
    early = order_id(USER, "later")
    assert await process.reporter.executed(reported(early)) is None
    await process.place_order(place_request("100", client_order_id="later"))

    def is_booked(seen: OrdersLogSummary) -> bool:
        return seen.orders[early].filled_qty == 77

    await wait_for_log(server, "booked", is_booked)
    order = await process.reporter.executed(reported(early))
    assert order is not None
    assert order.filled_qty == 77
    await process.kill()


async def test_an_execution_that_stays_unmatched_is_tried_again_until_it_is_parked(
    server: MemoryServer, process: OrdersProcess
) -> None:
    await process.reporter.executed(reported("nobody's"))
    [unmatched] = (await read_log_summary(server)).events
    with pytest.raises(ExecutionNotBooked, match="there is no order"):
        await process.booking.retry_unmatched(unmatched)
    await process.kill()


@pytest.mark.parametrize("seed", range(5))
async def test_every_execution_is_booked_exactly_once_through_faults(
    server: MemoryServer, process: OrdersProcess, seed: int
) -> None:
    placed = [(await process.place_order(place_request("10"))).order for _ in range(3)]
    faults = Faults(
        seed=seed, max_delay_seconds=0.05, max_timeout_seconds=0.5, lost_append_rate=0.1,
        lost_ack_rate=0.1, late_append_rate=0.1, unavailable_rate=0.1, disconnect_rate=0.05,
        stale_read_rate=0.2,
    )  # fmt: skip
    reporters = [OrdersProcess(server, faults) for _ in range(2)]

    async def report(reporter: OrdersProcess, order: str) -> None:
        for number in range(15):
            await reporter.reporter.executed(reported(order, f"E{number}", "1"))

    await process.cancel_order(placed[0].order_id)
    await asyncio.gather(
        *(report(one, order.order_id) for one in reporters for order in placed),
        process.cancel_order(placed[1].order_id),
    )
    seen = await read_log_summary(server)
    assert [seen.orders[one.order_id].filled_qty for one in placed] == [15, 15, 15]
    assert len(await events_of(server, TradeExecuted)) == 45
    await assert_verified(server, allow_pending=True)
    for one in reporters:
        await one.kill()
    await process.kill()


def corrected(
    order: str,
    execution: str = "E1",
    qty: str | None = None,
    *,
    correction: str | None = "C1",
    is_busted: bool = False,
) -> ReportedCorrection:
    return ReportedCorrection(
        execution_id=execution,
        order_id=order,
        timestamp=START,
        correction_id=correction,
        qty=None if qty is None else Decimal(qty),
        is_busted=is_busted,
    )


@pytest.mark.parametrize("correction", ["C1", None])
async def test_a_corrected_execution_of_a_closed_order_is_booked_once(
    server: MemoryServer, process: OrdersProcess, correction: str | None
) -> None:
    placed = (await process.place_order(place_request("100"))).order
    await process.reporter.executed(reported(placed.order_id, qty="100"))
    for _ in range(3):
        order = await process.reporter.execution_corrected(
            corrected(placed.order_id, qty="60", correction=correction)
        )
    assert order is not None
    assert (order.status.value, order.filled_qty) == ("canceled", Decimal(60))
    [trade] = await events_of(server, TradeCorrected)
    assert isinstance(trade, TradeCorrected)
    assert (trade.qty, trade.before.qty, trade.execution_id) == (Decimal(60), Decimal(100), "E1")
    [alert] = await events_of(server, AlertRaised)
    assert isinstance(alert, AlertRaised)
    assert "corrected an execution: it bought 100 at 100 IBM" in alert.message
    assert "it is 60 at 100" in alert.message
    await assert_verified(server, allow_pending=True)
    await process.kill()


@pytest.mark.parametrize("is_busted", [True, False])
async def test_a_correction_that_comes_before_its_execution_waits_for_it(
    server: MemoryServer, process: OrdersProcess, is_busted: bool
) -> None:
    placed = (await process.place_order(place_request("100"))).order
    report = corrected(placed.order_id, qty=None if is_busted else "60", is_busted=is_busted)
    for _ in range(2):
        assert await process.reporter.execution_corrected(report) is None
    await process.reporter.executed(reported(placed.order_id))
    await process.log.subscribe_durable(SUBSCRIPTION, FILTER, process.booking.retry_unmatched)
    await wait_for_log(
        server,
        "the correction is booked",
        lambda log: any(isinstance(one.event, TradeCorrected) for one in log.events),
    )
    [unmatched] = await events_of(server, CorrectionUnmatched)
    [trade] = await events_of(server, TradeCorrected)
    assert isinstance(unmatched, CorrectionUnmatched)
    assert isinstance(trade, TradeCorrected)
    assert trade.qty == (Decimal(0) if is_busted else Decimal(60))
    assert "no execution 'E1'" in unmatched.reason
    await assert_verified(server, allow_pending=True)
    await process.kill()


@pytest.mark.parametrize(
    "correction",
    [
        corrected("0" * 32, is_busted=True),
        corrected("\ud800", is_busted=True),
        corrected("", execution="E\n", is_busted=True),
        corrected("", qty="NaN"),
        corrected("", qty="-3"),
    ],
)
async def test_a_correction_that_cannot_be_booked_is_kept_once(
    server: MemoryServer, process: OrdersProcess, correction: ReportedCorrection
) -> None:
    placed = (await process.place_order(place_request("100"))).order
    await process.reporter.executed(reported(placed.order_id))
    if not correction.order_id:
        correction = msgspec.structs.replace(correction, order_id=placed.order_id)
    for _ in range(3):
        assert await process.reporter.execution_corrected(correction) is None
    [unmatched] = await events_of(server, CorrectionUnmatched)
    assert isinstance(unmatched, CorrectionUnmatched)
    assert unmatched.reason
    assert not await events_of(server, TradeCorrected)
    await process.kill()


@pytest.mark.parametrize(
    "ahead", [timedelta(hours=1), timedelta(seconds=6), timedelta(days=365 * 7000)]
)
async def test_a_time_ahead_of_the_clock_does_not_spread_to_later_fills(
    server: MemoryServer, process: OrdersProcess, ahead: timedelta
) -> None:
    placed = (await process.place_order(place_request("100"))).order
    early = msgspec.structs.replace(reported(placed.order_id), timestamp=clock() + ahead)
    await process.reporter.executed(early)
    later = msgspec.structs.replace(reported(placed.order_id, "E2", "3"), timestamp=clock())
    await process.reporter.executed(later)
    correction = msgspec.structs.replace(
        corrected(placed.order_id, qty="70"), timestamp=clock() + ahead
    )
    await process.reporter.execution_corrected(correction)
    for kind in (TradeExecuted, TradeCorrected):
        for trade in await events_of(server, kind):
            assert isinstance(trade, TradeExecuted | TradeCorrected)
            assert trade.timestamp <= clock()
    await assert_verified(server, allow_pending=True)
    await process.kill()


async def test_an_execution_is_booked_at_the_time_of_the_venue(
    server: MemoryServer, process: OrdersProcess
) -> None:
    placed = (await process.place_order(place_request("100"))).order
    times = [clock() + timedelta(seconds=seconds) for seconds in (1.5, 4.5, 3)]
    for number, at in enumerate(times):
        execution = reported(placed.order_id, f"E{number}", "1")
        await process.reporter.executed(msgspec.structs.replace(execution, timestamp=at))
    trades = await events_of(server, TradeExecuted)
    assert [one.timestamp for one in trades if isinstance(one, TradeExecuted)] == [
        times[0], times[1], times[1]
    ]  # fmt: skip
    await process.kill()
