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
async def harness() -> ClientHarness:
    return ClientHarness()


async def test_strategy_started_stores_its_event(harness: ClientHarness) -> None:
    receipt = await harness.client().strategy_started(
        user="alice", strategy_id="s-1", symbol="BRK.B", position=-2.5, name="Momentum",
        message="the desk is open", at=AT,
    )  # fmt: skip
    expected = strategy(
        StrategyStatus.STARTED, symbol="BRK.B", position=Decimal("-2.5"), name="Momentum",
        message="the desk is open",
    )  # fmt: skip
    assert harness.stored_events() == [(REPORTS, StrategyReportedStarted(strategy=expected))]
    [recorded] = harness.recorded_events()
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
    harness: ClientHarness, call: str, kind: type[StrategyReport], status: StrategyStatus
) -> None:
    await getattr(harness.client(), call)(user="alice", strategy_id="s-1", at=AT)
    assert harness.stored_events() == [(REPORTS, kind(strategy=strategy(status)))]


async def test_strategy_errored_stores_its_event(harness: ClientHarness) -> None:
    await harness.client().strategy_errored(
        user="alice", strategy_id="s-1", error_code="venue_down", details="no heartbeat", at=AT
    )
    expected = StrategyReportedFailed(
        strategy=strategy(StrategyStatus.ERROR), error_code="venue_down", details="no heartbeat"
    )
    assert harness.stored_events() == [(REPORTS, expected)]


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
    harness: ClientHarness, call: str, kind: type[OrderReport], status: OrderStatus
) -> None:
    await getattr(harness.client(), call)(**ORDER, reason="so it is")
    assert harness.stored_events() == [(REPORTS, kind(order=order(status, reason="so it is")))]


@pytest.mark.parametrize(
    ("partly", "status"), [(False, OrderStatus.FILLED), (True, OrderStatus.PARTIALLY_FILLED)]
)
async def test_order_executed_stores_its_event(
    harness: ClientHarness, partly: bool, status: OrderStatus
) -> None:
    await harness.client().order_executed(**ORDER, price="512.4600", stop_loss=True, partly=partly)
    expected = order(status, price=Decimal("512.4600"), stop_loss=True)
    [(subject, event)] = harness.stored_events()
    assert (subject, event) == (REPORTS, OrderReportedExecuted(order=expected))
    assert isinstance(event, OrderReportedExecuted)
    assert str(event.order.price) == "512.4600"


async def test_an_order_without_a_strategy_belongs_to_its_source(
    harness: ClientHarness,
) -> None:
    alone = ORDER.copy()
    del alone["strategy_id"]
    await harness.client().order_placed(**alone)
    [(subject, _)] = harness.stored_events()
    assert subject == "ev.alice.reports.desk"


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ("stop_loss_triggered", StopLossReportedTriggered),
        ("stop_loss_executed", StopLossReportedExecuted),
    ],
)
async def test_stop_loss_calls_store_their_events(
    harness: ClientHarness,
    call: str,
    kind: type[StopLossReportedTriggered | StopLossReportedExecuted],
) -> None:
    await getattr(harness.client(), call)(
        user="alice", strategy_id="s-1", symbol="IBM", trigger_price=182.4, current_price="182.30",
        order_id="o-2", at=AT,
    )  # fmt: skip
    expected = kind(
        source="desk",
        strategy_id="s-1",
        symbol="IBM",
        trigger_price=Decimal("182.4"),
        current_price=Decimal("182.30"),
        order_id="o-2",
        timestamp=AT,
    )
    assert harness.stored_events() == [(REPORTS, expected)]


@pytest.mark.parametrize(("strategy_id", "entity"), [("s-1", "desk%2Fs-1"), (None, "desk")])
async def test_error_stores_its_event(
    harness: ClientHarness, strategy_id: str | None, entity: str
) -> None:
    await harness.client().error(
        user="alice", error_code="clock_skew", error_message="3 s behind", details="since 15:11",
        strategy_id=strategy_id, at=AT,
    )  # fmt: skip
    expected = ErrorReported(
        source="desk",
        strategy_id=strategy_id,
        error_code="clock_skew",
        error_message="3 s behind",
        details="since 15:11",
        timestamp=AT,
    )
    assert harness.stored_events() == [(f"ev.alice.reports.{entity}", expected)]


async def test_decision_stores_its_event(harness: ClientHarness) -> None:
    receipt = await harness.client().decision(
        user="alice", strategy_id="s-1", symbol="IBM", action="buy", confidence=0.8,
        reasoning="the model says so", taken=False, at=AT,
    )  # fmt: skip
    expected = DecisionMade(
        decision_id=receipt.id,
        strategy_id="s-1",
        symbol="IBM",
        action=Action.BUY,
        confidence=Decimal("0.8"),
        reasoning="the model says so",
        taken=False,
        timestamp=AT,
    )
    assert harness.stored_events() == [("ev.alice.decisions.desk%2Fs-1", expected)]


async def test_an_alert_has_an_entity_of_its_own(harness: ClientHarness) -> None:
    client = harness.client()
    one = await client.alert(
        user="alice", message="come and look", level="error", symbol="IBM", at=AT, event_id="a-1"
    )
    expected = AlertRaised(
        alert_id="a-1",
        level=AlertLevel.ERROR,
        message="come and look",
        symbol="IBM",
        rule_id=None,
        timestamp=AT,
    )
    assert harness.stored_events() == [("ev.alice.alerts.a-1", expected)]
    again = await client.alert(user="alice", message="come and look", event_id="a-1")
    assert (again.sequence, again.is_duplicate) == (one.sequence, True)
    assert len(harness.recorded_events()) == 1


async def test_price_stores_a_quote(harness: ClientHarness) -> None:
    await harness.client().price(
        "BRK.B", 512.5, bid="512.45", ask="512.55", bid_size=100, ask_size=200, volume=5000,
        day_open=500, at=AT,
    )  # fmt: skip
    quote = harness.stored_quote("BRK.B")
    assert (quote.symbol, quote.price, quote.bid, quote.ask) == (
        "BRK.B",
        Decimal("512.5"),
        Decimal("512.45"),
        Decimal("512.55"),
    )
    assert [quote.bid_size, quote.ask_size, quote.volume] == [*map(Decimal, (100, 200, 5000))]
    assert (quote.change, quote.change_percent) == (Decimal("12.5"), Decimal("2.5"))
    assert quote.timestamp == AT
    assert harness.recorded_events() == []


async def test_a_price_without_sides_is_its_own_bid_and_ask_with_size_0(
    harness: ClientHarness,
) -> None:
    before = datetime.now(UTC)
    await harness.client().price("IBM", 182)
    quote = harness.stored_quote("IBM")
    assert {quote.price, quote.bid, quote.ask} == {Decimal(182)}
    assert {quote.bid_size, quote.ask_size, quote.volume, quote.change} == {Decimal(0)}
    assert before <= quote.timestamp <= datetime.now(UTC)


async def test_events_have_the_current_time_by_default(harness: ClientHarness) -> None:
    before = datetime.now(UTC)
    await harness.client().strategy_started(user="alice", strategy_id="s-1")
    [(_, event)] = harness.stored_events()
    assert isinstance(event, StrategyReport)
    assert before <= event.strategy.timestamp <= datetime.now(UTC)


async def test_equal_strategy_ids_of_two_sources_are_separate(harness: ClientHarness) -> None:
    """Two programs may use the same strategy id."""
    await harness.client("one").strategy_started(user="alice", strategy_id="s")
    await harness.client("two").strategy_started(user="alice", strategy_id="s")
    assert [subject for subject, _ in harness.stored_events()] == [
        "ev.alice.reports.one%2Fs",
        "ev.alice.reports.two%2Fs",
    ]
