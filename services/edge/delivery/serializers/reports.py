"""What other programs report of their strategies, in the words of the strategy streams."""

from tapewire.events import Event, Side
from tapewire.events import reports as of
from tapewire_services.edge.delivery.serializers.serializer import SseMessage
from tapewire_services.edge.delivery.serializers.strategy_payloads import (
    ErrorPayload,
    OrderPayload,
    StopLossPayload,
    StrategyPayload,
)

_STRATEGY_EVENT_NAMES: dict[type[Event], str] = {
    of.StrategyReportedStarted: "STRATEGY_STARTED",
    of.StrategyReportedUpdated: "STRATEGY_UPDATED",
    of.StrategyReportedStopped: "STRATEGY_STOPPED",
    of.StrategyReportedCompleted: "STRATEGY_COMPLETED",
    of.StrategyReportedFailed: "STRATEGY_ERROR",
}
_ORDER_EVENT_NAMES: dict[type[Event], str] = {
    of.OrderReportedPlaced: "ORDER_PLACED",
    of.OrderReportedExecuted: "ORDER_EXECUTED",
    of.OrderReportedRejected: "ORDER_REJECTED",
    of.OrderReportedCancelled: "ORDER_CANCELLED",
    of.OrderReportedFailed: "ORDER_FAILED",
}
_STOP_LOSS_EVENT_NAMES: dict[type[Event], str] = {
    of.StopLossReportedTriggered: "SL_TRIGGERED",
    of.StopLossReportedExecuted: "SL_EXECUTED",
}


def serialize_report(event: Event, owner: str) -> SseMessage | None:
    """A report told; None for what is none."""
    kind = type(event)
    if isinstance(event, of.StrategyReport):
        return _STRATEGY_EVENT_NAMES[kind], _strategy_payload(
            _STRATEGY_EVENT_NAMES[kind], event, owner
        )
    if isinstance(event, of.OrderReport):
        return _ORDER_EVENT_NAMES[kind], _order_payload(
            _ORDER_EVENT_NAMES[kind], event.order, owner
        )
    if isinstance(event, of.StopLossReport):
        return _STOP_LOSS_EVENT_NAMES[kind], _stop_loss_payload(
            _STOP_LOSS_EVENT_NAMES[kind], event, owner
        )
    if isinstance(event, of.ErrorReported):
        return "ERROR", _error_payload(event, owner)
    return None


def _strategy_payload(event_name: str, event: of.StrategyReport, owner: str) -> StrategyPayload:
    strategy = event.strategy
    failed = event if isinstance(event, of.StrategyReportedFailed) else None
    return StrategyPayload(
        type=event_name,
        timestamp=strategy.timestamp,
        strategy_id=strategy.strategy_id,
        user_id=owner,
        status=strategy.status.value,
        position=strategy.position,
        message=strategy.message or "",
        error_code=failed.error_code if failed else None,
        details=failed.details if failed else None,
    )


def _order_payload(event_name: str, order: of.ReportedOrder, owner: str) -> OrderPayload:
    sells = "SL_SELL" if order.stop_loss else "SELL"
    return OrderPayload(
        type=event_name,
        timestamp=order.timestamp,
        strategy_id=order.strategy_id,
        user_id=owner,
        order_id=order.order_id,
        order_type=sells if order.side is Side.SELL else "BUY",
        symbol=order.symbol,
        quantity=order.quantity,
        price=order.price,
        status=order.status.value,
        message=order.reason,
    )


def _stop_loss_payload(event_name: str, event: of.StopLossReport, owner: str) -> StopLossPayload:
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


def _error_payload(event: of.ErrorReported, owner: str) -> ErrorPayload:
    return ErrorPayload(
        type="ERROR",
        timestamp=event.timestamp,
        user_id=owner,
        strategy_id=event.strategy_id,
        error_code=event.error_code,
        error_message=event.error_message,
        details=event.details,
    )
