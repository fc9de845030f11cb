"""What a strategy's signals, stop-loss and fills make happen. Pure.

An order begins with `act` or `trigger_stop_loss`, which name it before anybody has placed it;
`fill` follows what is executed, and `end_order` what ends it otherwise. `objection` says why a
signal would not be acted on.
"""

from collections.abc import Sequence
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
    decision_id,
)
from tapewire_services.strategies.domain.holding import Holding

MAX_REASON_LENGTH = 300
"""Characters of why an order ended that are repeated."""


def rejection_reason(strategy: Strategy, action: Action) -> str | None:
    """Why the strategy, as it is, does not act on `action`; None when it does."""
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
    """Whether it has made all the trades that it is for."""
    return strategy.max_trades is not None and strategy.trades >= strategy.max_trades


def is_finished(strategy: Strategy) -> bool:
    """Whether it is done, and its stop-loss has nothing left to guard."""
    guards = strategy.stop_loss is not None and strategy.position != 0
    return has_reached_max_trades(strategy) and strategy.order is None and not guards


def act_on_signal(strategy: Strategy, command: ActOnSignalCommand) -> Sequence[Event]:
    """An order for the strategy's quantity, and the decision that it comes of.

    Raises Refusal: conflict, for what `objection` says.
    """
    if command.action is Action.HOLD:
        raise CommandRejected("invalid", "nothing is to be done for a hold", "action")
    against = rejection_reason(strategy, command.action)
    if against is not None:
        raise CommandRejected("conflict", against)
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
    decision = DecisionMade(
        decision_id=decision_id(strategy.strategy_id, command.decided_at),
        strategy_id=strategy.strategy_id,
        symbol=strategy.symbol,
        action=command.action,
        confidence=command.confidence,
        reasoning=command.reasoning,
        taken=True,
        timestamp=command.decided_at,
    )
    return [signaled, decision]


def trigger_stop_loss(strategy: Strategy, command: TriggerStopLossCommand) -> Sequence[Event]:
    """An order for exactly what is held.

    Raises Refusal: conflict, when it is not started, holds nothing on that side, has no stop-loss,
    or has an order under way.
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
    """The side of an order that would close what is held; None when nothing is."""
    if not strategy.position:
        return None
    return Side.SELL if strategy.position > 0 else Side.BUY


def apply_fill(strategy: Strategy, holding: Holding, command: ApplyFillCommand) -> Sequence[Event]:
    """What is executed of the order under way; at its end also the end of the stop-loss, and of
    the strategy when it was the last trade.

    Raises Refusal: conflict, when the order is not under way.
    """
    order = _require_pending_order(strategy, command.order_id)
    qty = normalize(command.filled_qty - order.filled_qty)
    if qty <= 0:
        return []
    now = holding.after_trade(order.side, qty, command.price)
    whole = command.filled_qty >= order.qty
    going_on = msgspec.structs.replace(order, filled_qty=normalize(command.filled_qty))
    traded = update_strategy(
        strategy,
        command,
        position=now.quantity,
        entry_price=now.entry_price,
        order=None if whole else going_on,
        trades=strategy.trades + (0 if order.filled_qty else 1),
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
    if whole and order.trigger_price is not None:
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
    """The order under way ended unfilled, or filled in part. A cancellation is somebody's will, so
    the strategy stops; anything else is an error, as is any end of a stop-loss but its execution.

    Raises Refusal: conflict, when the order is not under way.
    """
    order = _require_pending_order(strategy, command.order_id)
    how = "refused" if command.status is None else command.status.value
    why = f"order {order.client_order_id} was {how}"
    why = why if command.reason is None else f"{why}: {command.reason}"[:MAX_REASON_LENGTH]
    ended = update_strategy(strategy, command, order=None)
    if order.trigger_price is not None:
        return [fail_strategy(ended, command, "stop_loss_not_executed", why)]
    if command.status is not OrderStatus.CANCELED:
        return [fail_strategy(ended, command, f"order_{how}", why)]
    if strategy.status is not StrategyStatus.STARTED:
        updated = StrategyUpdated(strategy=ended, command_id=command.id)
        return [updated, *complete_if_finished(ended, command)]
    stopped = update_strategy(ended, command, status=StrategyStatus.STOPPED, message=why)
    event = StrategyStopped(strategy=stopped, command_id=command.id)
    return [event, *complete_if_finished(stopped, command)]


def fail_strategy(
    strategy: Strategy, command: Command, error_code: str, details: str
) -> StrategyFailed:
    """The strategy goes to error."""
    after_ = update_strategy(strategy, command, status=StrategyStatus.ERROR, message=details)
    return StrategyFailed(
        strategy=after_, command_id=command.id, error_code=error_code, details=details
    )


def update_strategy(strategy: Strategy, command: Command, **changes: Any) -> Strategy:
    """The strategy changed; its time never goes back, whichever clocks the commands come from."""
    return msgspec.structs.replace(
        strategy, timestamp=max(strategy.timestamp, command.at), **changes
    )


def complete_if_finished(strategy: Strategy, command: Command) -> list[Event]:
    """The end of a strategy that is finished; one in error is for people to look at."""
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
    """Two runners at once each make up their minds; the one that missed what the other one did
    decides on a strategy that is not there any more."""
    if command.expected_order_count != strategy.orders:
        message = f"it has had {strategy.orders} orders, {command.expected_order_count} were known"
        raise CommandRejected("conflict", message)


def _build_next_order(
    strategy: Strategy,
    command: ActOnSignalCommand | TriggerStopLossCommand,
    side: Side,
    qty: Decimal,
    trigger_price: Decimal | None,
) -> StrategyOrder:
    """The strategy's next order, under the name that it will be placed by."""
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
