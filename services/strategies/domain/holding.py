"""What a strategy holds, and for how much on average. Pure.

Adding to a holding adds what it cost; taking from it leaves the average; going through zero begins
a new one at the price of what went beyond.
"""

from decimal import Decimal

import msgspec

from tapewire.decimals import (
    WIDE_CONTEXT,
    average_price,
    normalize,
)
from tapewire.events import Side

ZERO = Decimal(0)


class Holding(msgspec.Struct, frozen=True):
    """`quantity` shares, below 0 when short, that cost (or brought) `cost` dollars, at least 0."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO

    @property
    def entry_price(self) -> Decimal | None:
        """The average, dollars a share, rounded to six places; None when nothing is held."""
        if not self.quantity:
            return None
        return average_price(self.cost, abs(self.quantity))

    def after_trade(self, side: Side, qty: Decimal, price: Decimal) -> "Holding":
        """The holding when `qty` shares more were bought or sold at `price`."""
        change = qty if side is Side.BUY else -qty
        quantity = normalize(WIDE_CONTEXT.add(self.quantity, change))
        if not quantity:
            return Holding()
        if self.quantity * change >= 0:
            return Holding(quantity, WIDE_CONTEXT.fma(qty, price, self.cost))
        if self.quantity * quantity < 0:
            return Holding(quantity, WIDE_CONTEXT.multiply(abs(quantity), price))
        kept = WIDE_CONTEXT.multiply(self.cost, abs(quantity))
        return Holding(quantity, WIDE_CONTEXT.divide(kept, abs(self.quantity)))
