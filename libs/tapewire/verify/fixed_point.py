"""Fixed-point arithmetic on whole numbers, for checking money and shares independently.

The services compute with `tapewire.decimals`. The verifier does not, because an error in a shared
module would be in the result and in the check alike, and no check would find it.

A quantity is a whole number of 10^-9 shares and a price a whole number of 10^-12 dollars. Their
product is a whole number of 10^-21 dollars (`COST_PLACES`). Only `divide_half_even` rounds.
"""

from decimal import Context, Decimal

QTY_PLACES, PRICE_PLACES, COST_PLACES = 9, 12, 21
"""Decimal places of each unit."""
AVERAGE_PLACES, EARLIER_AVERAGE_PLACES = 8, 6
"""Decimal places of average prices, now and in events of earlier versions."""
MAX_AMOUNT = 10**12
"""The largest quantity, price or fee."""
_MAX_EXPONENT = 90
_WIDE_CONTEXT = Context(prec=200)


class UnrepresentableAmount(ValueError):
    """The decimal is not a whole number of the unit, or not a number."""


def to_units(value: Decimal, places: int) -> int:
    """`value` in units of ``10 ** -places``. Raises UnrepresentableAmount."""
    if not value.is_finite() or value.adjusted() > _MAX_EXPONENT:
        raise UnrepresentableAmount(f"{str(value)[:40]} is no amount")
    shifted = _WIDE_CONTEXT.scaleb(value, places)
    found = int(shifted)
    if found != shifted:
        raise UnrepresentableAmount(f"{str(value)[:40]} is finer than {places} places")
    return found


def from_units(units: int, places: int) -> Decimal:
    """The decimal of `units`; the inverse of `to_units`."""
    return (
        _WIDE_CONTEXT.scaleb(Decimal(units), -places).normalize(_WIDE_CONTEXT)
        if units
        else Decimal(0)
    )


def divide_half_even(dividend: int, divisor: int) -> int:
    """The quotient, rounded to the nearest whole number, or to the even one if two are equally
    near."""
    if divisor < 0:
        dividend, divisor = -dividend, -divisor
    whole, rest = divmod(dividend, divisor)
    if 2 * rest > divisor or (2 * rest == divisor and whole % 2):
        whole += 1
    return whole


def average_price(cost: int, qty: int, stored: object) -> Decimal:
    """The average price of a cost and a quantity in their units, rounded as `stored` is: to
    `EARLIER_AVERAGE_PLACES` if that gives what is stored, else to `AVERAGE_PLACES`."""
    earlier = _round_average(cost, qty, EARLIER_AVERAGE_PLACES)
    return earlier if earlier == stored else _round_average(cost, qty, AVERAGE_PLACES)


def _round_average(cost: int, qty: int, places: int) -> Decimal:
    divisor = qty * 10 ** (COST_PLACES - QTY_PLACES - places)
    return from_units(divide_half_even(cost, divisor), places)
