"""What the correction of an execution changes about its strategy. Pure.

The position becomes what it would be if the execution had always been like this, so the stop-loss
guards what is really held. Start at `correct_fill`.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tapewire.decimals import WIDE_CONTEXT, format_decimal, normalize
from tapewire.events import (
    Event,
    ExecutionTerms,
    Side,
    Strategy,
    StrategyOrder,
    StrategyPositionAdjusted,
    StrategyStatus,
)
from tapewire_services.strategies.domain.changes import update_strategy
from tapewire_services.strategies.domain.commands import CorrectFillCommand
from tapewire_services.strategies.domain.exits import is_exit_done, proceed
from tapewire_services.strategies.domain.holding import Holding, RecentTrades


def correct_fill(
    strategy: Strategy, recent: RecentTrades, command: CorrectFillCommand
) -> Sequence[Event]:
    """Adjust the position, and the pending order if the execution is one of it. A completed
    strategy that holds something afterwards is stopped, and protected again.

    The position and its entry price may stay as they are. Then it is noted all the same, if the
    trade is remembered: the correction of another one may depend on it.
    """
    corrected = recent.correct(command.trade_id, command.after.qty, command.after.price)
    holding = _approximate(strategy, command) if corrected is None else corrected.fold()
    order = _order_after(strategy.order, command)
    before = (strategy.position, strategy.entry_price, strategy.order)
    if corrected is None and (holding.quantity, holding.entry_price, order) == before:
        return []
    reason = _describe(command)
    changes: dict[str, Any] = {}
    if strategy.status is StrategyStatus.COMPLETED and holding.quantity:
        changes["status"] = StrategyStatus.STOPPED
    adjusted = update_strategy(
        strategy,
        command,
        position=holding.quantity,
        entry_price=holding.entry_price,
        order=order,
        message=reason,
        **changes,
    )
    if adjusted.order is None and adjusted.exit is not None and is_exit_done(adjusted):
        adjusted = msgspec.structs.replace(adjusted, exit=None)
    event = StrategyPositionAdjusted(
        strategy=adjusted,
        command_id=command.id,
        position_before=strategy.position,
        reason=reason,
        trade_id=command.trade_id,
        terms=command.after,
    )
    return [event, *proceed(adjusted, command)]


def _approximate(strategy: Strategy, command: CorrectFillCommand) -> Holding:
    """The position without the trades. The quantity is exact, and the entry price stays while the
    position is on the same side."""
    before, after = command.before, command.after
    change = WIDE_CONTEXT.subtract(after.qty, before.qty)
    signed = change if command.side is Side.BUY else -change
    quantity = normalize(WIDE_CONTEXT.add(strategy.position, signed))
    price = after.price
    if strategy.entry_price is not None and (quantity > 0) == (strategy.position > 0):
        price = strategy.entry_price
    if not quantity:
        return Holding()
    return Holding(quantity, WIDE_CONTEXT.multiply(abs(quantity), price))


def _order_after(order: StrategyOrder | None, command: CorrectFillCommand) -> StrategyOrder | None:
    if order is None or order.order_id != command.order_id:
        return order
    if command.is_order_closed:
        return None
    change = WIDE_CONTEXT.subtract(command.after.qty, command.before.qty)
    filled_qty = max(Decimal(0), normalize(WIDE_CONTEXT.add(order.filled_qty, change)))
    return msgspec.structs.replace(order, filled_qty=filled_qty)


def _describe(command: CorrectFillCommand) -> str:
    done = "buying" if command.side is Side.BUY else "selling"
    was = f"the execution of {done} {_describe_terms(command.before)}"
    if not command.after.qty:
        return f"{was} was busted"
    return f"{was} was corrected to {_describe_terms(command.after)}"


def _describe_terms(terms: ExecutionTerms) -> str:
    return f"{format_decimal(terms.qty)} at {format_decimal(terms.price)}"
