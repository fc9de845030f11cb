"""The dialect of the trading streams: ``order:update``, ``position:update``, …; camelCase.

Types of other packages are told by the name that they declare, as they are.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tapewire.events import (
    CATALOGUE,
    AgentState,
    AgentStatusChanged,
    AlertLevel,
    AlertRaised,
    DecisionMade,
    Event,
    Order,
    OrderEvent,
    OrderFilled,
    Position,
    PositionEvent,
    PositionValued,
    PriceUpdated,
    StopLossExecuted,
    StopLossTriggered,
    StrategyCompleted,
    StrategyCreated,
    StrategyEvent,
    StrategyFailed,
    StrategySignaled,
    StrategyStarted,
    StrategyStopped,
    StrategyTraded,
    StrategyUpdated,
    TradeExecuted,
)
from tapewire.views.positions import value_position
from tapewire_services.edge.delivery.serializers.serializer import PricingContext, SseMessage


class OrderFillPayload(Order, frozen=True, kw_only=True):
    """The order after a fill, and the fill."""

    fill_qty: Decimal
    fill_price: Decimal
    trade_id: str


class OrdersSnapshotPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    snapshot: bool
    orders: Sequence[Order]
    timestamp: datetime


class PublicAgentStatusPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A service's state as anybody may know it. `instance` tells processes of it apart, no more."""

    service: str
    instance: str
    state: AgentState
    timestamp: datetime


class PriceView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A quote as clients see it."""

    symbol: str
    price: Decimal
    bid: Decimal
    ask: Decimal
    volume: Decimal
    change: Decimal
    change_percent: Decimal
    timestamp: datetime


class PricesSnapshotPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    initializing: bool
    prices: Sequence[PriceView]
    timestamp: datetime


class PositionView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A position as clients see it: dollars and shares. What hangs on a price is None while there
    is none; `quantity` is 0 when it is closed."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal | None
    current_price: Decimal | None
    unrealized_pnl: Decimal | None = msgspec.field(name="unrealizedPnL")
    realized_pnl: Decimal = msgspec.field(name="realizedPnL")


class PositionsPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Positions that changed or are worth something else now, and what all are worth."""

    positions: Sequence[PositionView]
    total_value: Decimal | None
    timestamp: datetime


class PositionsSnapshotPayload(PositionsPayload, frozen=True, kw_only=True):
    """All positions."""

    snapshot: bool = True


class StrategyUpdatePayload(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """What happened to a strategy: `change` is the word for it. A signal has `action` to
    `reasoning`; a stop-loss its prices, dollars a share; an error its code and details."""

    change: str
    strategy_id: str
    name: str
    symbol: str
    status: str
    position: Decimal
    message: str | None = None
    signal: str | None = None
    action: str | None = None
    confidence: Decimal | None = None
    reasoning: str | None = None
    price: Decimal | None = None
    qty: Decimal | None = None
    trigger_price: Decimal | None = None
    current_price: Decimal | None = None
    order_id: str | None = None
    error_code: str | None = None
    details: str | None = None
    timestamp: datetime


class DecisionPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`confidence` is from 0 to 1; `taken` says whether the strategy acted."""

    decision_id: str
    strategy_id: str
    symbol: str
    action: str
    confidence: Decimal
    reasoning: str
    taken: bool
    timestamp: datetime


class AlertPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`priority` is ``high`` for an error, which is written past all that waits."""

    alert_id: str
    level: str
    message: str
    symbol: str | None
    rule_id: str | None
    timestamp: datetime
    priority: str | None = None


_CHANGE_BY_EVENT: dict[type[Event], str] = {
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
}


def serialize_trading(event: Event, owner: str, pricing: PricingContext) -> SseMessage | None:
    """The dialect."""
    if isinstance(event, OrderFilled):
        fields = msgspec.structs.asdict(event.order)
        fill = OrderFillPayload(
            **fields, fill_qty=event.qty, fill_price=event.price, trade_id=event.trade_id
        )
        return "order:fill", fill
    if isinstance(event, OrderEvent):
        return "order:update", event.order
    if isinstance(event, TradeExecuted):
        return "trade:new", event
    if isinstance(event, PositionEvent):
        position = event.position
        return "position:update", PositionsPayload(
            positions=[position_view(position, pricing.price(position.symbol))],
            total_value=pricing.total_value(owner),
            timestamp=position.timestamp,
        )
    return _serialize_other(event)


def _serialize_other(event: Event) -> SseMessage | None:
    if isinstance(event, StrategyEvent) and type(event) in _CHANGE_BY_EVENT:
        return "strategy:update", _strategy_payload(event)
    if isinstance(event, DecisionMade):
        fields = msgspec.structs.asdict(event) | {"action": event.action.value}
        return "ai:decision", DecisionPayload(**fields)
    if isinstance(event, AlertRaised):
        return "alert:new", _alert_payload(event)
    if isinstance(event, AgentStatusChanged):
        return "agent:status", event
    shown = CATALOGUE.type_of(type(event)).sse_binding
    return None if shown is None else (shown.event_name, event)


def serialize_public_status(event: Event, owner: str, pricing: PricingContext) -> SseMessage | None:  # noqa: ARG001
    """How services are, for anybody: without names of hosts, and without what is the matter."""
    if not isinstance(event, AgentStatusChanged):
        return None
    which = hashlib.blake2b(event.instance.encode(), digest_size=4).hexdigest()
    heard = PublicAgentStatusPayload(
        service=event.service, instance=which, state=event.state, timestamp=event.timestamp
    )
    return "agent:status", heard


def is_urgent(event: Event) -> bool:
    """Whether an event must not wait for anything: an alert of level `error`."""
    return isinstance(event, AlertRaised) and event.level is AlertLevel.ERROR


def price_view(quote: PriceUpdated) -> PriceView:
    """What clients see of `quote`."""
    return PriceView(**{name: getattr(quote, name) for name in PriceView.__struct_fields__})


def position_view(position: Position, price: Decimal | None) -> PositionView:
    """`position` at `price`."""
    held = value_position(position, price) if position.quantity and price is not None else None
    return PositionView(
        symbol=position.symbol,
        quantity=position.quantity,
        entry_price=position.entry_price,
        current_price=price,
        unrealized_pnl=held.unrealized_pnl if held else None if position.quantity else Decimal(0),
        realized_pnl=position.realized_pnl,
    )


def valuation_view(valued: PositionValued) -> PositionView:
    """What clients see of a valuation."""
    return PositionView(**{name: getattr(valued, name) for name in PositionView.__struct_fields__})


def _strategy_payload(event: StrategyEvent) -> StrategyUpdatePayload:
    strategy = event.strategy
    return StrategyUpdatePayload(
        change=_CHANGE_BY_EVENT[type(event)],
        strategy_id=strategy.strategy_id,
        name=strategy.name,
        symbol=strategy.symbol,
        status=strategy.status.value,
        position=strategy.position,
        message=strategy.message,
        timestamp=strategy.timestamp,
        **_change_fields(event),
    )


def _change_fields(event: StrategyEvent) -> dict[str, Any]:
    if isinstance(event, StrategySignaled):
        return {
            "signal": event.action.value,
            "action": event.action.value,
            "confidence": event.confidence,
            "reasoning": event.reasoning,
            "price": event.price,
            "order_id": event.order_id,
        }
    if isinstance(event, StrategyTraded):
        return {
            "action": event.side.value,
            "qty": event.qty,
            "price": event.price,
            "order_id": event.order_id,
        }
    if isinstance(event, StopLossTriggered | StopLossExecuted):
        return {
            "trigger_price": event.trigger_price,
            "current_price": event.current_price,
            "order_id": event.order_id,
        }
    if isinstance(event, StrategyFailed):
        return {"error_code": event.error_code, "details": event.details}
    return {}


def _alert_payload(event: AlertRaised) -> AlertPayload:
    fields = msgspec.structs.asdict(event) | {"level": event.level.value}
    return AlertPayload(**fields, priority="high" if is_urgent(event) else None)
