"""What signals, stop-losses and fills change about a strategy. Pure.

`act_on_signal` and `trigger_stop_loss` begin an order and name it before it is placed. `apply_fill`
records what is executed, `end_order` any other end. `rejection_reason` says why a signal would not
be followed.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tapewire.decimals import abbreviate, normalize
from tapewire.events import (
    Action,
    DecisionMade,
    Event,
    OrderStatus,
    Side,
    StopLossExecuted,
    StopLossTriggered,
    Strategy,
    StrategyCompleted,
    StrategyFailed,
    StrategyOrder,
    StrategySignaled,
    StrategyStatus,
    StrategyStopped,
    StrategyTraded,
    StrategyUpdated,
)
from tapewire.log import CommandRejected
from tapewire.runtime.contracts.orders import order_id
from tapewire.runtime.contracts.strategies import STOP_LOSS_SUFFIX
from tapewire_services.strategies.domain.commands import (
    ActOnSignalCommand,
    ApplyFillCommand,
    Command,
    EndOrderCommand,
    TriggerStopLossCommand,
)
from tapewire_services.strategies.domain.holding import Holding
from tapewire_services.strategies.domain.waiting import message_after_order

MAX_REASON_LENGTH = 300
"""Characters of the reason for an order's end that are repeated."""


def rejection_reason(strategy: Strategy, action: Action) -> str | None:
    """Why the strategy does not follow `action` in its present state; None when it does."""
    if strategy.status is not StrategyStatus.STARTED:
        return f"the strategy is {strategy.status.value}"
    if strategy.order is not None:
        return f"order {strategy.order.client_order_id} is under way"
    if has_reached_max_trades(strategy):
        return f"all {strategy.max_trades} trades are done"
    if action is Action.BUY and strategy.position > 0:
        return f"{strategy.position} are held already"
    if action is Action.SELL and strategy.position < 0:
        return f"it is {-strategy.position} short already"
    return None


def has_reached_max_trades(strategy: Strategy) -> bool:
    """Whether the strategy has made its maximum number of trades."""
    return strategy.max_trades is not None and strategy.trades >= strategy.max_trades


def is_finished(strategy: Strategy) -> bool:
    """Whether all trades are done, and no order and no guarded position is left."""
    guards = strategy.stop_loss is not None and strategy.position != 0
    return has_reached_max_trades(strategy) and strategy.order is None and not guards


def act_on_signal(strategy: Strategy, command: ActOnSignalCommand) -> Sequence[Event]:
    """Begin an order for the strategy's quantity, and publish the decision that led to it.

    Raises:
        CommandRejected: ``conflict``, for the reason of `rejection_reason`, or when the strategy
            has begun another order since the decision.
    """
    if command.action is Action.HOLD:
        raise CommandRejected("invalid", "a hold begins no order", "action")
    reason = rejection_reason(strategy, command.action)
    if reason is not None:
        raise CommandRejected("conflict", reason)
    _reject_stale_command(strategy, command)
    side = Side.BUY if command.action is Action.BUY else Side.SELL
    order = _build_next_order(strategy, command, side, strategy.quantity, None)
    signaled = StrategySignaled(
        strategy=update_strategy(strategy, command, order=order, orders=strategy.orders + 1),
        command_id=command.id,
        action=command.action,
        confidence=command.confidence,
        reasoning=command.reasoning,
        price=command.price,
        order_id=order.order_id,
    )
    return [signaled, decision_of_signal(signaled, command.decided_at)]


def decision_of_signal(signaled: StrategySignaled, decided_at: datetime) -> DecisionMade:
    """The decision that is stored in one atomic batch with `signaled`, under its command's id."""
    strategy = signaled.strategy
    return DecisionMade(
        decision_id=signaled.command_id,
        strategy_id=strategy.strategy_id,
        symbol=strategy.symbol,
        action=signaled.action,
        confidence=signaled.confidence,
        reasoning=signaled.reasoning,
        taken=True,
        timestamp=decided_at,
    )


def trigger_stop_loss(strategy: Strategy, command: TriggerStopLossCommand) -> Sequence[Event]:
    """Begin an order that closes exactly the position.

    Raises:
        CommandRejected: ``conflict``, when the strategy is not started, has no position on that
            side, has no stop-loss, has a pending order, or has begun another order meanwhile.
    """
    if strategy.status is not StrategyStatus.STARTED:
        raise CommandRejected("conflict", f"the strategy is {strategy.status.value}")
    if strategy.stop_loss is None:
        raise CommandRejected("conflict", "the strategy has no stop-loss")
    if strategy.order is not None:
        raise CommandRejected("conflict", f"order {strategy.order.client_order_id} is under way")
    if closing_side(strategy) is not command.side:
        raise CommandRejected(
            "conflict", f"{strategy.position} is held: nothing to {command.side.value}"
        )
    _reject_stale_command(strategy, command)
    order = _build_next_order(
        strategy, command, command.side, normalize(abs(strategy.position)), command.trigger_price
    )
    triggered = StopLossTriggered(
        strategy=update_strategy(strategy, command, order=order, orders=strategy.orders + 1),
        command_id=command.id,
        trigger_price=command.trigger_price,
        current_price=command.price,
        order_id=order.order_id,
    )
    return [triggered]


def closing_side(strategy: Strategy) -> Side | None:
    """The side of an order that would close the position; None when there is none."""
    if not strategy.position:
        return None
    return Side.SELL if strategy.position > 0 else Side.BUY


def apply_fill(strategy: Strategy, holding: Holding, command: ApplyFillCommand) -> Sequence[Event]:
    """Record an execution of the pending order. The last one also ends its stop-loss, and
    completes the strategy after its last trade.

    Raises:
        CommandRejected: ``conflict``, when the order is not the pending one.
    """
    order = _require_pending_order(strategy, command.order_id)
    qty = normalize(command.filled_qty - order.filled_qty)
    if qty <= 0:
        return []
    after = holding.after_trade(order.side, qty, command.price)
    is_filled = command.filled_qty >= order.qty
    remaining = msgspec.structs.replace(order, filled_qty=normalize(command.filled_qty))
    traded = update_strategy(
        strategy,
        command,
        position=after.quantity,
        entry_price=after.entry_price,
        order=None if is_filled else remaining,
        trades=strategy.trades + (0 if order.filled_qty else 1),
        message=message_after_order(strategy, order) if is_filled else strategy.message,
    )
    events: list[Event] = [
        StrategyTraded(
            strategy=traded,
            command_id=command.id,
            trade_id=command.trade_id,
            order_id=order.order_id,
            side=order.side,
            qty=qty,
            price=command.price,
        )
    ]
    if is_filled and order.trigger_price is not None:
        executed = StopLossExecuted(
            strategy=traded,
            command_id=command.id,
            trigger_price=order.trigger_price,
            current_price=command.price,
            order_id=order.order_id,
        )
        events.append(executed)
    return [*events, *complete_if_finished(traded, command)]


def end_order(strategy: Strategy, command: EndOrderCommand) -> Sequence[Event]:
    """End the pending order, unfilled or partly filled. A cancellation is intended, so the strategy
    stops. Any other end is an error, and so is every end of a stop-loss order but its execution.

    Raises:
        CommandRejected: ``conflict``, when the order is not the pending one.
    """
    order = _require_pending_order(strategy, command.order_id)
    end = "refused" if command.status is None else command.status.value
    reason = f"order {order.client_order_id} was {end}"
    if command.reason is not None:
        reason = f"{reason}: {command.reason}"[:MAX_REASON_LENGTH]
    ended = update_strategy(strategy, command, order=None)
    if order.trigger_price is not None:
        return [fail_strategy(ended, command, "stop_loss_not_executed", reason)]
    if command.status is not OrderStatus.CANCELED:
        return [fail_strategy(ended, command, f"order_{end}", reason)]
    if strategy.status is not StrategyStatus.STARTED:
        updated = StrategyUpdated(strategy=ended, command_id=command.id)
        return [updated, *complete_if_finished(ended, command)]
    stopped = update_strategy(ended, command, status=StrategyStatus.STOPPED, message=reason)
    event = StrategyStopped(strategy=stopped, command_id=command.id)
    return [event, *complete_if_finished(stopped, command)]


def fail_strategy(
    strategy: Strategy, command: Command, error_code: str, details: str
) -> StrategyFailed:
    """Build the event that puts the strategy into error."""
    failed = update_strategy(strategy, command, status=StrategyStatus.ERROR, message=details)
    return StrategyFailed(
        strategy=failed, command_id=command.id, error_code=error_code, details=details
    )


def update_strategy(strategy: Strategy, command: Command, **changes: Any) -> Strategy:
    """The strategy with `changes`. Its time never goes back, even when the clocks of processes
    differ."""
    return msgspec.structs.replace(
        strategy, timestamp=max(strategy.timestamp, command.at), **changes
    )


def complete_if_finished(strategy: Strategy, command: Command) -> list[Event]:
    """The completion of a finished strategy. A strategy in error stays so until its user acts."""
    if strategy.status is StrategyStatus.ERROR or not is_finished(strategy):
        return []
    message = f"{strategy.trades} trades done"
    completed = update_strategy(strategy, command, status=StrategyStatus.COMPLETED, message=message)
    return [StrategyCompleted(strategy=completed, command_id=command.id)]


def _require_pending_order(strategy: Strategy, requested_id: str) -> StrategyOrder:
    if strategy.order is None or strategy.order.order_id != requested_id:
        raise CommandRejected("conflict", f"order {abbreviate(requested_id)} is not under way")
    return strategy.order


def _reject_stale_command(
    strategy: Strategy, command: ActOnSignalCommand | TriggerStopLossCommand
) -> None:
    """Reject a command that was decided before the strategy's latest order began. Two runners at
    once may both decide; the later one has not seen the order of the other."""
    if command.expected_order_count != strategy.orders:
        message = (
            f"the strategy has begun {strategy.orders} orders, "
            f"the decision knew of {command.expected_order_count}"
        )
        raise CommandRejected("conflict", message)


def _build_next_order(
    strategy: Strategy,
    command: ActOnSignalCommand | TriggerStopLossCommand,
    side: Side,
    qty: Decimal,
    trigger_price: Decimal | None,
) -> StrategyOrder:
    """The strategy's next order, with the client order id that it will be placed under."""
    name = f"{strategy.strategy_id}-{strategy.orders + 1}"
    if trigger_price is not None:
        name += STOP_LOSS_SUFFIX
    return StrategyOrder(
        order_id=order_id(command.user, name),
        client_order_id=name,
        side=side,
        qty=qty,
        filled_qty=Decimal(0),
        trigger_price=trigger_price,
    )
