"""A strategy's holding and its average price, computed from averages instead of sums."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

_WIDE_CONTEXT = Context(prec=100, rounding=ROUND_HALF_EVEN)
_SIX_PLACES = Decimal("0.000001")


class AverageCostHolding(NamedTuple):
    """`qty` shares, negative when short, at an average price of `average` dollars."""

    qty: Decimal = Decimal(0)
    average_price: Decimal = Decimal(0)

    @property
    def entry_price(self) -> Decimal | None:
        """The average price, rounded to six places; None if nothing is held."""
        return self.average_price.quantize(_SIX_PLACES, context=_WIDE_CONTEXT) if self.qty else None

    def after_trade(self, qty_change: Decimal, price: Decimal) -> "AverageCostHolding":
        """The holding after a trade of `qty_change` shares (negative for a sale) at `price`."""
        qty = _WIDE_CONTEXT.add(self.qty, qty_change)
        if not self.qty or self.qty * qty < 0:
            return AverageCostHolding(qty, price)
        if abs(qty) <= abs(self.qty):
            return AverageCostHolding(qty, self.average_price)
        weighed = _WIDE_CONTEXT.fma(
            self.average_price, abs(self.qty), _WIDE_CONTEXT.multiply(price, abs(qty_change))
        )
        return AverageCostHolding(qty, _WIDE_CONTEXT.divide(weighed, abs(qty)))
