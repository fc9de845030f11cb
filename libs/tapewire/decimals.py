"""Exact decimal arithmetic for prices, quantities and money.

`tapewire.values` bounds a number from outside before any arithmetic. `EXACT_CONTEXT` raises an
error where a result would need rounding; `round_half_even` is what all rounding uses.

Start with `normalize`, for the spelling of results. The verifier does not use this module:
`tapewire.verify.fixed_point` checks these results independently.
"""

from decimal import (
    ROUND_HALF_EVEN,
    Clamped,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)

WIDE_CONTEXT = Context(prec=120, rounding=ROUND_HALF_EVEN)
"""Exact for sums and products of validated numbers. Quotients are rounded to 120 digits, far below
any decimal place that is stored or shown."""
EXACT_CONTEXT = Context(
    prec=120, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, Clamped]
)
"""Raises `decimal.Inexact` instead of rounding. Holds a sum of 10^18 products of two validated
numbers, multiplied by a third."""
AVERAGE_PRICE_PLACES = 8
"""Decimal places of an average price, in dollars a share."""
HUNDRED = Decimal(100)
PERCENT_CONTEXT = Context(prec=28, rounding=ROUND_HALF_EVEN)
"""Exact for the difference of two prices, and quick: every quote has a change in percent."""
PERCENT_STEP = Decimal("0.0001")
"""Changes in percent are rounded to it."""
WIDE_PLACES = 12
"""Decimal places that `format_rounded` shows at most."""
MAX_SHOWN_CHARACTERS = 40
"""Characters of a bad value that an error message repeats."""
MAX_PLAIN_DIGITS = 20
"""Digits on either side of the point that `format_decimal` writes without an exponent."""


def round_half_even(value: Decimal, places: int) -> Decimal:
    """Return `value` rounded half to even to `places` decimal places, normalized."""
    step = Decimal((0, (1,), -places))
    return normalize(value.quantize(step, context=WIDE_CONTEXT))


def average_price(cost: Decimal, qty: Decimal) -> Decimal:
    """Return `cost` divided by `qty`, rounded half to even to `AVERAGE_PRICE_PLACES`."""
    return round_half_even(WIDE_CONTEXT.divide(cost, qty), AVERAGE_PRICE_PLACES)


def percent_change(first: Decimal, last: Decimal) -> Decimal:
    """Return how far `last` is from `first`, in percent of the size of `first`: positive when it is
    higher, also where `first` is negative. 0 where `first` is 0, which has no percentage."""
    if not first:
        return Decimal(0).quantize(PERCENT_STEP)
    context = PERCENT_CONTEXT
    change = context.multiply(context.subtract(last, first), HUNDRED)
    return context.quantize(context.divide(change, first.copy_abs()), PERCENT_STEP)


def normalize(value: Decimal) -> Decimal:
    """Return the same number without trailing zeros, without a positive exponent, and never -0."""
    if not value:
        return Decimal(0)
    normal = value.normalize(WIDE_CONTEXT)
    exponent = normal.as_tuple().exponent
    return normal.quantize(Decimal(1), context=WIDE_CONTEXT) if int(exponent) > 0 else normal


def limit_places(value: Decimal, places: int) -> Decimal:
    """Return `value` rounded to at most `places` decimal places, without a positive exponent.
    Unlike `normalize`, this keeps trailing zeros: 10.50 stays 10.50."""
    if not value:
        return Decimal(0)
    given_places = -int(value.as_tuple().exponent)
    step = Decimal((0, (1,), -min(max(given_places, 0), places)))
    return value.quantize(step, context=WIDE_CONTEXT)


def format_decimal(value: Decimal) -> str:
    """Return `value` for people: 1000 rather than 1E+3. A number of more than `MAX_PLAIN_DIGITS`
    on one side of the point keeps its exponent."""
    if not value.is_finite() or not -MAX_PLAIN_DIGITS <= value.adjusted() < MAX_PLAIN_DIGITS:
        return abbreviate(value)
    return f"{normalize(value):f}"


def format_price(value: Decimal) -> str:
    """Return a price for people, with all its digits and at least two decimal places: 182.40,
    0.00001234."""
    text = format_decimal(value)
    if not value.is_finite() or "E" in text:
        return text
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction:0<2}"


def format_rounded(value: Decimal, places: int = 4) -> str:
    """Return a calculated number for people: rounded to `places` decimal places, or to as many
    significant digits where it is smaller: 182.4567, 0.00001234."""
    needed = places if not value else min(max(places, places - 1 - value.adjusted()), WIDE_PLACES)
    return f"{round_half_even(value, needed):f}"


def abbreviate(value: object) -> str:
    """Return `value` as text for an error message, cut to `MAX_SHOWN_CHARACTERS`."""
    text = str(value)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"


def scale(number: Decimal, multiplier: int, divisor: int, places: int) -> Decimal:
    """``number * multiplier / divisor``, rounded half to even to `places`."""
    product = WIDE_CONTEXT.multiply(number, Decimal(multiplier))
    return normalize(round_half_even(WIDE_CONTEXT.divide(product, Decimal(divisor)), places))
