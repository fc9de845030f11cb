"""Fixed-point arithmetic on whole numbers, for checking money and shares independently.

The services compute with `tapewire.decimals`. The verifier does not, because an error in a shared
module would be in the result and in the check alike, and no check would find it.

A quantity is a whole number of 10^-9 shares and a price a whole number of 10^-12 dollars. Their
product is a whole number of 10^-21 dollars (`COST_PLACES`). Only `divide_half_even` rounds.
"""

from decimal import Context, Decimal

QTY_PLACES, PRICE_PLACES, COST_PLACES, ENTRY_PRICE_PLACES = 9, 12, 21, 6
"""Decimal places."""
MAX_AMOUNT = 10**12
"""No quantity, price or fee is larger."""
_MAX_EXPONENT = 90
_WIDE_CONTEXT = Context(prec=200)


class UnrepresentableAmount(ValueError):
    """A decimal that is no whole number of the unit, or no number."""


def to_units(value: Decimal, places: int) -> int:
    """`value` as a number of ``10 ** -places``. Raises NoFigure."""
    if not value.is_finite() or value.adjusted() > _MAX_EXPONENT:
        raise UnrepresentableAmount(f"{str(value)[:40]} is no amount")
    shifted = _WIDE_CONTEXT.scaleb(value, places)
    found = int(shifted)
    if found != shifted:
        raise UnrepresentableAmount(f"{str(value)[:40]} is finer than {places} places")
    return found


def from_units(units: int, places: int) -> Decimal:
    """The decimal that `units` makes `number` of."""
    return (
        _WIDE_CONTEXT.scaleb(Decimal(units), -places).normalize(_WIDE_CONTEXT)
        if units
        else Decimal(0)
    )


def divide_half_even(dividend: int, divisor: int) -> int:
    """The whole number nearest to the quotient; half way between two, the even one."""
    if divisor < 0:
        dividend, divisor = -dividend, -divisor
    whole, rest = divmod(dividend, divisor)
    if 2 * rest > divisor or (2 * rest == divisor and whole % 2):
        whole += 1
    return whole


def average_price(cost: int, qty: int) -> int:
    """Dollars a share in units of `ENTRY`, of a `COST` and a `QTY`."""
    return divide_half_even(cost, qty * 10 ** (COST_PLACES - QTY_PLACES - ENTRY_PRICE_PLACES))
