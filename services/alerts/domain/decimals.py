"""Numbers and texts from outside, within bounds; and how numbers are spelled for people.

A decimal from outside may be NaN, or `1e999999`, whose every naive use takes seconds and gigabytes.
`exact` looks at its sign, size and places, in that order, before any arithmetic.
"""

import hashlib
from decimal import Context, Decimal

from tapewire.log import CommandRejected

WIDE_CONTEXT = Context(prec=60)
"""Exact for the products of prices and percentages within bounds, here and in quotes."""
MAX_SHOWN_CHARACTERS = 40
"""Characters of a bad value that an error repeats."""
MAX_PLAIN_DIGITS = 20
"""Digits on one side of the point that people are shown as such."""


def validate_positive_decimal(
    path: str, value: Decimal, *, maximum: Decimal, places: int
) -> Decimal:
    """`value` in its plainest digits (10.50 is 10.5, 1E+3 is 1000).

    Raises:
        Refusal: invalid at `path`: not a finite number above 0, above `most`, or finer than
            `places` decimals.
    """
    why = None
    if not value.is_finite():
        why = "must be a finite number"
    elif value <= 0:
        why = "must be above 0"
    elif value > maximum:
        why = f"must be at most {maximum}"
    elif value.quantize(Decimal((0, (1,), -places)), context=WIDE_CONTEXT) != value:
        why = f"must have at most {places} decimal places"
    if why is not None:
        raise CommandRejected("invalid", f"{path} {why}, not {abbreviate(value)}", path)
    return normalize(value)


def normalize(value: Decimal) -> Decimal:
    """The same number without trailing zeros and without an exponent above 0."""
    normal = value.normalize(WIDE_CONTEXT)
    exponent = normal.as_tuple().exponent
    return normal.quantize(Decimal(1), context=WIDE_CONTEXT) if int(exponent) > 0 else normal


def format_decimal(value: Decimal) -> str:
    """`value` for people: 1000, not 1E+3; a monstrous one as it is."""
    if not value.is_finite() or not -MAX_PLAIN_DIGITS <= value.adjusted() < MAX_PLAIN_DIGITS:
        return abbreviate(value)
    return f"{value.normalize(WIDE_CONTEXT):f}"


def validate_symbol(path: str, value: str) -> None:
    """Raises Refusal when `value` is not 1 to 64 printable ASCII characters."""
    if not 1 <= len(value) <= 64:
        raise CommandRejected(
            "invalid", f"{path} must have 1 to 64 characters, not {len(value)}", path
        )
    if not (value.isascii() and value.isprintable()):
        raise CommandRejected(
            "invalid", f"{path} must be printable ASCII, not {abbreviate(ascii(value))}", path
        )


def abbreviate(value: object) -> str:
    """`value` for an error message, cut to `SHOWN` characters."""
    text = str(value)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"


def derive_id(*parts: str) -> str:
    """One id made of several texts: 32 hexadecimal digits, the same for the same texts."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
