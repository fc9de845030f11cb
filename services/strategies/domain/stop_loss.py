"""The stop-loss: when the price has moved too far against a position. Pure.

`StopLossState` folds the prices of one position. A fixed stop-loss triggers `percent` from the
entry price; a trailing one from the best price since, or from the entry price while that is better.
A stop-loss that was touched stays touched, whatever the price does next: the runner waits for the
end of a pending order and closes what is left of the position. Start at `apply_price`.
"""

from decimal import Decimal

import msgspec

from tapewire.decimals import AVERAGE_PRICE_PLACES, WIDE_CONTEXT, round_half_even
from tapewire.events import Side, StopLoss, StopLossKind, Strategy
from tapewire_services.strategies.domain.trading import closing_side


class StopLossTouch(msgspec.Struct, frozen=True):
    """`price` reached `trigger_price`."""

    trigger_price: Decimal
    price: Decimal


class StopLossState(msgspec.Struct, frozen=True):
    """The stop-loss of one position. `position_since` identifies the position, as in
    `TrackedStrategy`; an order of `side` would close it."""

    position_since: int = msgspec.field(default=0, name="since")
    side: Side | None = None
    best_price: Decimal | None = msgspec.field(default=None, name="best")
    touch: StopLossTouch | None = msgspec.field(default=None, name="touched")


def apply_price(
    state: StopLossState, strategy: Strategy, position_since: int, price: Decimal
) -> StopLossState:
    """The state after one more price. It starts again when `position_since` or the side shows that
    the strategy holds another position."""
    side, entry = closing_side(strategy), strategy.entry_price
    stop_loss = strategy.stop_loss
    if state.position_since != position_since or state.side is not side or stop_loss is None:
        state = StopLossState(position_since, side)
    if stop_loss is None or side is None or entry is None or state.touch is not None:
        return state
    best = price
    if state.best_price is not None:
        best = _more_favorable_price(side, state.best_price, price)
    trigger = calculate_trigger_price(stop_loss, side, entry, best)
    is_touched = price <= trigger if side is Side.SELL else price >= trigger
    touch = StopLossTouch(trigger, price) if is_touched else None
    return StopLossState(position_since, side, best, touch)


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
    distance = WIDE_CONTEXT.multiply(abs(reference), stop_loss.percent).scaleb(-2, WIDE_CONTEXT)
    move = WIDE_CONTEXT.subtract if side is Side.SELL else WIDE_CONTEXT.add
    trigger = move(reference, distance)
    return round_half_even(trigger, AVERAGE_PRICE_PLACES)


def _more_favorable_price(side: Side, first: Decimal, second: Decimal) -> Decimal:
    """The better price for a position that an order of `side` closes."""
    return max(first, second) if side is Side.SELL else min(first, second)
