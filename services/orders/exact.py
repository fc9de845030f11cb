"""Exact decimals within bounds: what makes sums of money neither drift nor blow up.

A decimal from outside may be NaN, or `1e999999`, whose every naive use takes seconds and gigabytes.
`exact` looks at its sign, size and places, in that order, before any arithmetic.
"""

from decimal import Context, Decimal

WIDE = Context(prec=50)
"""Exact for every product and sum of bounded quantities and prices (27 digits), and wide enough
that rounding a quotient once more to `AVERAGE` cannot tip a tie."""
AVERAGE = Decimal("0.000001")
"""Places of an average price."""
SHOWN = 40
"""Characters of a bad value that an error repeats."""


class Inexact(ValueError):
    """A number outside its bounds; the message says which bound."""


def exact(value: Decimal, *, most: Decimal, places: int) -> Decimal:
    """`value` in its plainest digits (10.50 is 10.5, 1E+3 is 1000).

    Raises:
        Inexact: it is not a finite number above 0, above `most`, or finer than `places` decimals.
    """
    if not value.is_finite():
        raise Inexact(f"must be a finite number, not {show(value)}")
    if value <= 0:
        raise Inexact(f"must be above 0, not {show(value)}")
    if value > most:
        raise Inexact(f"must be at most {most}, not {show(value)}")
    rounded = value.quantize(Decimal((0, (1,), -places)), context=WIDE)
    if rounded != value:
        raise Inexact(f"must have at most {places} decimal places, not {show(value)}")
    return plain(rounded)


def plain(value: Decimal) -> Decimal:
    """The same number without trailing zeros and without an exponent above 0."""
    normal = value.normalize(WIDE)
    exponent = normal.as_tuple().exponent
    return normal.quantize(Decimal(1), context=WIDE) if int(exponent) > 0 else normal


def average(notional: Decimal, qty: Decimal) -> Decimal:
    """`notional` a share, rounded half to even to six places."""
    return plain(WIDE.divide(notional, qty).quantize(AVERAGE, context=WIDE))


def show(value: object) -> str:
    """`value` for an error message, cut to `SHOWN` characters."""
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
