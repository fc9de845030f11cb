"""Exact decimals within bounds: what makes sums of money neither drift nor blow up.

A decimal from outside may be NaN, or `1e999999`, whose every naive use takes seconds and gigabytes.
`exact` looks at its sign, size and places, in that order, before any arithmetic.
"""

from decimal import Context, Decimal

WIDE_CONTEXT = Context(prec=50)
"""Exact for every product and sum of bounded quantities and prices (27 digits), and wide enough
that rounding a quotient once more to `AVERAGE` cannot tip a tie."""
AVERAGE_PRICE_STEP = Decimal("0.000001")
"""Places of an average price."""
MAX_SHOWN_CHARACTERS = 40
"""Characters of a bad value that an error repeats."""


class DecimalOutOfBounds(ValueError):
    """A number outside its bounds; the message says which bound."""


def validate_positive_decimal(value: Decimal, *, maximum: Decimal, places: int) -> Decimal:
    """`value` in its plainest digits (10.50 is 10.5, 1E+3 is 1000).

    Raises:
        Inexact: it is not a finite number above 0, above `most`, or finer than `places` decimals.
    """
    if not value.is_finite():
        raise DecimalOutOfBounds(f"must be a finite number, not {abbreviate(value)}")
    if value <= 0:
        raise DecimalOutOfBounds(f"must be above 0, not {abbreviate(value)}")
    if value > maximum:
        raise DecimalOutOfBounds(f"must be at most {maximum}, not {abbreviate(value)}")
    rounded = value.quantize(Decimal((0, (1,), -places)), context=WIDE_CONTEXT)
    if rounded != value:
        raise DecimalOutOfBounds(
            f"must have at most {places} decimal places, not {abbreviate(value)}"
        )
    return normalize(rounded)


def normalize(value: Decimal) -> Decimal:
    """The same number without trailing zeros and without an exponent above 0."""
    normal = value.normalize(WIDE_CONTEXT)
    exponent = normal.as_tuple().exponent
    return normal.quantize(Decimal(1), context=WIDE_CONTEXT) if int(exponent) > 0 else normal


def average_price(notional: Decimal, qty: Decimal) -> Decimal:
    """`notional` a share, rounded half to even to six places."""
    return normalize(
        WIDE_CONTEXT.divide(notional, qty).quantize(AVERAGE_PRICE_STEP, context=WIDE_CONTEXT)
    )


def abbreviate(value: object) -> str:
    """`value` for an error message, cut to `SHOWN` characters."""
    text = str(value)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"
