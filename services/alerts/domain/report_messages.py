"""The words for people about what other programs report; each names the source."""

from datetime import datetime
from typing import Any

from tapewire.decimals import format_decimal
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
from tapewire_services.alerts.domain.armed_rules import TriggerCandidate
from tapewire_services.alerts.domain.notifications import NotificationContent, truncate_line

RULE_KIND_BY_REPORT_TYPE: dict[type[Event], RuleKind] = {
    OrderReportedRejected: RuleKind.ORDER_REJECTED,
    StrategyReportedFailed: RuleKind.STRATEGY_ERROR,
    StopLossReportedTriggered: RuleKind.STOP_LOSS,
}
NOTIFIED_REPORT_TYPES: tuple[type[Event], ...] = (
    OrderReportedExecuted,
    OrderReportedRejected,
    OrderReportedFailed,
    StrategyReportedFailed,
    StopLossReportedTriggered,
    ErrorReported,
)


def to_trigger_candidate(kind: RuleKind, event: Event) -> TriggerCandidate | None:
    """The trigger that a report gives to rules of `kind`, or None."""
    if isinstance(event, OrderReport):
        order = event.order
        return TriggerCandidate(
            kind, order.symbol, _order_message(order, "was rejected"), order.timestamp
        )
    if isinstance(event, StrategyReportedFailed):
        strategy = event.strategy
        return TriggerCandidate(
            kind, strategy.symbol, _strategy_failed_message(event), strategy.timestamp
        )
    if isinstance(event, StopLossReportedTriggered):
        return TriggerCandidate(kind, event.symbol, _stop_loss_message(event), event.timestamp)
    return None


def to_notification_content(event: Event) -> NotificationContent | None:
    """The notification of a report for its user, or None. Executions are notified once the order
    is filled completely."""
    match event:
        case OrderReportedExecuted() if event.order.status is OrderStatus.FILLED:
            return _build_order_content(
                event.order, "order_filled", "Order filled", _executed_message(event.order)
            )
        case OrderReportedRejected():
            message = _order_message(event.order, "was rejected")
            return _build_order_content(event.order, "order_rejected", "Order rejected", message)
        case OrderReportedFailed():
            message = _order_message(event.order, "failed")
            return _build_order_content(event.order, "order_failed", "Order failed", message)
        case StrategyReportedFailed():
            return _build_strategy_content(event)
        case StopLossReportedTriggered():
            return _build_stop_loss_content(event)
        case ErrorReported():
            return _build_error_content(event)
    return None


def _build_order_content(
    order: ReportedOrder, type_: str, title: str, message: str
) -> NotificationContent:
    payload = {
        "source": order.source,
        "orderId": order.order_id,
        "symbol": order.symbol,
        "side": order.side.value,
        "qty": order.quantity,
        "price": order.price,
        "strategyId": order.strategy_id,
    }
    return _build_content(type_, title, message, payload, order.timestamp)


def _build_strategy_content(event: StrategyReportedFailed) -> NotificationContent:
    strategy = event.strategy
    payload = {
        "source": strategy.source,
        "strategyId": strategy.strategy_id,
        "symbol": strategy.symbol,
        "errorCode": truncate_line(event.error_code),
    }
    return _build_content(
        "strategy_error",
        "Strategy error",
        _strategy_failed_message(event),
        payload,
        strategy.timestamp,
    )


def _build_stop_loss_content(event: StopLossReportedTriggered) -> NotificationContent:
    payload = {
        "source": event.source,
        "strategyId": event.strategy_id,
        "symbol": event.symbol,
        "triggerPrice": event.trigger_price,
        "currentPrice": event.current_price,
        "orderId": event.order_id,
    }
    title = "Stop-loss triggered"
    return _build_content("stop_loss", title, _stop_loss_message(event), payload, event.timestamp)


def _build_error_content(event: ErrorReported) -> NotificationContent:
    payload = {
        "source": event.source,
        "strategyId": event.strategy_id,
        "errorCode": truncate_line(event.error_code),
    }
    message = f"{event.source}: {truncate_line(event.error_message)}"
    return _build_content("error", "Error", message, payload, event.timestamp)


def _build_content(
    type_: str, title: str, message: str, payload: dict[str, Any], at: datetime
) -> NotificationContent:
    return NotificationContent(type=type_, title=title, message=message, payload=payload, at=at)


def _executed_message(order: ReportedOrder) -> str:
    verb = "Bought" if order.side is Side.BUY else "Sold"
    price = "" if order.price is None else f" at {format_decimal(order.price)}"
    symbol = truncate_line(order.symbol)
    return f"{verb} {format_decimal(order.quantity)} {symbol}{price} ({order.source})"


def _order_message(order: ReportedOrder, outcome: str) -> str:
    terms = f"{order.side.value} {format_decimal(order.quantity)} {truncate_line(order.symbol)}"
    because = f": {truncate_line(order.reason)}" if order.reason else ""
    return f"The order of {order.source} to {terms} {outcome}{because}"


def _strategy_failed_message(event: StrategyReportedFailed) -> str:
    return f"{_describe_strategy(event.strategy)} stopped: {truncate_line(event.details)}"


def _describe_strategy(strategy: ReportedStrategy) -> str:
    """The name of a strategy, with its symbol or, without one, its source."""
    name = truncate_line(strategy.name or strategy.strategy_id)
    return f"{name} ({truncate_line(strategy.symbol or strategy.source)})"


def _stop_loss_message(event: StopLossReportedTriggered) -> str:
    price = format_decimal(event.current_price)
    symbol = truncate_line(event.symbol or "the price")
    return (
        f"Stop-loss of {truncate_line(event.strategy_id)}: {symbol} is at {price}, "
        f"the stop at {format_decimal(event.trigger_price)}"
    )
