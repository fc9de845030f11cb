"""The stop-loss: when a price has gone too far against what is held. Pure.

A `Guard` folds the prices of one holding. A fixed stop-loss triggers `percent` from the entry; a
trailing one from the best price since, or from the entry while that is better. Once touched it
stays touched, whatever the price does next: an order that is under way just then is waited for, and
what is left of the holding is closed. Start at `watch`.
"""

from decimal import Decimal

import msgspec

from services.strategies.exact import MONEY_PLACES, WIDE, rounded
from services.strategies.trading import closing_side
from tapewire.events import Side, StopLoss, StopLossKind, Strategy

HUNDRED = Decimal(100)


class Touch(msgspec.Struct, frozen=True):
    """`price` reached `trigger_price`."""

    trigger_price: Decimal
    price: Decimal


class Guard(msgspec.Struct, frozen=True):
    """The watch over one holding, which began at `since`, a sequence of the log, and would be
    closed by an order of `side`."""

    since: int = 0
    side: Side | None = None
    best: Decimal | None = None
    touched: Touch | None = None


def watch(guard: Guard, strategy: Strategy, since: int, price: Decimal) -> Guard:
    """The guard after one more price, of what the strategy holds since `since`; a new one when that
    is another holding than it guarded."""
    side, entry = closing_side(strategy), strategy.entry_price
    stop = strategy.stop_loss
    if guard.since != since or guard.side is not side or stop is None:
        guard = Guard(since, side)
    if stop is None or side is None or entry is None or guard.touched is not None:
        return guard
    best = price if guard.best is None else _better(side, guard.best, price)
    trigger = trigger_price(stop, side, entry, best)
    reached = price <= trigger if side is Side.SELL else price >= trigger
    return Guard(since, side, best, Touch(trigger, price) if reached else None)


def trigger_price(stop: StopLoss, side: Side, entry: Decimal, best: Decimal) -> Decimal:
    """Where a holding bought (or sold short) at `entry` is closed by an order of `side`, dollars a
    share, rounded to six places; `best` is the best price since."""
    reference = entry if stop.kind is StopLossKind.FIXED else _better(side, entry, best)
    percent = HUNDRED - stop.percent if side is Side.SELL else HUNDRED + stop.percent
    return rounded(WIDE.multiply(reference, percent).scaleb(-2, WIDE), MONEY_PLACES)


def _better(side: Side, one: Decimal, other: Decimal) -> Decimal:
    """For a holding that is closed by `side`."""
    return max(one, other) if side is Side.SELL else min(one, other)
