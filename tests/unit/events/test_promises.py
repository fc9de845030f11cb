"""Every SSE event that clients are promised has event types with all the promised fields.

`PROMISED` lists the promises: the SSE event, the event types that it is made from, and the fields
that each type must contain, by their JSON names.
"""

from collections.abc import Iterator

import msgspec
import pytest

from tapewire.events import CATALOGUE, Delivery, OrderStatus, RuleKind, StrategyStatus

ORDER = (
    "orderId clientOrderId symbol side type qty limitPrice status filledQty filledAvgPrice"
    " strategyId reason timestamp"
)
STRATEGY = "strategyId symbol status position message timestamp"
REPORTED_ORDER = "strategyId orderId side stopLoss symbol quantity price status timestamp"
STOP = "strategyId triggerPrice currentPrice orderId timestamp"
POSITION = "symbol quantity entryPrice realizedPnl timestamp"
ERROR = "errorCode details strategyId timestamp"

PROMISED: list[tuple[str, str, str]] = [
    # Trading streams.
    ("order:update",
     "order.placed order.accepted order.canceled order.rejected order.failed", ORDER),
    ("order:update, waiting", "order.waiting", f"{ORDER} waiting"),
    ("order:update, requests and stops",
     ("order.cancel_requested order.cancel_rejected order.replace_requested order.replaced"
      " order.replace_rejected order.triggered"),
     f"{ORDER} stopPrice timeInForce reduceOnly triggeredAt replacement feeTotal venueOrderId"),
    ("order:update, corrected executions and splits", "order.execution_corrected order.split",
     f"{ORDER} feeTotal"),
    ("trade:corrected", "trade.corrected",
     ("tradeId orderId symbol side qty price strategyId timestamp before fee executionId"
      " correctionId")),
    ("order:fill", "order.filled",
     f"{ORDER} price qty tradeId fee executionId venueTime exceptions"),
    ("trade:new", "trade.executed",
     "tradeId orderId symbol side qty price strategyId timestamp fee executionId venueTime"),
    ("position:update", ("position.opened position.changed position.closed position.corrected"
      " position.split"), POSITION),
    ("position:update, revalued", "position.valued", f"{POSITION} currentPrice unrealizedPnl"),
    ("price:update", "price.updated", "symbol price bid ask volume change changePercent timestamp"),
    ("ai:decision", "decision.made",
     "decisionId strategyId symbol action confidence reasoning timestamp"),
    ("strategy:update, signal", "strategy.signaled", f"{STRATEGY} action confidence reasoning"),
    ("strategy:update, status",
     "strategy.created strategy.started strategy.stopped strategy.updated strategy.completed",
     STRATEGY),
    ("strategy:update, error", "strategy.failed", f"{STRATEGY} {ERROR}"),
    ("alert:new", "alert.raised", "alertId level message symbol timestamp"),
    ("agent:status", "agent.status", "service state timestamp"),
    # Strategy streams: of strategies that Tapewire runs, and of those that other programs run.
    ("STRATEGY_STARTED", "strategy.started report.strategy_started", STRATEGY),
    ("STRATEGY_STOPPED", "strategy.stopped report.strategy_stopped", STRATEGY),
    ("STRATEGY_UPDATED", "strategy.updated strategy.traded report.strategy_updated", STRATEGY),
    ("STRATEGY_COMPLETED", "strategy.completed report.strategy_completed", STRATEGY),
    ("STRATEGY_ERROR", "strategy.failed report.strategy_failed", f"{STRATEGY} {ERROR}"),
    ("ORDER_PLACED", "order.placed", ORDER),
    ("ORDER_EXECUTED", "order.filled", ORDER),
    ("ORDER_REJECTED", "order.rejected", ORDER),
    ("ORDER_CANCELLED", "order.canceled", ORDER),
    ("ORDER_FAILED", "order.failed", ORDER),
    ("ORDER_UPDATED", "order.waiting", f"{ORDER} waiting"),
    ("ORDER_UPDATED, requests and stops",
     ("order.cancel_requested order.cancel_rejected order.replace_requested order.replaced"
      " order.replace_rejected order.triggered order.execution_corrected order.split"),
     f"{ORDER} stopPrice replacement"),
    ("ORDER_*, reported",
     ("report.order_placed report.order_executed report.order_rejected report.order_cancelled"
      " report.order_failed"), REPORTED_ORDER),
    ("STRATEGY_UPDATED, exits",
     ("strategy.take_profit_triggered strategy.take_profit_executed strategy.closing"
      " strategy.position_adjusted strategy.deleted strategy.split"),
     "strategyId status position message"),
    ("SL_TRIGGERED", "strategy.stop_loss_triggered report.stop_loss_triggered", STOP),
    ("SL_EXECUTED", "strategy.stop_loss_executed report.stop_loss_executed", STOP),
    ("PRICE_UPDATE", "price.updated", "symbol price change changePercent"),
    ("ERROR", "report.error", f"{ERROR} errorMessage"),
    # Dashboard streams and notifications.
    ("new_item", "item.analysed", "id title source tickers tags sentiment score timestamp"),
    ("item:corrected, item:retracted", "item.corrected item.retracted",
     "id title source tickers tags sentiment score timestamp reason"),
    ("configurations", "configuration.created configuration.changed configuration.deleted",
     "id name tickers tags"),
    ("notification", "notification.created", "id type title message payload isRead createdAt"),
    ("notification:read", "notification.read", "ids"),
]  # fmt: skip


def fields(struct: type) -> Iterator[str]:
    """Yield the JSON name of every field of the struct and of its nested structs."""
    for field in msgspec.structs.fields(struct):
        yield field.encode_name
        for part in getattr(field.type, "__args__", (field.type,)):
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                yield from fields(part)


@pytest.mark.parametrize(("promise", "types", "promised"), PROMISED)
def test_event_types_hold_the_promised_fields(promise: str, types: str, promised: str) -> None:
    for name in types.split():
        held = set(fields(CATALOGUE.struct_for_tag(f"{name}.v1")))
        lacking = set(promised.split()) - held
        assert not lacking, f"{promise}: {name} lacks {sorted(lacking)}"


def test_every_event_type_is_promised_or_listed_as_private() -> None:
    promised = {name for _, types, _ in PROMISED for name in types.split()}
    own = {
        "rule.created",
        "rule.triggered",
        "rule.armed",
        "rule.deleted",
        "rule.split",
        "split.executed",
        "key.used",
        "user.erased",
        "execution.unmatched",
        "execution.correction_unmatched",
    }
    ours = {kind.name for kind in CATALOGUE.event_types() if kind.package == "tapewire"}
    assert ours - promised - own == set(), "add the event type to PROMISED or to the private types"


def test_enum_values_are_those_promised_to_clients() -> None:
    assert {one.value for one in OrderStatus} == {
        "new", "partially_filled", "filled", "canceled", "rejected", "failed",
        "pending_cancel", "pending_replace",
    }  # fmt: skip
    assert {one.value for one in StrategyStatus} == {
        "created", "started", "stopped", "completed", "error", "deleted",
    }  # fmt: skip
    assert {"price_above", "price_below", "percent_move"} <= {one.value for one in RuleKind}


def test_only_quotes_and_valuations_are_newest_wins() -> None:
    values = {
        kind.name
        for kind in CATALOGUE.event_types()
        if kind.package == "tapewire" and kind.delivery is Delivery.NEWEST_WINS
    }
    assert values == {"price.updated", "position.valued"}
