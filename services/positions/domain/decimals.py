"""Exact decimals of bounded size: sums of money that neither drift nor blow up.

`EXACT` raises where a result would have to be rounded, so nothing is ever rounded by accident;
what is rounded on purpose goes through `rounded`. A number of a trade may come from any producer
(NaN, or `1e999999`, whose every naive use takes seconds and gigabytes): `bounded` looks at it
before any arithmetic.
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

EXACT_CONTEXT = Context(
    prec=120, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, Clamped]
)
"""Holds a sum of 10^18 products of two numbers of trades, multiplied by such a number again."""
WIDE_CONTEXT = Context(prec=120, rounding=ROUND_HALF_EVEN)
MAX_SHOWN_CHARACTERS = 40
"""Characters of a bad value that an error repeats."""


class DecimalOutOfBounds(ValueError):
    """A number outside its bounds; the message says which bound."""


def validate_decimal(value: Decimal, *, maximum: Decimal, places: int) -> Decimal:
    """`value`, when it is finite, at most `most` from 0 and no finer than `places` decimals.

    Raises:
        Unusable: it is not.
    """
    if not value.is_finite():
        raise DecimalOutOfBounds(f"must be a finite number, not {abbreviate(value)}")
    if value.copy_abs() > maximum:
        raise DecimalOutOfBounds(f"must be at most {maximum} from 0, not {abbreviate(value)}")
    if round_half_even(value, places) != value:
        raise DecimalOutOfBounds(
            f"must have at most {places} decimal places, not {abbreviate(value)}"
        )
    return normalize(value)


def round_half_even(value: Decimal, places: int) -> Decimal:
    """`value` half to even to `places` decimals, in its plainest digits."""
    return normalize(value.quantize(Decimal((0, (1,), -places)), context=WIDE_CONTEXT))


def normalize(value: Decimal) -> Decimal:
    """The same number without trailing zeros, without an exponent above 0, and never -0."""
    if not value:
        return Decimal(0)
    normal = value.normalize(WIDE_CONTEXT)
    exponent = normal.as_tuple().exponent
    return normal.quantize(Decimal(1), context=WIDE_CONTEXT) if int(exponent) > 0 else normal


def abbreviate(value: object) -> str:
    """`value` for an error message, cut to `SHOWN` characters."""
    text = str(value)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"
