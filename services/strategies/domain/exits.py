"""Exits: how a strategy closes its position, whatever else happens to its orders. Pure.

A stop-loss, a take-profit or its user begins an exit (`trigger_exit`, `begin_flattening`). While
another order is pending, the worker cancels it. Once no order is pending, `proceed` begins a
reduce-only order over exactly the position. `end_closing_order` decides what follows when that
order ends without closing the position:

- The account has nothing left to close, since the shares were traded elsewhere: the strategy holds
  nothing any more, and says so.
- Its user canceled the order: the exit ends, and the protection is off until its user acts.
- Anything else: the strategy is in error, and the worker begins another order after
  `retry_delay_seconds`.

Its user may also end the exit itself and leave the position alone; its closing order is canceled
then. An exit ends with the position, or when the position is on the other side already.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from tapewire.decimals import normalize
from tapewire.events import (
    Event,
    ExitReason,
    OrderStatus,
    Side,
    StopLossExecuted,
    StopLossTriggered,
    Strategy,
    StrategyClosing,
    StrategyExit,
    StrategyOrder,
    StrategyPositionAdjusted,
    StrategyStatus,
    StrategyUpdated,
    TakeProfitExecuted,
    TakeProfitTriggered,
)
from tapewire.log import CommandRejected
from tapewire.runtime.contracts.orders import CANCELED_BY_USER, order_id
from tapewire.runtime.contracts.strategies import EXIT_SUFFIXES
from tapewire_services.strategies.domain.changes import (
    complete_if_finished,
    fail_strategy,
    reject_stale_command,
    update_strategy,
)
from tapewire_services.strategies.domain.commands import (
    Command,
    ContinueExitCommand,
    EndOrderCommand,
    TriggerExitCommand,
)

FIRST_RETRY_SECONDS = 1.0
MAX_RETRY_SECONDS = 60.0
"""Bounds of the delay between two closing orders; it doubles with each attempt."""

PROTECTED_STATUSES = frozenset(
    {StrategyStatus.STARTED, StrategyStatus.STOPPED, StrategyStatus.ERROR}
)
"""In the others a strategy holds nothing yet, or nothing that is its own any more."""


def retry_delay_seconds(attempts: int) -> float:
    """How long to wait after `attempts` closing orders that did not close the position."""
    if not attempts:
        return 0.0
    return min(MAX_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(attempts - 1, 30))


def closing_side(strategy: Strategy) -> Side | None:
    """The side of an order that would close the position; None when there is none."""
    if not strategy.position:
        return None
    return Side.SELL if strategy.position > 0 else Side.BUY


def is_exit_done(strategy: Strategy) -> bool:
    """Whether the exit of the strategy has nothing more to close."""
    ends = strategy.exit is not None and strategy.exit.side not in (None, closing_side(strategy))
    return ends or not strategy.position


def order_to_cancel(strategy: Strategy) -> StrategyOrder | None:
    """The pending order that an exit waits for, the closing order of an exit that was ended by its
    user, or one that would close more than is held after a correction; None when nothing is to be
    canceled."""
    order = strategy.order
    if order is None or order.closing_reason is None:
        return order if strategy.exit is not None else None
    if order.closes is None:
        return None
    return order if strategy.exit is None or _is_too_large(strategy, order) else None


def trigger_exit(strategy: Strategy, command: TriggerExitCommand) -> Sequence[Event]:
    """Begin an exit at the price of the stop-loss or the take-profit.

    Raises:
        CommandRejected: ``conflict``, when the strategy is not protected, has no position on that
            side, is being closed already, or has begun another order meanwhile.
    """
    if strategy.status not in PROTECTED_STATUSES or not strategy.has_protection:
        raise CommandRejected("conflict", f"the {strategy.status.value} strategy is not protected")
    is_stop_loss = command.reason is ExitReason.STOP_LOSS
    if (strategy.stop_loss if is_stop_loss else strategy.take_profit) is None:
        name = command.reason.value.replace("_", "-")
        raise CommandRejected("conflict", f"the strategy has no {name}")
    if strategy.exit is not None:
        raise CommandRejected("conflict", "the position is being closed already")
    if closing_side(strategy) is not command.side:
        raise CommandRejected(
            "conflict", f"{strategy.position} is held: nothing to {command.side.value}"
        )
    reject_stale_command(strategy, command.expected_order_count)
    exit_ = StrategyExit(
        reason=command.reason, side=command.side, trigger_price=command.trigger_price
    )
    exiting = update_strategy(strategy, command, exit=exit_)
    closing = _build_closing_order(exiting, command)
    if strategy.order is None:
        exiting = _with_order(exiting, closing)
    event_type = StopLossTriggered if is_stop_loss else TakeProfitTriggered
    return [
        event_type(
            strategy=exiting,
            command_id=command.id,
            trigger_price=command.trigger_price,
            current_price=command.price,
            order_id=closing.order_id,
        )
    ]


def begin_flattening(strategy: Strategy, command: Command) -> Strategy:
    """The strategy as it begins to close whatever it holds, and to cancel a pending order.

    An exit that is under way goes on.
    """
    if strategy.exit is not None or (strategy.order is None and not strategy.position):
        return strategy
    flatten = StrategyExit(reason=ExitReason.FLATTEN, side=None, trigger_price=None)
    return update_strategy(strategy, command, exit=flatten)


def proceed(strategy: Strategy, command: Command) -> list[Event]:
    """What follows once no order is pending: the closing order of an exit, or the completion of a
    finished strategy."""
    if strategy.exit is None or strategy.order is not None or is_exit_done(strategy):
        return complete_if_finished(strategy, command)
    order = _build_closing_order(strategy, command)
    closing = _with_order(update_strategy(strategy, command), order)
    return [StrategyClosing(strategy=closing, command_id=command.id, order_id=order.order_id)]


def continue_exit(strategy: Strategy, command: ContinueExitCommand) -> Sequence[Event]:
    """Begin another closing order.

    Raises:
        CommandRejected: ``conflict``, when the strategy is not being closed, has a pending order,
            or has begun another order meanwhile.
    """
    if strategy.exit is None:
        raise CommandRejected("conflict", "the position is not being closed")
    if strategy.order is not None:
        raise CommandRejected("conflict", f"order {strategy.order.client_order_id} is under way")
    reject_stale_command(strategy, command.expected_order_count)
    return proceed(strategy, command)


def executed_event(
    strategy: Strategy, order: StrategyOrder, command: Command, price: Decimal
) -> list[Event]:
    """The event that says that a stop-loss or take-profit was executed at `price`."""
    event_type = {
        ExitReason.STOP_LOSS: StopLossExecuted,
        ExitReason.TAKE_PROFIT: TakeProfitExecuted,
    }.get(order.closing_reason or ExitReason.FLATTEN)
    if event_type is None or order.trigger_price is None:
        return []
    return [
        event_type(
            strategy=strategy,
            command_id=command.id,
            trigger_price=order.trigger_price,
            current_price=price,
            order_id=order.order_id,
        )
    ]


def end_closing_order(
    strategy: Strategy, order: StrategyOrder, command: EndOrderCommand, reason: str
) -> Sequence[Event]:
    """What follows when `order` has ended without closing the position. `strategy` is as it is
    without it; `reason` says in words how it ended."""
    if command.is_position_gone:
        return _adjust_to_flat(strategy, command, reason)
    exit_, closing_reason = strategy.exit, order.closing_reason or ExitReason.FLATTEN
    is_left = exit_ is None and order.closes is not None
    if is_left or (exit_ is not None and is_exit_done(strategy)):
        ended = update_strategy(strategy, command, exit=None)
        updated = StrategyUpdated(strategy=ended, command_id=command.id)
        return [updated, *complete_if_finished(ended, command)]
    if exit_ is not None and _is_too_large(strategy, order):
        updated = StrategyUpdated(strategy=strategy, command_id=command.id)
        return [updated, *proceed(strategy, command)]
    error_code = f"{closing_reason.value}_not_executed"
    if command.status is OrderStatus.CANCELED and command.reason == CANCELED_BY_USER:
        unprotected = update_strategy(strategy, command, exit=None, is_protected=False)
        details = f"{reason}; the position is not protected any more"
        return [fail_strategy(unprotected, command, error_code, details)]
    if exit_ is None:  # the order of a stop-loss from before exits were stored
        exit_ = StrategyExit(
            reason=closing_reason, side=order.side, trigger_price=order.trigger_price
        )
    retried = msgspec.structs.replace(exit_, attempts=exit_.attempts + 1)
    failed = update_strategy(strategy, command, exit=retried)
    return [fail_strategy(failed, command, error_code, reason)]


def _adjust_to_flat(strategy: Strategy, command: EndOrderCommand, reason: str) -> Sequence[Event]:
    message = f"the account holds nothing more to close: {reason}"
    adjusted = update_strategy(
        strategy, command, position=Decimal(0), entry_price=None, exit=None, message=message
    )
    event = StrategyPositionAdjusted(
        strategy=adjusted,
        command_id=command.id,
        position_before=strategy.position,
        reason=message,
    )
    return [event, *complete_if_finished(adjusted, command)]


def _is_too_large(strategy: Strategy, order: StrategyOrder) -> bool:
    """Whether the closing order would close more than is held."""
    return order.qty - order.filled_qty > abs(strategy.position)


def _build_closing_order(strategy: Strategy, command: Command) -> StrategyOrder:
    """The next order of the strategy, which closes exactly what it holds."""
    exit_, side = strategy.exit, closing_side(strategy)
    if exit_ is None or side is None:
        raise ValueError("there is nothing to close")
    name = f"{strategy.strategy_id}-{strategy.orders + 1}{EXIT_SUFFIXES[exit_.reason]}"
    return StrategyOrder(
        order_id=order_id(command.user, name),
        client_order_id=name,
        side=side,
        qty=normalize(abs(strategy.position)),
        filled_qty=Decimal(0),
        trigger_price=exit_.trigger_price,
        closes=exit_.reason,
    )


def _with_order(strategy: Strategy, order: StrategyOrder) -> Strategy:
    return msgspec.structs.replace(strategy, order=order, orders=strategy.orders + 1)
