"""The serializer of the strategy streams: event names in upper case, keys in snake_case.

event: STRATEGY_STARTED
data: {"type":"STRATEGY_STARTED","timestamp":…,"strategy_id":…,"user_id":…,"status":…,…}
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tapewire.events import (
    NO_FEE,
    Event,
    Order,
    OrderCanceled,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderEvent,
    OrderExecutionCorrected,
    OrderFailed,
    OrderFilled,
    OrderPlaced,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRejected,
    OrderReplaceRequested,
    OrderSplit,
    OrderTriggered,
    OrderWaiting,
    Side,
    StopLossExecuted,
    StopLossTriggered,
    Strategy,
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
)
from tapewire.payloads.market import PricePayload, PriceView, QuoteView, StalePricePayload
from tapewire.payloads.strategies import (
    InitialStatesPayload,
    OrderPayload,
    StopLossPayload,
    StrategyPayload,
    StrategyStatePayload,
)
from tapewire.runtime.contracts.strategies import STOP_LOSS_SUFFIX
from tapewire_services.edge.delivery.serializers.reports import serialize_report
from tapewire_services.edge.delivery.serializers.serializer import PricingContext, SseMessage

_INITIAL_STATE = "initial_state"
_STATE_UPDATE = "state_update"
STRATEGY_EVENT_NAMES: dict[type[Event], str] = {
    StrategyCreated: "STRATEGY_UPDATED",
    StrategyUpdated: "STRATEGY_UPDATED",
    StrategySignaled: "STRATEGY_UPDATED",
    StrategyTraded: "STRATEGY_UPDATED",
    StrategyClosing: "STRATEGY_UPDATED",
    StrategyPositionAdjusted: "STRATEGY_UPDATED",
    StrategySplit: "STRATEGY_UPDATED",
    StrategyDeleted: "STRATEGY_UPDATED",
    TakeProfitTriggered: "STRATEGY_UPDATED",
    TakeProfitExecuted: "STRATEGY_UPDATED",
    StrategyStarted: "STRATEGY_STARTED",
    StrategyStopped: "STRATEGY_STOPPED",
    StrategyCompleted: "STRATEGY_COMPLETED",
    StrategyFailed: "STRATEGY_ERROR",
}
STOP_LOSS_EVENT_NAMES: dict[type[Event], str] = {
    StopLossTriggered: "SL_TRIGGERED",
    StopLossExecuted: "SL_EXECUTED",
}
ORDER_EVENT_NAMES: dict[type[Event], str] = {
    OrderPlaced: "ORDER_PLACED",
    OrderFilled: "ORDER_EXECUTED",
    OrderRejected: "ORDER_REJECTED",
    OrderCanceled: "ORDER_CANCELLED",
    OrderFailed: "ORDER_FAILED",
    OrderWaiting: "ORDER_UPDATED",
    OrderCancelRequested: "ORDER_UPDATED",
    OrderCancelRejected: "ORDER_UPDATED",
    OrderReplaceRequested: "ORDER_UPDATED",
    OrderReplaced: "ORDER_UPDATED",
    OrderReplaceRejected: "ORDER_UPDATED",
    OrderTriggered: "ORDER_UPDATED",
    OrderExecutionCorrected: "ORDER_UPDATED",
    OrderSplit: "ORDER_UPDATED",
}


def serialize_strategies(event: Event, owner: str, pricing: PricingContext) -> SseMessage | None:  # noqa: ARG001
    """The message for `event`; None when the strategy streams do not show it."""
    kind = type(event)
    if isinstance(event, StopLossTriggered | StopLossExecuted):
        return STOP_LOSS_EVENT_NAMES[kind], _stop_loss_payload(
            STOP_LOSS_EVENT_NAMES[kind], event, owner
        )
    if isinstance(event, StrategyEvent) and kind in STRATEGY_EVENT_NAMES:
        return STRATEGY_EVENT_NAMES[kind], _strategy_payload(
            STRATEGY_EVENT_NAMES[kind], event, owner
        )
    if isinstance(event, OrderEvent) and kind in ORDER_EVENT_NAMES:
        return ORDER_EVENT_NAMES[kind], _order_payload(ORDER_EVENT_NAMES[kind], event, owner)
    return serialize_report(event, owner)


def price_message(view: PriceView) -> SseMessage:
    """The message for a quote."""
    payload = PricePayload(
        type="PRICE_UPDATE",
        timestamp=view.timestamp,
        symbol=view.symbol,
        ltp=view.price,
        change=view.change,
        change_percent=view.change_percent,
    )
    return payload.type, payload


def stale_price_message(view: QuoteView) -> SseMessage:
    """The message for a quote that is too old to rely on."""
    payload = StalePricePayload(
        type="PRICE_STALE",
        timestamp=view.timestamp,
        symbol=view.symbol,
        ltp=view.price,
        change=view.change,
        change_percent=view.change_percent,
        age=view.age,
    )
    return payload.type, payload


def initial_state_message(strategy: Strategy, owner: str) -> SseMessage:
    """The state of one strategy, as a snapshot."""
    return _INITIAL_STATE, strategy_state_payload(_INITIAL_STATE, strategy, owner)


def initial_states_message(
    strategies: Sequence[Strategy], owner: str, timestamp: datetime
) -> SseMessage:
    """The state of all strategies of `owner`, as a snapshot."""
    payload = InitialStatesPayload(
        type=_INITIAL_STATE,
        timestamp=timestamp,
        user_id=owner,
        strategies=[
            strategy_state_payload(_INITIAL_STATE, strategy, owner) for strategy in strategies
        ],
    )
    return _INITIAL_STATE, payload


def state_update_message(strategy: Strategy, owner: str) -> SseMessage:
    """The state of one strategy, sent while the stream is idle."""
    return _STATE_UPDATE, strategy_state_payload(_STATE_UPDATE, strategy, owner)


def strategy_state_payload(event_name: str, strategy: Strategy, owner: str) -> StrategyStatePayload:
    """The state of `strategy`; `event_name` is the event that carries it."""
    return StrategyStatePayload(
        type=event_name,
        timestamp=strategy.timestamp,
        strategy_id=strategy.strategy_id,
        user_id=owner,
        status=strategy.status,
        position=strategy.position,
        message=strategy.message or "",
        name=strategy.name,
        symbol=strategy.symbol,
        rule=_to_snake_case(strategy.rule),
        quantity=strategy.quantity,
        stop_loss=None if strategy.stop_loss is None else _to_snake_case(strategy.stop_loss),
        take_profit=None if strategy.take_profit is None else _to_snake_case(strategy.take_profit),
        is_protected=strategy.has_protection,
        entry_price=strategy.entry_price,
        orders=strategy.orders,
        trades=strategy.trades,
    )


def _to_snake_case(part: msgspec.Struct) -> dict[str, Any]:
    """`part` as builtins, with its field names as keys, which this family uses."""
    names = {field.encode_name: field.name for field in msgspec.structs.fields(part)}
    fields: dict[str, Any] = msgspec.to_builtins(part, builtin_types=(Decimal,))
    return {names.get(key, key): value for key, value in fields.items()}


def _strategy_payload(event_name: str, event: StrategyEvent, owner: str) -> StrategyPayload:
    strategy = event.strategy
    failed = event if isinstance(event, StrategyFailed) else None
    return StrategyPayload(
        type=event_name,
        timestamp=strategy.timestamp,
        strategy_id=strategy.strategy_id,
        user_id=owner,
        status=strategy.status,
        position=strategy.position,
        message=_strategy_message(event),
        error_code=failed.error_code if failed else None,
        details=failed.details if failed else None,
    )


def _strategy_message(event: StrategyEvent) -> str:
    if isinstance(event, StrategySignaled):
        return f"{event.action.value}: {event.reasoning}"
    if isinstance(event, StrategyTraded):
        return f"{event.side.value} {event.qty} at {event.price}"
    if isinstance(event, TakeProfitTriggered | TakeProfitExecuted):
        return f"take-profit at {event.trigger_price}: the price is {event.current_price}"
    if isinstance(event, StrategyClosing):
        return f"order {event.order_id} closes the position"
    return event.strategy.message or ""


def _stop_loss_payload(
    event_name: str, event: StopLossTriggered | StopLossExecuted, owner: str
) -> StopLossPayload:
    return StopLossPayload(
        type=event_name,
        timestamp=event.strategy.timestamp,
        strategy_id=event.strategy.strategy_id,
        user_id=owner,
        symbol=event.strategy.symbol,
        trigger_price=event.trigger_price,
        current_price=event.current_price,
        order_id=event.order_id,
    )


def _order_payload(event_name: str, event: OrderEvent, owner: str) -> OrderPayload:
    order = event.order
    filled = event if isinstance(event, OrderFilled) else None
    asked = order.replacement
    return OrderPayload(
        type=event_name,
        timestamp=order.timestamp,
        strategy_id=order.strategy_id,
        user_id=owner,
        order_id=order.order_id,
        order_type=order_type(order),
        symbol=order.symbol,
        quantity=filled.qty if filled else order.qty,
        price=filled.price if filled else order.limit_price,
        status=order.status.value,
        message=order.reason,
        waiting=None if order.waiting is None else order.waiting.value,
        stop_price=order.stop_price,
        fee=filled.fee if filled else NO_FEE,
        execution_id=filled.execution_id if filled else None,
        requested_quantity=None if asked is None else asked.qty,
        requested_price=None if asked is None else asked.limit_price,
        requested_stop_price=None if asked is None else asked.stop_price,
    )


def order_type(order: Order) -> str:
    """``BUY``, ``SELL``, or ``SL_SELL`` for the closing order of a stop-loss."""
    if order.side is Side.BUY:
        return "BUY"
    stop_loss = order.strategy_id is not None and order.client_order_id.endswith(STOP_LOSS_SUFFIX)
    return "SL_SELL" if stop_loss else "SELL"
