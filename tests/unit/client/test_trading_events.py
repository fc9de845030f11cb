"""Each call stores the matching event under the right subject, with exact values."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tapewire import Action, AlertLevel, Side
from tapewire.events import (
    AlertRaised,
    DecisionMade,
    ErrorReported,
    OrderReport,
    OrderReportedCancelled,
    OrderReportedExecuted,
    OrderReportedFailed,
    OrderReportedPlaced,
    OrderReportedRejected,
    OrderStatus,
    ReportedOrder,
    ReportedStrategy,
    StopLossReportedExecuted,
    StopLossReportedTriggered,
    StrategyReport,
    StrategyReportedCompleted,
    StrategyReportedFailed,
    StrategyReportedStarted,
    StrategyReportedStopped,
    StrategyReportedUpdated,
    StrategyStatus,
)
from tests.harness.client_harness import ClientHarness

AT = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
REPORTS = "ev.alice.reports.desk%2Fs-1"


def strategy(status: StrategyStatus, **fields: Any) -> ReportedStrategy:
    values = {"name": None, "symbol": None, "position": Decimal(0), "message": None, **fields}
    return ReportedStrategy(source="desk", strategy_id="s-1", status=status, timestamp=AT, **values)


def order(status: OrderStatus, **fields: Any) -> ReportedOrder:
    values = {"strategy_id": "s-1", "stop_loss": False, "price": None, "reason": None, **fields}
    return ReportedOrder(
        source="desk",
        order_id="o-1",
        symbol="BRK.B",
        side=Side.SELL,
        quantity=Decimal("2.5"),
        status=status,
        timestamp=AT,
        **values,
    )


@pytest.fixture
async def house() -> ClientHarness:
    return ClientHarness()


async def test_strategy_started_stores_its_event(house: ClientHarness) -> None:
    receipt = await house.client().strategy_started(
        user="alice", strategy_id="s-1", symbol="BRK.B", position=-2.5, name="Momentum",
        message="the desk is open", at=AT,
    )  # fmt: skip
    said = strategy(
        StrategyStatus.STARTED, symbol="BRK.B", position=Decimal("-2.5"), name="Momentum",
        message="the desk is open",
    )  # fmt: skip
    assert house.stored_events() == [(REPORTS, StrategyReportedStarted(strategy=said))]
    [recorded] = house.recorded_events()
    assert (receipt.id, receipt.sequence, receipt.is_duplicate) == (recorded.metadata.id, 1, False)


@pytest.mark.parametrize(
    ("call", "kind", "status"),
    [
        ("strategy_updated", StrategyReportedUpdated, StrategyStatus.STARTED),
        ("strategy_stopped", StrategyReportedStopped, StrategyStatus.STOPPED),
        ("strategy_completed", StrategyReportedCompleted, StrategyStatus.COMPLETED),
    ],
)
async def test_other_strategy_calls_store_their_events(
    house: ClientHarness, call: str, kind: type[StrategyReport], status: StrategyStatus
) -> None:
    await getattr(house.client(), call)(user="alice", strategy_id="s-1", at=AT)
    assert house.stored_events() == [(REPORTS, kind(strategy=strategy(status)))]


async def test_strategy_errored_stores_its_event(house: ClientHarness) -> None:
    await house.client().strategy_errored(
        user="alice", strategy_id="s-1", error_code="venue_down", details="no heartbeat", at=AT
    )
    said = StrategyReportedFailed(
        strategy=strategy(StrategyStatus.ERROR), error_code="venue_down", details="no heartbeat"
    )
    assert house.stored_events() == [(REPORTS, said)]


ORDER: dict[str, Any] = {
    "user": "alice", "order_id": "o-1", "symbol": "BRK.B", "side": "sell", "quantity": 2.5,
    "strategy_id": "s-1", "at": AT,
}  # fmt: skip


@pytest.mark.parametrize(
    ("call", "kind", "status"),
    [
        ("order_placed", OrderReportedPlaced, OrderStatus.NEW),
        ("order_rejected", OrderReportedRejected, OrderStatus.REJECTED),
        ("order_cancelled", OrderReportedCancelled, OrderStatus.CANCELED),
        ("order_failed", OrderReportedFailed, OrderStatus.FAILED),
    ],
)
async def test_order_calls_store_their_events(
    house: ClientHarness, call: str, kind: type[OrderReport], status: OrderStatus
) -> None:
    await getattr(house.client(), call)(**ORDER, reason="so it is")
    assert house.stored_events() == [(REPORTS, kind(order=order(status, reason="so it is")))]


@pytest.mark.parametrize(
    ("partly", "status"), [(False, OrderStatus.FILLED), (True, OrderStatus.PARTIALLY_FILLED)]
)
async def test_order_executed_stores_its_event(
    house: ClientHarness, partly: bool, status: OrderStatus
) -> None:
    await house.client().order_executed(**ORDER, price="512.4600", stop_loss=True, partly=partly)
    said = order(status, price=Decimal("512.4600"), stop_loss=True)
    [(subject, event)] = house.stored_events()
    assert (subject, event) == (REPORTS, OrderReportedExecuted(order=said))
    assert isinstance(event, OrderReportedExecuted)
    assert str(event.order.price) == "512.4600"


async def test_an_order_without_a_strategy_belongs_to_its_source(
    house: ClientHarness,
) -> None:
    alone = ORDER.copy()
    del alone["strategy_id"]
    await house.client().order_placed(**alone)
    [(subject, _)] = house.stored_events()
    assert subject == "ev.alice.reports.desk"


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ("stop_loss_triggered", StopLossReportedTriggered),
        ("stop_loss_executed", StopLossReportedExecuted),
    ],
)
async def test_stop_loss_calls_store_their_events(
    house: ClientHarness,
    call: str,
    kind: type[StopLossReportedTriggered | StopLossReportedExecuted],
) -> None:
    await getattr(house.client(), call)(
        user="alice", strategy_id="s-1", symbol="IBM", trigger_price=182.4, current_price="182.30",
        order_id="o-2", at=AT,
    )  # fmt: skip
    said = kind(
        source="desk",
        strategy_id="s-1",
        symbol="IBM",
        trigger_price=Decimal("182.4"),
        current_price=Decimal("182.30"),
        order_id="o-2",
        timestamp=AT,
    )
    assert house.stored_events() == [(REPORTS, said)]


@pytest.mark.parametrize(("strategy_id", "entity"), [("s-1", "desk%2Fs-1"), (None, "desk")])
async def test_error_stores_its_event(
    house: ClientHarness, strategy_id: str | None, entity: str
) -> None:
    await house.client().error(
        user="alice", error_code="clock_skew", error_message="3 s behind", details="since 15:11",
        strategy_id=strategy_id, at=AT,
    )  # fmt: skip
    said = ErrorReported(
        source="desk",
        strategy_id=strategy_id,
        error_code="clock_skew",
        error_message="3 s behind",
        details="since 15:11",
        timestamp=AT,
    )
    assert house.stored_events() == [(f"ev.alice.reports.{entity}", said)]


async def test_decision_stores_its_event(house: ClientHarness) -> None:
    receipt = await house.client().decision(
        user="alice", strategy_id="s-1", symbol="IBM", action="buy", confidence=0.8,
        reasoning="the model says so", taken=False, at=AT,
    )  # fmt: skip
    said = DecisionMade(
        decision_id=receipt.id,
        strategy_id="s-1",
        symbol="IBM",
        action=Action.BUY,
        confidence=Decimal("0.8"),
        reasoning="the model says so",
        taken=False,
        timestamp=AT,
    )
    assert house.stored_events() == [("ev.alice.decisions.desk%2Fs-1", said)]


async def test_an_alert_has_an_entity_of_its_own(house: ClientHarness) -> None:
    client = house.client()
    one = await client.alert(
        user="alice", message="come and look", level="error", symbol="IBM", at=AT, event_id="a-1"
    )
    said = AlertRaised(
        alert_id="a-1",
        level=AlertLevel.ERROR,
        message="come and look",
        symbol="IBM",
        rule_id=None,
        timestamp=AT,
    )
    assert house.stored_events() == [("ev.alice.alerts.a-1", said)]
    again = await client.alert(user="alice", message="come and look", event_id="a-1")
    assert (again.sequence, again.is_duplicate) == (one.sequence, True)
    assert len(house.recorded_events()) == 1


async def test_price_stores_a_quote(house: ClientHarness) -> None:
    await house.client().price(
        "BRK.B", 512.5, bid="512.45", ask="512.55", bid_size=100, ask_size=200, volume=5000,
        day_open=500, at=AT,
    )  # fmt: skip
    quote = house.stored_quote("BRK.B")
    assert (quote.symbol, quote.price, quote.bid, quote.ask) == (
        "BRK.B",
        Decimal("512.5"),
        Decimal("512.45"),
        Decimal("512.55"),
    )
    assert (quote.bid_size, quote.ask_size, quote.volume) == (100, 200, 5000)
    assert (quote.change, quote.change_percent) == (Decimal("12.5"), Decimal("2.5"))
    assert quote.timestamp == AT
    assert house.recorded_events() == []


async def test_a_price_without_sides_is_its_own_bid_and_ask_with_size_0(
    house: ClientHarness,
) -> None:
    before = datetime.now(UTC)
    await house.client().price("IBM", 182)
    quote = house.stored_quote("IBM")
    assert (quote.price, quote.bid, quote.ask) == (182, 182, 182)
    assert (quote.bid_size, quote.ask_size, quote.volume, quote.change) == (0, 0, 0, 0)
    assert before <= quote.timestamp <= datetime.now(UTC)


async def test_events_have_the_current_time_by_default(house: ClientHarness) -> None:
    before = datetime.now(UTC)
    await house.client().strategy_started(user="alice", strategy_id="s-1")
    [(_, event)] = house.stored_events()
    assert isinstance(event, StrategyReport)
    assert before <= event.strategy.timestamp <= datetime.now(UTC)


async def test_equal_strategy_ids_of_two_sources_are_separate(house: ClientHarness) -> None:
    """Two programs may use the same strategy id."""
    await house.client("one").strategy_started(user="alice", strategy_id="s")
    await house.client("two").strategy_started(user="alice", strategy_id="s")
    assert [subject for subject, _ in house.stored_events()] == [
        "ev.alice.reports.one%2Fs",
        "ev.alice.reports.two%2Fs",
    ]
