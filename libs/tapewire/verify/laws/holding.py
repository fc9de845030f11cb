"""What a strategy holds at which average price, reckoned by averages instead of sums."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

_WIDE = Context(prec=100, rounding=ROUND_HALF_EVEN)
_SIX = Decimal("0.000001")


class Holding(NamedTuple):
    """`qty` shares, below 0 when short, for `average` dollars each."""

    qty: Decimal = Decimal(0)
    average: Decimal = Decimal(0)

    @property
    def entry(self) -> Decimal | None:
        """The average rounded to six places; None when nothing is held."""
        return self.average.quantize(_SIX, context=_WIDE) if self.qty else None

    def after(self, change: Decimal, price: Decimal) -> "Holding":
        """The holding when `change` shares more (below 0: fewer) are held, at `price`."""
        qty = _WIDE.add(self.qty, change)
        if not self.qty or self.qty * qty < 0:
            return Holding(qty, price)
        if abs(qty) <= abs(self.qty):
            return Holding(qty, self.average)
        weighed = _WIDE.fma(self.average, abs(self.qty), _WIDE.multiply(price, abs(change)))
        return Holding(qty, _WIDE.divide(weighed, abs(qty)))
