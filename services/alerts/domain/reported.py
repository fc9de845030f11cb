"""What is said to people of what other programs report: as of Tapewire's own, and by whom."""

from datetime import datetime
from typing import Any

from services.alerts.domain.figures import spelled
from services.alerts.domain.telling import Notice, Occasion, cut
from tapewire.events import (
    ErrorReported,
    Event,
    OrderReport,
    OrderReportedExecuted,
    OrderReportedFailed,
    OrderReportedRejected,
    OrderStatus,
    ReportedOrder,
    ReportedStrategy,
    RuleKind,
    Side,
    StopLossReportedTriggered,
    StrategyReportedFailed,
)

OCCASIONS: dict[type[Event], RuleKind] = {
    OrderReportedRejected: RuleKind.ORDER_REJECTED,
    StrategyReportedFailed: RuleKind.STRATEGY_ERROR,
    StopLossReportedTriggered: RuleKind.STOP_LOSS,
}
NOTICES: tuple[type[Event], ...] = (
    OrderReportedExecuted,
    OrderReportedRejected,
    OrderReportedFailed,
    StrategyReportedFailed,
    StopLossReportedTriggered,
    ErrorReported,
)


def occasion(kind: RuleKind, event: Event) -> Occasion | None:
    """What a report is to rules of `kind`."""
    if isinstance(event, OrderReport):
        order = event.order
        return Occasion(kind, order.symbol, _order(order, "was rejected"), order.timestamp)
    if isinstance(event, StrategyReportedFailed):
        strategy = event.strategy
        return Occasion(kind, strategy.symbol, _failed(event), strategy.timestamp)
    if isinstance(event, StopLossReportedTriggered):
        return Occasion(kind, event.symbol, _stop_loss(event), event.timestamp)
    return None


def notice(event: Event) -> Notice | None:
    """What a report is to its user. An order is told of when it is executed to the end."""
    match event:
        case OrderReportedExecuted() if event.order.status is OrderStatus.FILLED:
            return _of_order(event.order, "order_filled", "Order filled", _executed(event.order))
        case OrderReportedRejected():
            message = _order(event.order, "was rejected")
            return _of_order(event.order, "order_rejected", "Order rejected", message)
        case OrderReportedFailed():
            message = _order(event.order, "failed")
            return _of_order(event.order, "order_failed", "Order failed", message)
        case StrategyReportedFailed():
            return _of_strategy(event)
        case StopLossReportedTriggered():
            return _of_stop_loss(event)
        case ErrorReported():
            return _of_error(event)
    return None


def _of_order(order: ReportedOrder, type_: str, title: str, message: str) -> Notice:
    payload = {
        "source": order.source,
        "orderId": order.order_id,
        "symbol": order.symbol,
        "side": order.side.value,
        "qty": order.quantity,
        "price": order.price,
        "strategyId": order.strategy_id,
    }
    return _notice(type_, title, message, payload, order.timestamp)


def _of_strategy(event: StrategyReportedFailed) -> Notice:
    strategy = event.strategy
    payload = {
        "source": strategy.source,
        "strategyId": strategy.strategy_id,
        "symbol": strategy.symbol,
        "errorCode": cut(event.error_code),
    }
    return _notice("strategy_error", "Strategy error", _failed(event), payload, strategy.timestamp)


def _of_stop_loss(event: StopLossReportedTriggered) -> Notice:
    payload = {
        "source": event.source,
        "strategyId": event.strategy_id,
        "symbol": event.symbol,
        "triggerPrice": event.trigger_price,
        "currentPrice": event.current_price,
        "orderId": event.order_id,
    }
    title = "Stop-loss triggered"
    return _notice("stop_loss", title, _stop_loss(event), payload, event.timestamp)


def _of_error(event: ErrorReported) -> Notice:
    payload = {
        "source": event.source,
        "strategyId": event.strategy_id,
        "errorCode": cut(event.error_code),
    }
    message = f"{event.source}: {cut(event.error_message)}"
    return _notice("error", "Error", message, payload, event.timestamp)


def _notice(type_: str, title: str, message: str, payload: dict[str, Any], at: datetime) -> Notice:
    return Notice(type=type_, title=title, message=message, payload=payload, at=at)


def _executed(order: ReportedOrder) -> str:
    did = "Bought" if order.side is Side.BUY else "Sold"
    at = "" if order.price is None else f" at {spelled(order.price)}"
    return f"{did} {spelled(order.quantity)} {cut(order.symbol)}{at} ({order.source})"


def _order(order: ReportedOrder, what: str) -> str:
    wanted = f"{order.side.value} {spelled(order.quantity)} {cut(order.symbol)}"
    because = f": {cut(order.reason)}" if order.reason else ""
    return f"The order of {order.source} to {wanted} {what}{because}"


def _failed(event: StrategyReportedFailed) -> str:
    return f"{_called(event.strategy)} stopped: {cut(event.details)}"


def _called(strategy: ReportedStrategy) -> str:
    """Its name, and whose it is or what it trades."""
    name = cut(strategy.name or strategy.strategy_id)
    return f"{name} ({cut(strategy.symbol or strategy.source)})"


def _stop_loss(event: StopLossReportedTriggered) -> str:
    price = spelled(event.current_price)
    return (
        f"Stop-loss of {cut(event.strategy_id)}: {cut(event.symbol or 'the price')} is at {price}, "
        f"the stop at {spelled(event.trigger_price)}"
    )
