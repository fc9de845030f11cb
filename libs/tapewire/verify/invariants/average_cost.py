"""What a strategy holds at which average price, reckoned by averages instead of sums."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

_WIDE_CONTEXT = Context(prec=100, rounding=ROUND_HALF_EVEN)
_SIX_PLACES = Decimal("0.000001")


class AverageCostHolding(NamedTuple):
    """`qty` shares, below 0 when short, for `average` dollars each."""

    qty: Decimal = Decimal(0)
    average_price: Decimal = Decimal(0)

    @property
    def entry_price(self) -> Decimal | None:
        """The average rounded to six places; None when nothing is held."""
        return self.average_price.quantize(_SIX_PLACES, context=_WIDE_CONTEXT) if self.qty else None

    def after_trade(self, qty_change: Decimal, price: Decimal) -> "AverageCostHolding":
        """The holding when `change` shares more (below 0: fewer) are held, at `price`."""
        qty = _WIDE_CONTEXT.add(self.qty, qty_change)
        if not self.qty or self.qty * qty < 0:
            return AverageCostHolding(qty, price)
        if abs(qty) <= abs(self.qty):
            return AverageCostHolding(qty, self.average_price)
        weighed = _WIDE_CONTEXT.fma(
            self.average_price, abs(self.qty), _WIDE_CONTEXT.multiply(price, abs(qty_change))
        )
        return AverageCostHolding(qty, _WIDE_CONTEXT.divide(weighed, abs(qty)))
