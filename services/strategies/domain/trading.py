"""What signals and the outcomes of orders change about a strategy. Pure.

`act_on_signal` begins an order and names it before it is placed. `apply_fill` records what is
executed, `end_order` any other end. `rejection_reason` says why a signal would not be followed.
Orders that close a position are begun in `exits`.
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
    Strategy,
    StrategyOrder,
    StrategySignaled,
    StrategyStatus,
    StrategyStopped,
    StrategyTraded,
    StrategyUpdated,
)
from tapewire.log import CommandRejected
from tapewire.runtime.contracts.orders import order_id
from tapewire_services.strategies.domain.changes import (
    complete_if_finished,
    fail_strategy,
    has_reached_max_trades,
    reject_stale_command,
    update_strategy,
)
from tapewire_services.strategies.domain.commands import (
    ActOnSignalCommand,
    ApplyFillCommand,
    EndOrderCommand,
)
from tapewire_services.strategies.domain.exits import (
    end_closing_order,
    executed_event,
    is_exit_done,
    proceed,
)
from tapewire_services.strategies.domain.holding import Holding
from tapewire_services.strategies.domain.waiting import message_after_order

MAX_REASON_LENGTH = 300
"""Characters of the reason for an order's end that are repeated."""


def rejection_reason(strategy: Strategy, action: Action) -> str | None:
    """Why the strategy does not follow `action` in its present state; None when it does."""
    if strategy.status is not StrategyStatus.STARTED:
        return f"the strategy is {strategy.status.value}"
    if strategy.exit is not None:
        return "the position is being closed"
    if strategy.order is not None:
        return f"order {strategy.order.client_order_id} is under way"
    if has_reached_max_trades(strategy):
        return f"all {strategy.max_trades} trades are done"
    if action is Action.BUY and strategy.position > 0:
        return f"{strategy.position} are held already"
    if action is Action.SELL and strategy.position < 0:
        return f"it is {-strategy.position} short already"
    return None


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
    reject_stale_command(strategy, command.expected_order_count)
    side = Side.BUY if command.action is Action.BUY else Side.SELL
    order = _build_next_order(strategy, command, side)
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


def apply_fill(strategy: Strategy, holding: Holding, command: ApplyFillCommand) -> Sequence[Event]:
    """Record an execution of the pending order, or a late one of an order that has ended. The last
    execution of a closing order ends its exit; the strategy is completed after its last trade.

    Raises:
        CommandRejected: ``conflict``, when the order is not the pending one and the execution is
            not late.
    """
    if command.late_qty is not None and not _is_pending(strategy, command.order_id):
        return _apply_late_fill(strategy, holding, command, command.late_qty)
    order = _require_pending_order(strategy, command.order_id)
    qty = normalize(command.filled_qty - order.filled_qty)
    if qty <= 0:
        return []
    is_filled = command.filled_qty >= order.qty
    remaining = msgspec.structs.replace(order, filled_qty=normalize(command.filled_qty))
    traded = _traded(
        strategy,
        holding.after_trade(order.side, qty, command.price),
        command,
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
    if is_filled:
        events += executed_event(traded, order, command, command.price)
    return [*events, *proceed(traded, command)]


def _apply_late_fill(
    strategy: Strategy, holding: Holding, command: ApplyFillCommand, qty: Decimal
) -> Sequence[Event]:
    """The market reports an execution of an order after the order's end: it is a fact."""
    if command.side is None:
        raise CommandRejected("invalid", "a late execution needs its side", "side")
    traded = _traded(strategy, holding.after_trade(command.side, qty, command.price), command)
    event = StrategyTraded(
        strategy=traded,
        command_id=command.id,
        trade_id=command.trade_id,
        order_id=command.order_id,
        side=command.side,
        qty=qty,
        price=command.price,
    )
    return [event, *proceed(traded, command)]


def _traded(
    strategy: Strategy, after: Holding, command: ApplyFillCommand, **changes: Any
) -> Strategy:
    """The strategy after an execution; its exit has ended if nothing more is to be closed."""
    traded = update_strategy(
        strategy, command, position=after.quantity, entry_price=after.entry_price, **changes
    )
    if traded.order is None and traded.exit is not None and is_exit_done(traded):
        return msgspec.structs.replace(traded, exit=None)
    return traded


def end_order(strategy: Strategy, command: EndOrderCommand) -> Sequence[Event]:
    """End the pending order, unfilled or partly filled.

    During an exit, its closing order follows. Otherwise a cancellation is intended, so the strategy
    stops; any other end is an error. The protection of the position goes on in either case.

    Raises:
        CommandRejected: ``conflict``, when the order is not the pending one.
    """
    order = _require_pending_order(strategy, command.order_id)
    end = "refused" if command.status is None else command.status.value
    reason = f"order {order.client_order_id} was {end}"
    if command.reason is not None:
        reason = f"{reason}: {command.reason}"[:MAX_REASON_LENGTH]
    ended = update_strategy(strategy, command, order=None)
    if order.closing_reason is not None:
        return end_closing_order(ended, order, command, reason)
    if ended.exit is not None:
        return _end_order_before_exit(ended, order, command, reason)
    if command.status is not OrderStatus.CANCELED:
        return [fail_strategy(ended, command, f"order_{end}", reason)]
    if strategy.status is not StrategyStatus.STARTED:
        updated = StrategyUpdated(strategy=ended, command_id=command.id)
        return [updated, *complete_if_finished(ended, command)]
    stopped = update_strategy(ended, command, status=StrategyStatus.STOPPED, message=reason)
    event = StrategyStopped(strategy=stopped, command_id=command.id)
    return [event, *complete_if_finished(stopped, command)]


def _end_order_before_exit(
    ended: Strategy, order: StrategyOrder, command: EndOrderCommand, reason: str
) -> Sequence[Event]:
    """The end of the order that an exit waited for; the closing order follows at once.

    An entry that was canceled because the stop-loss came first stops the strategy: at prices that
    move away from its entry, its rule would go on to open the opposite position.
    """
    events: list[Event] = []
    is_entry = ended.exit is not None and ended.exit.side not in (None, order.side)
    if is_entry and ended.status is StrategyStatus.STARTED:
        ended = update_strategy(ended, command, status=StrategyStatus.STOPPED, message=reason)
        events = [StrategyStopped(strategy=ended, command_id=command.id)]
    if not is_exit_done(ended):
        return [*events, *proceed(ended, command)]
    flat = update_strategy(ended, command, exit=None)
    updated = StrategyUpdated(strategy=flat, command_id=command.id)
    return [*events, updated, *complete_if_finished(flat, command)]


def _is_pending(strategy: Strategy, requested_id: str) -> bool:
    return strategy.order is not None and strategy.order.order_id == requested_id


def _require_pending_order(strategy: Strategy, requested_id: str) -> StrategyOrder:
    if strategy.order is None or not _is_pending(strategy, requested_id):
        raise CommandRejected("conflict", f"order {abbreviate(requested_id)} is not under way")
    return strategy.order


def _build_next_order(strategy: Strategy, command: ActOnSignalCommand, side: Side) -> StrategyOrder:
    """The strategy's next order, with the client order id that it will be placed under."""
    name = f"{strategy.strategy_id}-{strategy.orders + 1}"
    return StrategyOrder(
        order_id=order_id(command.user, name),
        client_order_id=name,
        side=side,
        qty=strategy.quantity,
        filled_qty=Decimal(0),
        trigger_price=None,
    )
