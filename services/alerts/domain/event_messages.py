"""The words for people about Tapewire's own events: triggers of rules, and notifications.

`to_trigger_candidate` and `to_notification_content` return None for events that concern neither.
`RULE_KIND_BY_EVENT_TYPE` and `NOTIFIED_EVENT_TYPES` list the types that do, so the others need not
be decoded. `report_messages` does the same for what other programs report.
"""

from decimal import Decimal
from typing import Any

from tapewire.decimals import format_decimal
from tapewire.events import (
    AlertLevel,
    AlertRaised,
    Event,
    Order,
    OrderEvent,
    OrderFailed,
    OrderFilled,
    OrderRejected,
    OrderStatus,
    RuleKind,
    Side,
    StopLossTriggered,
    Strategy,
    StrategyFailed,
    StrategyPositionAdjusted,
    TakeProfitTriggered,
)
from tapewire_services.alerts.domain import report_messages
from tapewire_services.alerts.domain.armed_rules import TriggerCandidate
from tapewire_services.alerts.domain.notifications import NotificationContent, truncate_line

RULE_KIND_BY_EVENT_TYPE: dict[type[Event], RuleKind] = {
    OrderRejected: RuleKind.ORDER_REJECTED,
    StrategyFailed: RuleKind.STRATEGY_ERROR,
    StopLossTriggered: RuleKind.STOP_LOSS,
    **report_messages.RULE_KIND_BY_REPORT_TYPE,
}
"""The kind of rule that each event triggers."""

NOTIFIED_EVENT_TYPES: tuple[type[Event], ...] = (
    OrderFilled,
    OrderRejected,
    OrderFailed,
    StrategyFailed,
    StopLossTriggered,
    TakeProfitTriggered,
    StrategyPositionAdjusted,
    AlertRaised,
    *report_messages.NOTIFIED_REPORT_TYPES,
)

ALERT_TITLES = {
    AlertLevel.INFO: "Alert",
    AlertLevel.WARNING: "Warning",
    AlertLevel.ERROR: "Urgent alert",
}


def to_trigger_candidate(event: Event) -> TriggerCandidate | None:
    """The trigger that `event` gives to rules, or None."""
    kind = RULE_KIND_BY_EVENT_TYPE.get(type(event))
    if kind is None:
        return None
    if isinstance(event, OrderEvent):
        order = event.order
        return TriggerCandidate(kind, order.symbol, _rejected_message(order), order.timestamp)
    if isinstance(event, StrategyFailed):
        strategy = event.strategy
        return TriggerCandidate(
            kind, strategy.symbol, _strategy_failed_message(event), strategy.timestamp
        )
    if isinstance(event, StopLossTriggered):
        strategy = event.strategy
        return TriggerCandidate(kind, strategy.symbol, _exit_message(event), strategy.timestamp)
    return report_messages.to_trigger_candidate(kind, event)


def to_notification_content(event: Event) -> NotificationContent | None:
    """The notification of `event` for its user, or None. Fills are notified once the order is
    filled completely."""
    match event:
        case OrderFilled() if event.order.status is OrderStatus.FILLED:
            return _build_order_content(
                event.order, "order_filled", "Order filled", _filled_message(event.order)
            )
        case OrderRejected():
            return _build_order_content(
                event.order, "order_rejected", "Order rejected", _rejected_message(event.order)
            )
        case OrderFailed():
            return _build_order_content(
                event.order, "order_failed", "Order failed", _failed_message(event.order)
            )
        case StrategyFailed():
            error: dict[str, Any] = {"errorCode": truncate_line(event.error_code)}
            return _build_strategy_content(
                event.strategy,
                "strategy_error",
                "Strategy error",
                _strategy_failed_message(event),
                error,
            )
        case StopLossTriggered() | TakeProfitTriggered():
            return _build_exit_content(event)
        case StrategyPositionAdjusted():
            return _build_strategy_content(
                event.strategy,
                "strategy_position_adjusted",
                "Position of a strategy adjusted",
                _adjusted_message(event),
                {"positionBefore": event.position_before},
            )
        case AlertRaised():
            return _build_alert_content(event)
    return report_messages.to_notification_content(event)


def _build_order_content(order: Order, type_: str, title: str, message: str) -> NotificationContent:
    payload = {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "side": order.side.value,
        "qty": order.qty,
        "filledQty": order.filled_qty,
        "filledAvgPrice": order.filled_avg_price,
        "strategyId": order.strategy_id,
    }
    return NotificationContent(
        type=type_, title=title, message=message, payload=payload, at=order.timestamp
    )


def _build_strategy_content(
    strategy: Strategy, type_: str, title: str, message: str, extra_payload: dict[str, Any]
) -> NotificationContent:
    payload = {"strategyId": strategy.strategy_id, "symbol": strategy.symbol, **extra_payload}
    return NotificationContent(
        type=type_, title=title, message=message, payload=payload, at=strategy.timestamp
    )


def _build_exit_content(event: StopLossTriggered | TakeProfitTriggered) -> NotificationContent:
    payload: dict[str, Any] = {
        "triggerPrice": event.trigger_price,
        "currentPrice": event.current_price,
        "orderId": event.order_id,
    }
    type_, title = "stop_loss", "Stop-loss triggered"
    if isinstance(event, TakeProfitTriggered):
        type_, title = "take_profit", "Take-profit triggered"
    return _build_strategy_content(event.strategy, type_, title, _exit_message(event), payload)


def _build_alert_content(alert: AlertRaised) -> NotificationContent:
    title = ALERT_TITLES[alert.level]
    return NotificationContent(
        type="alert",
        title=title if alert.symbol is None else f"{title}: {alert.symbol}",
        message=alert.message,
        payload={
            "alertId": alert.alert_id,
            "level": alert.level.value,
            "symbol": alert.symbol,
            "ruleId": alert.rule_id,
        },
        at=alert.timestamp,
    )


def _filled_message(order: Order) -> str:
    verb = "Bought" if order.side is Side.BUY else "Sold"
    price = _price_suffix(order.filled_avg_price)
    return f"{verb} {format_decimal(order.filled_qty)} {order.symbol}{price}"


def _price_suffix(price: Decimal | None) -> str:
    return "" if price is None else f" at {format_decimal(price)}"


def _rejected_message(order: Order) -> str:
    return f"The order to {_describe_order(order)} was rejected{_reason_suffix(order.reason)}"


def _failed_message(order: Order) -> str:
    filled = f" after {format_decimal(order.filled_qty)} were filled" if order.filled_qty else ""
    return f"The order to {_describe_order(order)} failed{filled}{_reason_suffix(order.reason)}"


def _describe_order(order: Order) -> str:
    return f"{order.side.value} {format_decimal(order.qty)} {order.symbol}"


def _reason_suffix(reason: str | None) -> str:
    return f": {truncate_line(reason)}" if reason else ""


def _strategy_failed_message(event: StrategyFailed) -> str:
    strategy = event.strategy
    name, details = truncate_line(strategy.name), truncate_line(event.details)
    return f"{name} ({strategy.symbol}) stopped: {details}"


def _exit_message(event: StopLossTriggered | TakeProfitTriggered) -> str:
    strategy, price = event.strategy, format_decimal(event.current_price)
    exit_, short = ("Stop-loss", "stop")
    if isinstance(event, TakeProfitTriggered):
        exit_, short = ("Take-profit", "target")
    return (
        f"{exit_} of {truncate_line(strategy.name)}: {strategy.symbol} is at {price}, "
        f"the {short} at {format_decimal(event.trigger_price)}"
    )


def _adjusted_message(event: StrategyPositionAdjusted) -> str:
    strategy = event.strategy
    return (
        f"{truncate_line(strategy.name)} held {format_decimal(event.position_before)} "
        f"{strategy.symbol} and holds {format_decimal(strategy.position)}: "
        f"{truncate_line(event.reason)}"
    )
