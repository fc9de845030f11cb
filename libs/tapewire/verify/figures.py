"""Money and shares as whole numbers: a way to reckon that shares nothing with the services' own.

A quantity is a number of 10^-9 shares, a price one of 10^-12 dollars, so that their product is a
whole number of 10^-21 dollars: `COST`. Nothing is rounded but by `halves`, which says how.
"""

from decimal import Context, Decimal

QTY, PRICE, COST, ENTRY = 9, 12, 21, 6
"""Decimal places."""
MOST = 10**12
"""No quantity, price or fee is larger."""
_LARGEST_EXPONENT = 90
_WIDE = Context(prec=200)


class NoFigure(ValueError):
    """A decimal that is no whole number of the unit, or no number."""


def units(value: Decimal, places: int) -> int:
    """`value` as a number of ``10 ** -places``. Raises NoFigure."""
    if not value.is_finite() or value.adjusted() > _LARGEST_EXPONENT:
        raise NoFigure(f"{str(value)[:40]} is no amount")
    shifted = _WIDE.scaleb(value, places)
    found = int(shifted)
    if found != shifted:
        raise NoFigure(f"{str(value)[:40]} is finer than {places} places")
    return found


def decimal(number: int, places: int) -> Decimal:
    """The decimal that `units` makes `number` of."""
    return _WIDE.scaleb(Decimal(number), -places).normalize(_WIDE) if number else Decimal(0)


def halves(dividend: int, divisor: int) -> int:
    """The whole number nearest to the quotient; half way between two, the even one."""
    if divisor < 0:
        dividend, divisor = -dividend, -divisor
    whole, rest = divmod(dividend, divisor)
    if 2 * rest > divisor or (2 * rest == divisor and whole % 2):
        whole += 1
    return whole


def average(cost: int, qty: int) -> int:
    """Dollars a share in units of `ENTRY`, of a `COST` and a `QTY`."""
    return halves(cost, qty * 10 ** (COST - QTY - ENTRY))
