"""The prices at which a position is closed: its stop-loss and its take-profit. Pure.

`ProtectionState` folds the prices of one position. A fixed stop-loss triggers `percent` from the
entry price; a trailing one from the best price since, or from the entry price while that is better.
A take-profit triggers `percent` beyond the entry price. What was touched stays touched, whatever
the price does next: `exits` closes the position. Start at `apply_price`.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from tapewire.decimals import AVERAGE_PRICE_PLACES, WIDE_CONTEXT, round_half_even
from tapewire.events import (
    ExitReason,
    Side,
    SplitRatio,
    StopLoss,
    StopLossKind,
    Strategy,
    TakeProfit,
)
from tapewire_services.strategies.domain.exits import closing_side
from tapewire_services.strategies.domain.splits import scale_price


class ExitTouch(msgspec.Struct, frozen=True):
    """`price` reached `trigger_price`."""

    trigger_price: Decimal
    price: Decimal
    reason: ExitReason = ExitReason.STOP_LOSS


class ProtectionState(msgspec.Struct, frozen=True):
    """The stop-loss and the take-profit of one position. `position_since` identifies the position,
    as in `TrackedStrategy`; an order of `side` would close it."""

    position_since: int = msgspec.field(default=0, name="since")
    side: Side | None = None
    best_price: Decimal | None = msgspec.field(default=None, name="best")
    touch: ExitTouch | None = msgspec.field(default=None, name="touched")
    split_since: int = 0
    """The sequence of the last split that its prices follow."""


def follow_splits(
    state: ProtectionState, splits: Sequence[tuple[int, SplitRatio]]
) -> ProtectionState:
    """The state with the prices of the shares after `splits`, each with its sequence."""
    for sequence, ratio in splits:
        if sequence <= state.split_since:
            continue
        best, touch = state.best_price, state.touch
        state = msgspec.structs.replace(
            state,
            best_price=None if best is None else scale_price(best, ratio),
            touch=None if touch is None else _split_touch(touch, ratio),
            split_since=sequence,
        )
    return state


def _split_touch(touch: ExitTouch, ratio: SplitRatio) -> ExitTouch:
    return msgspec.structs.replace(
        touch,
        trigger_price=scale_price(touch.trigger_price, ratio),
        price=scale_price(touch.price, ratio),
    )


def apply_price(
    state: ProtectionState, strategy: Strategy, position_since: int, price: Decimal
) -> ProtectionState:
    """The state after one more price. It starts again when `position_since` or the side shows that
    the strategy holds another position, and while nothing is watched."""
    side, entry = closing_side(strategy), strategy.entry_price
    if (
        state.position_since != position_since
        or state.side is not side
        or not strategy.guards_position
    ):
        state = ProtectionState(position_since, side, split_since=state.split_since)
    if side is None or entry is None or not strategy.guards_position or state.touch is not None:
        return state
    best = price
    if state.best_price is not None:
        best = _more_favorable_price(side, state.best_price, price)
    touch = _find_touch(strategy, side, best, price)
    return ProtectionState(position_since, side, best, touch, state.split_since)


def _find_touch(strategy: Strategy, side: Side, best: Decimal, price: Decimal) -> ExitTouch | None:
    entry = strategy.entry_price
    if entry is None:
        return None
    if strategy.stop_loss is not None:
        trigger = calculate_trigger_price(strategy.stop_loss, side, entry, best)
        if price <= trigger if side is Side.SELL else price >= trigger:
            return ExitTouch(trigger, price, ExitReason.STOP_LOSS)
    if strategy.take_profit is not None:
        trigger = calculate_profit_price(strategy.take_profit, side, entry)
        if price >= trigger if side is Side.SELL else price <= trigger:
            return ExitTouch(trigger, price, ExitReason.TAKE_PROFIT)
    return None


def calculate_trigger_price(
    stop_loss: StopLoss, side: Side, entry_price: Decimal, best_price: Decimal
) -> Decimal:
    """The price at which a position that was entered at `entry_price` is closed by an order of
    `side`, in dollars a share, rounded to eight places. `best_price` is the best price since."""
    reference = (
        entry_price
        if stop_loss.kind is StopLossKind.FIXED
        else _more_favorable_price(side, entry_price, best_price)
    )
    return _move_price(reference, stop_loss.percent, up=side is Side.BUY)


def calculate_profit_price(take_profit: TakeProfit, side: Side, entry_price: Decimal) -> Decimal:
    """The price at which a position that was entered at `entry_price` takes its profit by an order
    of `side`; in dollars a share, rounded to eight places."""
    return _move_price(entry_price, take_profit.percent, up=side is Side.SELL)


def _move_price(price: Decimal, percent: Decimal, *, up: bool) -> Decimal:
    """`price` moved by `percent` of its size, which also works below zero."""
    change = WIDE_CONTEXT.multiply(abs(price), percent).scaleb(-2, WIDE_CONTEXT)
    moved = WIDE_CONTEXT.add(price, change) if up else WIDE_CONTEXT.subtract(price, change)
    return round_half_even(moved, AVERAGE_PRICE_PLACES)


def _more_favorable_price(side: Side, first: Decimal, second: Decimal) -> Decimal:
    """The better price for a position that an order of `side` closes."""
    return max(first, second) if side is Side.SELL else min(first, second)
