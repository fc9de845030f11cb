"""What a feed yields: changes of a market, and what their numbers and symbols may be.

A feed makes a `Tick` of the values as its vendor writes them. `validate_tick` is the border: it
returns a `ValidTick`, and says what of the tick cannot be taken. Start at `Tick`.
"""

import functools
from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from tapewire.values import (
    NOT_NEGATIVE,
    FaultReason,
    InvalidValue,
    Number,
    NumberRange,
    is_symbol,
    validate_number,
    validate_price,
    validate_symbol,
)

ZERO = Decimal(0)
_is_known_symbol = functools.lru_cache(maxsize=16_384)(is_symbol)
"""The same symbols come again and again."""


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """A change in the market of one symbol.

    Prices are dollars a share, sizes are shares. Numbers may be of any type that
    `tapewire.values.Number` names: floats, decimals, texts. None means unchanged for bid and ask,
    and no trade for `last`. A side whose price and size are 0 has no offer.

    A `last` with a `last_size` is a new trade; without one it is the price of the last trade.
    `volume` is the number of shares traded today, where the vendor states it; without it, the sizes
    of the trades are added up. `day_open` is the price that changes are measured from; without it,
    the first price.
    """

    symbol: str
    bid: Number | None = None
    bid_size: Number | None = None
    ask: Number | None = None
    ask_size: Number | None = None
    last: Number | None = None
    last_size: Number | None = None
    volume: Number | None = None
    day_open: Number | None = None


class TickBatch(msgspec.Struct, frozen=True):
    """Changes that came together, in order; none: the market is heard and does not change.

    `is_day_start`: a new trading day begins with them, so volumes and changes start over.
    `is_snapshot`: they are what the market is now, after it could not be heard, and what was known
    before them is forgotten. A trade in a snapshot is not a new one.
    `is_catch_up`: another process has published them; they count, but are not published again.
    """

    ticks: Sequence[Tick] = ()
    is_day_start: bool = False
    is_snapshot: bool = False
    is_catch_up: bool = False


class ValidTick(Tick, frozen=True, kw_only=True):
    """A tick whose symbol and numbers are as `tapewire.values` has them."""

    symbol: str
    bid: Decimal | None = None
    bid_size: Decimal | None = None
    ask: Decimal | None = None
    ask_size: Decimal | None = None
    last: Decimal | None = None
    last_size: Decimal | None = None
    volume: Decimal | None = None
    day_open: Decimal | None = None


Pair = tuple[Decimal | None, Decimal | None]
"""A price and a size."""
NO_OFFER: Pair = (ZERO, ZERO)
NO_TRADE: Pair = (None, None)
FaultHandler = Callable[[InvalidValue], None]


def validate_tick(tick: Tick, on_fault: FaultHandler) -> ValidTick:
    """Return `tick` with valid values.

    A side with a fault has no offer, and a trade with a fault is none; `on_fault` is called with
    each.

    Raises:
        InvalidValue: The symbol is malformed, so nothing of the tick can be taken.
    """
    symbol = validate_tick_symbol(tick.symbol)
    bid, bid_size = validate_side("bid", tick.bid, tick.bid_size, on_fault)
    ask, ask_size = validate_side("ask", tick.ask, tick.ask_size, on_fault)
    last, last_size = validate_trade(tick.last, tick.last_size, on_fault)
    volume = day_open = None
    try:
        volume = _validate_number("volume", tick.volume, NOT_NEGATIVE)
        day_open = _validate_number("day_open", tick.day_open, None)
    except InvalidValue as error:
        on_fault(error)
    return ValidTick(
        symbol=symbol,
        bid=bid,
        bid_size=bid_size,
        ask=ask,
        ask_size=ask_size,
        last=last,
        last_size=last_size,
        volume=volume,
        day_open=day_open,
    )


def validate_tick_symbol(text: str) -> str:
    """Return the symbol of a tick. Raises InvalidValue."""
    is_plain = type(text) is str and _is_known_symbol(text)
    return text if is_plain else validate_symbol("symbol", text)


def validate_side(
    name: str, price: Number | None, size: Number | None, on_fault: FaultHandler
) -> Pair:
    """Return price and size of the side `name` of a market, which is ``bid`` or ``ask``."""
    try:
        return to_side(
            _validate_number(name, price, None),
            _validate_number(f"{name}_size", size, NOT_NEGATIVE),
        )
    except InvalidValue as error:
        on_fault(error)
        return NO_OFFER


def validate_trade(price: Number | None, size: Number | None, on_fault: FaultHandler) -> Pair:
    """Return price and size of a trade, which are None if there is none."""
    try:
        return to_trade(
            _validate_number("last", price, None),
            _validate_number("last_size", size, NOT_NEGATIVE),
        )
    except InvalidValue as error:
        on_fault(error)
        return NO_TRADE


def to_side(price: Decimal | None, size: Decimal | None) -> Pair:
    """Return a side of valid numbers. A price of 0 without a size is how feeds write that there is
    no offer."""
    return NO_OFFER if price is not None and not price and not size else (price, size)


def to_trade(price: Decimal | None, size: Decimal | None) -> Pair:
    """Return a trade of valid numbers. A price of 0 without a size is none.

    Raises:
        InvalidValue: A size without a price.
    """
    if price is None and size is not None:
        problem = f"must be a price, since {size:f} shares were traded"
        raise InvalidValue("last", price, problem, FaultReason.SIZE_WITHOUT_PRICE)
    return (price, size) if price or size else NO_TRADE


def _validate_number(
    name: str, value: Number | None, allowed: NumberRange | None
) -> Decimal | None:
    """Return a number of the range, a price where that is None; None for None."""
    if value is None:
        return None
    return validate_price(name, value) if allowed is None else validate_number(name, value, allowed)
