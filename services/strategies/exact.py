"""Exact decimals within bounds, and how they are told to people.

A decimal from outside may be NaN, or `1e999999`, whose every naive use takes seconds and gigabytes.
`exact` looks at its sign, size and places, in that order, before any arithmetic.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal

WIDE = Context(prec=60)
"""Exact for every sum, product and square that the rules make of bounded prices (14 digits), sums
of a thousand of them, and windows; quotients are rounded far below any place that is shown."""
SHOWN = 40
"""Characters of a bad value that an error repeats."""
MONEY_PLACES = 6
"""Of averages and triggers, in dollars a share."""
TOLD_PLACES = 4
"""Of numbers in reasons."""


class Inexact(ValueError):
    """A number outside its bounds; the message says which bound."""


def exact(value: Decimal, *, least: Decimal, most: Decimal, places: int) -> Decimal:
    """`value` in its plainest digits (10.50 is 10.5, 1E+3 is 1000).

    Raises:
        Inexact: it is not finite, below `least`, above `most`, or finer than `places` decimals.
    """
    if not value.is_finite():
        raise Inexact(f"must be a finite number, not {show(value)}")
    if value < least:
        raise Inexact(f"must be at least {least:f}, not {show(value)}")
    if value > most:
        raise Inexact(f"must be at most {most:f}, not {show(value)}")
    found = rounded(value, places)
    if found != value:
        raise Inexact(f"must have at most {places} decimal places, not {show(value)}")
    return found


def plain(value: Decimal) -> Decimal:
    """The same number without trailing zeros and without an exponent above 0."""
    normal = value.normalize(WIDE)
    exponent = normal.as_tuple().exponent
    return normal.quantize(Decimal(1), context=WIDE) if int(exponent) > 0 else normal


def rounded(value: Decimal, places: int) -> Decimal:
    """`value` half to even to `places` decimals, in its plainest digits."""
    step = Decimal((0, (1,), -places))
    return plain(value.quantize(step, rounding=ROUND_HALF_EVEN, context=WIDE))


def tell(value: Decimal) -> str:
    """`value` as a reason for people has it: 182.4567, never 1.8E+2."""
    return f"{rounded(value, TOLD_PLACES):f}"


def show(value: object) -> str:
    """`value` for an error message, cut to `SHOWN` characters."""
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
