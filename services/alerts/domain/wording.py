"""What is said to people of an event: `occasion` for rules, `notice` for notifications.

Both answer None for events that nobody is told of; `OCCASIONS` and `NOTICES` name those that
somebody is, so that the others need not even be decoded.
"""

from decimal import Decimal
from typing import Any

from services.alerts.domain import reported
from services.alerts.domain.figures import spelled
from services.alerts.domain.telling import Notice, Occasion, cut
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
)

OCCASIONS: dict[type[Event], RuleKind] = {
    OrderRejected: RuleKind.ORDER_REJECTED,
    StrategyFailed: RuleKind.STRATEGY_ERROR,
    StopLossTriggered: RuleKind.STOP_LOSS,
    **reported.OCCASIONS,
}
"""The rules that events trigger."""

NOTICES: tuple[type[Event], ...] = (
    OrderFilled,
    OrderRejected,
    OrderFailed,
    StrategyFailed,
    StopLossTriggered,
    AlertRaised,
    *reported.NOTICES,
)

ALERT_TITLES = {
    AlertLevel.INFO: "Alert",
    AlertLevel.WARNING: "Warning",
    AlertLevel.ERROR: "Urgent alert",
}


def occasion(event: Event) -> Occasion | None:
    """What `event` is to rules."""
    kind = OCCASIONS.get(type(event))
    if kind is None:
        return None
    if isinstance(event, OrderEvent):
        order = event.order
        return Occasion(kind, order.symbol, _rejected(order), order.timestamp)
    if isinstance(event, StrategyFailed):
        strategy = event.strategy
        return Occasion(kind, strategy.symbol, _stopped(event), strategy.timestamp)
    if isinstance(event, StopLossTriggered):
        strategy = event.strategy
        return Occasion(kind, strategy.symbol, _stop_loss(event), strategy.timestamp)
    return reported.occasion(kind, event)


def notice(event: Event) -> Notice | None:
    """What `event` is to its user. An order is told of when it is filled to the end."""
    match event:
        case OrderFilled() if event.order.status is OrderStatus.FILLED:
            return _of_order(event.order, "order_filled", "Order filled", _filled(event.order))
        case OrderRejected():
            return _of_order(
                event.order, "order_rejected", "Order rejected", _rejected(event.order)
            )
        case OrderFailed():
            return _of_order(event.order, "order_failed", "Order failed", _failed(event.order))
        case StrategyFailed():
            more = {"errorCode": cut(event.error_code)}
            return _of_strategy(
                event.strategy, "strategy_error", "Strategy error", _stopped(event), more
            )
        case StopLossTriggered():
            stop: dict[str, Any] = {
                "triggerPrice": event.trigger_price,
                "currentPrice": event.current_price,
                "orderId": event.order_id,
            }
            return _of_strategy(
                event.strategy, "stop_loss", "Stop-loss triggered", _stop_loss(event), stop
            )
        case AlertRaised():
            return _of_alert(event)
    return reported.notice(event)


def _of_order(order: Order, type_: str, title: str, message: str) -> Notice:
    payload = {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "side": order.side.value,
        "qty": order.qty,
        "filledQty": order.filled_qty,
        "filledAvgPrice": order.filled_avg_price,
        "strategyId": order.strategy_id,
    }
    return Notice(type=type_, title=title, message=message, payload=payload, at=order.timestamp)


def _of_strategy(
    strategy: Strategy, type_: str, title: str, message: str, more: dict[str, Any]
) -> Notice:
    payload = {"strategyId": strategy.strategy_id, "symbol": strategy.symbol, **more}
    return Notice(type=type_, title=title, message=message, payload=payload, at=strategy.timestamp)


def _of_alert(alert: AlertRaised) -> Notice:
    title = ALERT_TITLES[alert.level]
    return Notice(
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


def _filled(order: Order) -> str:
    did = "Bought" if order.side is Side.BUY else "Sold"
    return f"{did} {spelled(order.filled_qty)} {order.symbol}{_at(order.filled_avg_price)}"


def _at(price: Decimal | None) -> str:
    return "" if price is None else f" at {spelled(price)}"


def _rejected(order: Order) -> str:
    return f"The order to {_wanted(order)} was rejected{_because(order.reason)}"


def _failed(order: Order) -> str:
    filled = f" after {spelled(order.filled_qty)} were filled" if order.filled_qty else ""
    return f"The order to {_wanted(order)} failed{filled}{_because(order.reason)}"


def _wanted(order: Order) -> str:
    return f"{order.side.value} {spelled(order.qty)} {order.symbol}"


def _because(reason: str | None) -> str:
    return f": {cut(reason)}" if reason else ""


def _stopped(event: StrategyFailed) -> str:
    strategy = event.strategy
    return f"{cut(strategy.name)} ({strategy.symbol}) stopped: {cut(event.details)}"


def _stop_loss(event: StopLossTriggered) -> str:
    strategy, price = event.strategy, spelled(event.current_price)
    return (
        f"Stop-loss of {cut(strategy.name)}: {strategy.symbol} is at {price}, "
        f"the stop at {spelled(event.trigger_price)}"
    )
