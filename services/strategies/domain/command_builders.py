"""Builds what the runner gives out for a strategy: commands, decisions and order requests. Pure.

Every id follows from the subject of a command: the price of a decision, the number of an order, the
event that a strategy failed or was to be closed after. Two runners that act at once, or a runner
that repeats a command after a lost answer, therefore give the same command, and the log stores it
once.
"""

from datetime import datetime

from tapewire.events import DecisionMade, OrderType, PriceUpdated, Side, StrategyOrder
from tapewire.log import EventDraft, EventMetadata, EventSubject
from tapewire.runtime.contracts.orders import CancelOrder, PlaceOrder
from tapewire_services.strategies.domain.active_strategies import TrackedStrategy
from tapewire_services.strategies.domain.commands import (
    ActOnSignalCommand,
    ContinueExitCommand,
    EndOrderCommand,
    FailStrategyCommand,
    TriggerExitCommand,
    decision_id,
)
from tapewire_services.strategies.domain.protection import ExitTouch
from tapewire_services.strategies.domain.rules import Signal

MAX_DETAILS_LENGTH = 300
"""Characters of an error's details that an event repeats."""


def build_act_on_signal(
    tracked: TrackedStrategy,
    signal: Signal,
    quote: PriceUpdated,
    expected_order_count: int,
    at: datetime,
) -> ActOnSignalCommand:
    """The command to follow `signal`, which was decided on `quote` and on a strategy that had
    begun `expected_order_count` orders."""
    return ActOnSignalCommand(
        id=decision_id(tracked.strategy.strategy_id, expected_order_count, quote.timestamp),
        at=at,
        user=tracked.user,
        strategy_id=tracked.strategy.strategy_id,
        expected_order_count=expected_order_count,
        action=signal.action,
        confidence=signal.confidence,
        reasoning=signal.reasoning,
        price=quote.price,
        decided_at=quote.timestamp,
    )


def build_trigger_exit(
    tracked: TrackedStrategy, touch: ExitTouch, side: Side, at: datetime
) -> TriggerExitCommand:
    """The command to close the position by an order of `side`."""
    strategy = tracked.strategy
    name = touch.reason.value.replace("_", "-")
    return TriggerExitCommand(
        id=f"{strategy.strategy_id}.{name}.{tracked.sequence}",
        at=at,
        user=tracked.user,
        strategy_id=strategy.strategy_id,
        expected_order_count=strategy.orders,
        reason=touch.reason,
        side=side,
        price=touch.price,
        trigger_price=touch.trigger_price,
    )


def build_continue_exit(tracked: TrackedStrategy, at: datetime) -> ContinueExitCommand:
    """The command to begin another closing order."""
    strategy = tracked.strategy
    return ContinueExitCommand(
        id=f"{strategy.strategy_id}.close.{strategy.orders + 1}",
        at=at,
        user=tracked.user,
        strategy_id=strategy.strategy_id,
        expected_order_count=strategy.orders,
    )


def build_end_rejected_order(
    tracked: TrackedStrategy, order_id: str, reason: str, at: datetime
) -> EndOrderCommand:
    """The command to end an order that the orders service rejected."""
    return EndOrderCommand(
        id=f"{order_id}.refused",
        at=at,
        user=tracked.user,
        strategy_id=tracked.strategy.strategy_id,
        order_id=order_id,
        status=None,
        reason=reason,
    )


def build_fail_strategy(
    tracked: TrackedStrategy, error_code: str, details: str, at: datetime
) -> FailStrategyCommand:
    """The command to put the strategy into error."""
    return FailStrategyCommand(
        id=f"{tracked.strategy.strategy_id}.fail.{tracked.sequence}",
        at=at,
        user=tracked.user,
        strategy_id=tracked.strategy.strategy_id,
        error_code=error_code,
        details=details[:MAX_DETAILS_LENGTH],
    )


def build_declined_decision(
    tracked: TrackedStrategy,
    signal: Signal,
    quote: PriceUpdated,
    order_count: int,
    decline_reason: str | None,
) -> EventDraft:
    """The event that publishes a decision on which nothing is done, on a strategy that had begun
    `order_count` orders; `decline_reason` is None for a hold."""
    strategy = tracked.strategy
    id_ = decision_id(strategy.strategy_id, order_count, quote.timestamp)
    decision = DecisionMade(
        decision_id=id_,
        strategy_id=strategy.strategy_id,
        symbol=strategy.symbol,
        action=signal.action,
        confidence=signal.confidence,
        reasoning=signal.reasoning
        if decline_reason is None
        else f"{signal.reasoning}; declined: {decline_reason}",
        taken=False,
        timestamp=quote.timestamp,
    )
    return EventDraft(
        subject=EventSubject(tracked.user, "decisions", strategy.strategy_id),
        event=decision,
        metadata=EventMetadata(id=f"{id_}.declined", correlation=id_),
    )


def build_place_order(
    tracked: TrackedStrategy, order: StrategyOrder, split_count: int = 0
) -> PlaceOrder:
    """The request that places the strategy's pending order, whose terms follow that many splits of
    the symbol."""
    return PlaceOrder(
        user_id=tracked.user,
        symbol=tracked.strategy.symbol,
        side=order.side,
        type=OrderType.MARKET,
        qty=order.qty,
        client_order_id=order.client_order_id,
        strategy_id=tracked.strategy.strategy_id,
        reduce_only=order.closing_reason is not None,
        splits=split_count or None,
    )


def build_cancel_order(tracked: TrackedStrategy, order: StrategyOrder) -> CancelOrder:
    """The request that cancels the strategy's pending order, because of its exit."""
    exit_ = tracked.strategy.exit
    cause = "its user leaves the position alone" if exit_ is None else exit_.reason.value
    return CancelOrder(
        user_id=tracked.user,
        order_id=order.order_id,
        reason=f"canceled by its strategy: {cause.replace('_', '-')}",
    )
