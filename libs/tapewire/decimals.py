"""Exact decimal arithmetic for prices, quantities and money.

Validation bounds a number before any arithmetic: a decimal from outside may be NaN, or a number
such as `1e999999`, and arithmetic on that takes seconds and gigabytes. `EXACT_CONTEXT` raises an
error where a result would need rounding; `round_half_even` is the only function that rounds.

Start with `validate_decimal` for input and `normalize` for the spelling of results. The verifier
does not use this module: `tapewire.verify.fixed_point` checks these results independently.
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

Number = int | float | str | Decimal
"""A number as a caller of the client may write it."""

WIDE_CONTEXT = Context(prec=120, rounding=ROUND_HALF_EVEN)
"""Exact for sums and products of validated numbers. Quotients are rounded to 120 digits, far below
any decimal place that is stored or shown."""
EXACT_CONTEXT = Context(
    prec=120, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, Clamped]
)
"""Raises `decimal.Inexact` instead of rounding. Holds a sum of 10^18 products of two validated
numbers, multiplied by a third."""
AVERAGE_PRICE_PLACES = 6
"""Decimal places of an average price, in dollars a share."""
MAX_SHOWN_CHARACTERS = 40
"""Characters of a bad value that an error message repeats."""
MAX_PLAIN_DIGITS = 20
"""Digits on either side of the point that `format_decimal` writes without an exponent."""


class DecimalOutOfBounds(ValueError):
    """A number is outside its bounds. `requirement` says which bound, without the value."""

    def __init__(self, requirement: str, value: Decimal) -> None:
        super().__init__(f"{requirement}, not {abbreviate(value)}")
        self.requirement = requirement


def parse_decimal(value: Number) -> Decimal:
    """Return `value` as a decimal. A float becomes the shortest decimal that reads as that float:
    182.45 becomes exactly 182.45.

    Raises:
        ValueError: The text is not a number.
    """
    if isinstance(value, Decimal):
        return value
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise ValueError("not a number") from None


def validate_decimal(value: Decimal, *, minimum: Decimal, maximum: Decimal, places: int) -> Decimal:
    """Return `value` normalized (10.50 becomes 10.5, 1E+3 becomes 1000).

    Raises:
        DecimalOutOfBounds: The value is not finite, is below `minimum` or above `maximum`, or has
            more than `places` decimal places.
    """
    if not value.is_finite():
        raise DecimalOutOfBounds("must be a finite number", value)
    if value < minimum:
        raise DecimalOutOfBounds(f"must be at least {minimum:f}", value)
    if value > maximum:
        raise DecimalOutOfBounds(f"must be at most {maximum:f}", value)
    rounded = round_half_even(value, places)
    if rounded != value:
        raise DecimalOutOfBounds(f"must have at most {places} decimal places", value)
    return rounded


def validate_positive_decimal(value: Decimal, *, maximum: Decimal, places: int) -> Decimal:
    """Like `validate_decimal`, for a number above 0."""
    if value.is_finite() and value <= 0:
        raise DecimalOutOfBounds("must be above 0", value)
    return validate_decimal(value, minimum=Decimal(0), maximum=maximum, places=places)


def round_half_even(value: Decimal, places: int) -> Decimal:
    """Return `value` rounded half to even to `places` decimal places, normalized."""
    step = Decimal((0, (1,), -places))
    return normalize(value.quantize(step, context=WIDE_CONTEXT))


def average_price(cost: Decimal, qty: Decimal) -> Decimal:
    """Return `cost` divided by `qty`, rounded half to even to `AVERAGE_PRICE_PLACES`."""
    return round_half_even(WIDE_CONTEXT.divide(cost, qty), AVERAGE_PRICE_PLACES)


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


def abbreviate(value: object) -> str:
    """Return `value` as text for an error message, cut to `MAX_SHOWN_CHARACTERS`."""
    text = str(value)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"
