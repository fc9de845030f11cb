"""A strategy's holding and its average price, computed from averages instead of sums."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

_WIDE_CONTEXT = Context(prec=100, rounding=ROUND_HALF_EVEN)
_STEP, _EARLIER_STEP = Decimal("0.00000001"), Decimal("0.000001")
"""Average prices are rounded to it, now and in events of earlier versions."""


class AverageCostHolding(NamedTuple):
    """`qty` shares, negative when short, at an average price of `average` dollars."""

    qty: Decimal = Decimal(0)
    average_price: Decimal = Decimal(0)

    def rounded_as(self, stored: Decimal | None) -> Decimal | None:
        """The average price, rounded as `stored` is; None if nothing is held."""
        if not self.qty:
            return None
        earlier = self.average_price.quantize(_EARLIER_STEP, context=_WIDE_CONTEXT)
        if earlier == stored:
            return earlier
        return self.average_price.quantize(_STEP, context=_WIDE_CONTEXT)

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
