"""The serializer of the trading streams: ``order:update``, ``position:update``, …, in camelCase.

Notifications, items and configurations have the payloads of their own streams and of the REST API,
in snake_case: a client needs one type for each. Event types of other packages are shown unchanged,
under the SSE name that they declare.
"""

import hashlib
from typing import Any

import msgspec

from tapewire.events import (
    CATALOGUE,
    Action,
    AgentStatusChanged,
    AlertLevel,
    AlertRaised,
    DecisionMade,
    Event,
    OrderEvent,
    OrderFilled,
    PositionEvent,
    StopLossExecuted,
    StopLossTriggered,
    StrategyClosing,
    StrategyCompleted,
    StrategyCreated,
    StrategyDeleted,
    StrategyEvent,
    StrategyFailed,
    StrategyPositionAdjusted,
    StrategySignaled,
    StrategySplit,
    StrategyStarted,
    StrategyStopped,
    StrategyTraded,
    StrategyUpdated,
    TakeProfitExecuted,
    TakeProfitTriggered,
    TradeCorrected,
    TradeExecuted,
)
from tapewire.payloads.trading import (
    AlertPayload,
    DecisionPayload,
    OrderFillPayload,
    PublicAgentStatusPayload,
    StrategyChange,
    StrategyUpdatePayload,
)
from tapewire_services.edge.delivery.serializers.dashboard import serialize_dashboard
from tapewire_services.edge.delivery.serializers.notifications import serialize_notifications
from tapewire_services.edge.delivery.serializers.serializer import PricingContext, SseMessage
from tapewire_services.edge.delivery.serializers.settings import serialize_settings
from tapewire_services.edge.delivery.serializers.trading_views import (
    position_view,
    positions_message,
)

CHANGE_BY_EVENT: dict[type[Event], StrategyChange] = {
    StrategyCreated: "created",
    StrategyUpdated: "updated",
    StrategyStarted: "started",
    StrategyStopped: "stopped",
    StrategyCompleted: "completed",
    StrategyFailed: "error",
    StrategySignaled: "signal",
    StrategyTraded: "traded",
    StopLossTriggered: "stop_loss_triggered",
    StopLossExecuted: "stop_loss_executed",
    TakeProfitTriggered: "take_profit_triggered",
    TakeProfitExecuted: "take_profit_executed",
    StrategyClosing: "closing",
    StrategyPositionAdjusted: "adjusted",
    StrategySplit: "split",
    StrategyDeleted: "deleted",
}
_EXIT_EVENTS = StopLossTriggered | StopLossExecuted | TakeProfitTriggered | TakeProfitExecuted


def serialize_trading(event: Event, owner: str, pricing: PricingContext) -> SseMessage | None:
    """The message for `event`; None when the trading streams do not show it."""
    if isinstance(event, OrderFilled):
        fields = msgspec.structs.asdict(event.order)
        fill = OrderFillPayload(
            **fields,
            fill_qty=event.qty,
            fill_price=event.price,
            trade_id=event.trade_id,
            fill_fee=event.fee,
            execution_id=event.execution_id,
            venue_time=event.venue_time,
            exceptions=event.exceptions,
        )
        return "order:fill", fill
    if isinstance(event, OrderEvent):
        return "order:update", event.order
    if isinstance(event, TradeExecuted):
        return "trade:new", event
    if isinstance(event, TradeCorrected):
        return "trade:corrected", event
    if isinstance(event, PositionEvent):
        position = event.position
        return positions_message(
            [
                position_view(
                    position,
                    pricing.price(position.symbol),
                    is_stale=pricing.is_stale(position.symbol),
                )
            ],
            pricing.total_value(owner),
            position.timestamp,
        )
    return (
        _serialize_other(event)
        or serialize_settings(event, owner, pricing)
        or serialize_notifications(event, owner, pricing)
        or serialize_dashboard(event, owner, pricing)
    )


def _serialize_other(event: Event) -> SseMessage | None:
    if isinstance(event, StrategyEvent) and type(event) in CHANGE_BY_EVENT:
        return "strategy:update", _strategy_payload(event)
    if isinstance(event, DecisionMade):
        return "ai:decision", DecisionPayload(**msgspec.structs.asdict(event))
    if isinstance(event, AlertRaised):
        return "alert:new", _alert_payload(event)
    if isinstance(event, AgentStatusChanged):
        return "agent:status", event
    binding = CATALOGUE.type_of(type(event)).sse_binding
    return None if binding is None else (binding.event_name, event)


def serialize_public_status(event: Event, owner: str, pricing: PricingContext) -> SseMessage | None:  # noqa: ARG001
    """The status of services for unauthenticated readers, without host names and details."""
    if not isinstance(event, AgentStatusChanged):
        return None
    return public_status_message(event)


def public_status_message(event: AgentStatusChanged) -> SseMessage:
    """The status of a process without its host name and details."""
    instance = hashlib.blake2b(event.instance.encode(), digest_size=4).hexdigest()
    payload = PublicAgentStatusPayload(
        service=event.service, instance=instance, state=event.state, timestamp=event.timestamp
    )
    return "agent:status", payload


def is_urgent(event: Event) -> bool:
    """Whether an event is written without waiting for a flush window: an alert of level `error`."""
    return isinstance(event, AlertRaised) and event.level is AlertLevel.ERROR


def _strategy_payload(event: StrategyEvent) -> StrategyUpdatePayload:
    strategy = event.strategy
    return StrategyUpdatePayload(
        change=CHANGE_BY_EVENT[type(event)],
        strategy_id=strategy.strategy_id,
        name=strategy.name,
        symbol=strategy.symbol,
        status=strategy.status,
        position=strategy.position,
        message=strategy.message,
        timestamp=strategy.timestamp,
        **_change_fields(event),
    )


def _change_fields(event: StrategyEvent) -> dict[str, Any]:
    if isinstance(event, StrategySignaled):
        return {
            "signal": event.action,
            "action": event.action,
            "confidence": event.confidence,
            "reasoning": event.reasoning,
            "price": event.price,
            "order_id": event.order_id,
        }
    if isinstance(event, StrategyTraded):
        return {
            "action": Action(event.side.value),
            "qty": event.qty,
            "price": event.price,
            "order_id": event.order_id,
        }
    if isinstance(event, _EXIT_EVENTS):
        return {
            "trigger_price": event.trigger_price,
            "current_price": event.current_price,
            "order_id": event.order_id,
        }
    if isinstance(event, StrategyClosing):
        return {"order_id": event.order_id}
    if isinstance(event, StrategyFailed):
        return {"error_code": event.error_code, "details": event.details}
    return {}


def _alert_payload(event: AlertRaised) -> AlertPayload:
    fields = msgspec.structs.asdict(event)
    return AlertPayload(**fields, priority="high" if is_urgent(event) else None)
