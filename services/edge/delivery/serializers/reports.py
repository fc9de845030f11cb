"""Serializes what other programs report about their strategies, for the strategy streams."""

from tapewire.events import Event, Side, reports
from tapewire.payloads.strategies import (
    ErrorPayload,
    OrderPayload,
    StopLossPayload,
    StrategyPayload,
)
from tapewire_services.edge.delivery.serializers.serializer import SseMessage

_STRATEGY_EVENT_NAMES: dict[type[Event], str] = {
    reports.StrategyReportedStarted: "STRATEGY_STARTED",
    reports.StrategyReportedUpdated: "STRATEGY_UPDATED",
    reports.StrategyReportedStopped: "STRATEGY_STOPPED",
    reports.StrategyReportedCompleted: "STRATEGY_COMPLETED",
    reports.StrategyReportedFailed: "STRATEGY_ERROR",
}
_ORDER_EVENT_NAMES: dict[type[Event], str] = {
    reports.OrderReportedPlaced: "ORDER_PLACED",
    reports.OrderReportedExecuted: "ORDER_EXECUTED",
    reports.OrderReportedRejected: "ORDER_REJECTED",
    reports.OrderReportedCancelled: "ORDER_CANCELLED",
    reports.OrderReportedFailed: "ORDER_FAILED",
}
_STOP_LOSS_EVENT_NAMES: dict[type[Event], str] = {
    reports.StopLossReportedTriggered: "SL_TRIGGERED",
    reports.StopLossReportedExecuted: "SL_EXECUTED",
}


def serialize_report(event: Event, owner: str) -> SseMessage | None:
    """The message for a report; None for any other event."""
    kind = type(event)
    if isinstance(event, reports.StrategyReport):
        return _STRATEGY_EVENT_NAMES[kind], _strategy_payload(
            _STRATEGY_EVENT_NAMES[kind], event, owner
        )
    if isinstance(event, reports.OrderReport):
        return _ORDER_EVENT_NAMES[kind], _order_payload(
            _ORDER_EVENT_NAMES[kind], event.order, owner
        )
    if isinstance(event, reports.StopLossReport):
        return _STOP_LOSS_EVENT_NAMES[kind], _stop_loss_payload(
            _STOP_LOSS_EVENT_NAMES[kind], event, owner
        )
    if isinstance(event, reports.ErrorReported):
        return "ERROR", _error_payload(event, owner)
    return None


def _strategy_payload(
    event_name: str, event: reports.StrategyReport, owner: str
) -> StrategyPayload:
    strategy = event.strategy
    failed = event if isinstance(event, reports.StrategyReportedFailed) else None
    return StrategyPayload(
        type=event_name,
        timestamp=strategy.timestamp,
        strategy_id=strategy.strategy_id,
        user_id=owner,
        status=strategy.status,
        position=strategy.position,
        message=strategy.message or "",
        error_code=failed.error_code if failed else None,
        details=failed.details if failed else None,
    )


def _order_payload(event_name: str, order: reports.ReportedOrder, owner: str) -> OrderPayload:
    sell_type = "SL_SELL" if order.stop_loss else "SELL"
    return OrderPayload(
        type=event_name,
        timestamp=order.timestamp,
        strategy_id=order.strategy_id,
        user_id=owner,
        order_id=order.order_id,
        order_type=sell_type if order.side is Side.SELL else "BUY",
        symbol=order.symbol,
        quantity=order.quantity,
        price=order.price,
        status=order.status.value,
        message=order.reason,
    )


def _stop_loss_payload(
    event_name: str, event: reports.StopLossReport, owner: str
) -> StopLossPayload:
    return StopLossPayload(
        type=event_name,
        timestamp=event.timestamp,
        strategy_id=event.strategy_id,
        user_id=owner,
        symbol=event.symbol,
        trigger_price=event.trigger_price,
        current_price=event.current_price,
        order_id=event.order_id,
    )


def _error_payload(event: reports.ErrorReported, owner: str) -> ErrorPayload:
    return ErrorPayload(
        type="ERROR",
        timestamp=event.timestamp,
        user_id=owner,
        strategy_id=event.strategy_id,
        error_code=event.error_code,
        error_message=event.error_message,
        details=event.details,
    )
