"""Exact decimals within bounds, and how they are told to people.

A decimal from outside may be NaN, or `1e999999`, whose every naive use takes seconds and gigabytes.
`exact` looks at its sign, size and places, in that order, before any arithmetic.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal

WIDE_CONTEXT = Context(prec=60)
"""Exact for every sum, product and square that the rules make of bounded prices (14 digits), sums
of a thousand of them, and windows; quotients are rounded far below any place that is shown."""
MAX_SHOWN_CHARACTERS = 40
"""Characters of a bad value that an error repeats."""
MONEY_PLACES = 6
"""Of averages and triggers, in dollars a share."""
REASON_PLACES = 4
"""Of numbers in reasons."""


class DecimalOutOfBounds(ValueError):
    """A number outside its bounds; the message says which bound."""


def validate_decimal(value: Decimal, *, minimum: Decimal, maximum: Decimal, places: int) -> Decimal:
    """`value` in its plainest digits (10.50 is 10.5, 1E+3 is 1000).

    Raises:
        Inexact: it is not finite, below `least`, above `most`, or finer than `places` decimals.
    """
    if not value.is_finite():
        raise DecimalOutOfBounds(f"must be a finite number, not {abbreviate(value)}")
    if value < minimum:
        raise DecimalOutOfBounds(f"must be at least {minimum:f}, not {abbreviate(value)}")
    if value > maximum:
        raise DecimalOutOfBounds(f"must be at most {maximum:f}, not {abbreviate(value)}")
    found = round_half_even(value, places)
    if found != value:
        raise DecimalOutOfBounds(
            f"must have at most {places} decimal places, not {abbreviate(value)}"
        )
    return found


def normalize(value: Decimal) -> Decimal:
    """The same number without trailing zeros and without an exponent above 0."""
    normal = value.normalize(WIDE_CONTEXT)
    exponent = normal.as_tuple().exponent
    return normal.quantize(Decimal(1), context=WIDE_CONTEXT) if int(exponent) > 0 else normal


def round_half_even(value: Decimal, places: int) -> Decimal:
    """`value` half to even to `places` decimals, in its plainest digits."""
    step = Decimal((0, (1,), -places))
    return normalize(value.quantize(step, rounding=ROUND_HALF_EVEN, context=WIDE_CONTEXT))


def format_decimal(value: Decimal) -> str:
    """`value` as a reason for people has it: 182.4567, never 1.8E+2."""
    return f"{round_half_even(value, REASON_PLACES):f}"


def abbreviate(value: object) -> str:
    """`value` for an error message, cut to `SHOWN` characters."""
    text = str(value)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"
