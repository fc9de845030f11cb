"""The stop-loss: when a price has gone too far against what is held. Pure.

A `Guard` folds the prices of one holding. A fixed stop-loss triggers `percent` from the entry; a
trailing one from the best price since, or from the entry while that is better. Once touched it
stays touched, whatever the price does next: an order that is under way just then is waited for, and
what is left of the holding is closed. Start at `watch`.
"""

from decimal import Decimal

import msgspec

from tapewire.decimals import AVERAGE_PRICE_PLACES, WIDE_CONTEXT, round_half_even
from tapewire.events import Side, StopLoss, StopLossKind, Strategy
from tapewire_services.strategies.domain.trading import closing_side

HUNDRED = Decimal(100)


class StopLossTouch(msgspec.Struct, frozen=True):
    """`price` reached `trigger_price`."""

    trigger_price: Decimal
    price: Decimal


class StopLossState(msgspec.Struct, frozen=True):
    """The watch over one holding, which began at `since`, a sequence of the log, and would be
    closed by an order of `side`."""

    since: int = 0
    side: Side | None = None
    best: Decimal | None = None
    touched: StopLossTouch | None = None


def apply_price(
    state: StopLossState, strategy: Strategy, holding_since: int, price: Decimal
) -> StopLossState:
    """The guard after one more price, of what the strategy holds since `since`; a new one when that
    is another holding than it guarded."""
    side, entry = closing_side(strategy), strategy.entry_price
    stop = strategy.stop_loss
    if state.since != holding_since or state.side is not side or stop is None:
        state = StopLossState(holding_since, side)
    if stop is None or side is None or entry is None or state.touched is not None:
        return state
    best = price if state.best is None else _more_favorable_price(side, state.best, price)
    trigger = calculate_trigger_price(stop, side, entry, best)
    reached = price <= trigger if side is Side.SELL else price >= trigger
    return StopLossState(
        holding_since, side, best, StopLossTouch(trigger, price) if reached else None
    )


def calculate_trigger_price(
    stop_loss: StopLoss, side: Side, entry_price: Decimal, best_price: Decimal
) -> Decimal:
    """Where a holding bought (or sold short) at `entry` is closed by an order of `side`, dollars a
    share, rounded to six places; `best` is the best price since."""
    reference = (
        entry_price
        if stop_loss.kind is StopLossKind.FIXED
        else _more_favorable_price(side, entry_price, best_price)
    )
    percent = HUNDRED - stop_loss.percent if side is Side.SELL else HUNDRED + stop_loss.percent
    return round_half_even(
        WIDE_CONTEXT.multiply(reference, percent).scaleb(-2, WIDE_CONTEXT), AVERAGE_PRICE_PLACES
    )


def _more_favorable_price(side: Side, first: Decimal, second: Decimal) -> Decimal:
    """For a holding that is closed by `side`."""
    return max(first, second) if side is Side.SELL else min(first, second)
