"""What a split makes of numbers, computed with fractions."""

from decimal import Decimal
from fractions import Fraction

from tapewire.events import SplitRatio


def split_qty(qty: Decimal, ratio: SplitRatio, places: int) -> Decimal:
    """`qty` in the new shares, rounded half to even."""
    return _round(Fraction(qty) * ratio.shares / ratio.for_shares, places)


def split_price(price: Decimal | None, ratio: SplitRatio, places: int = 8) -> Decimal | None:
    """`price` of a new share, rounded half to even."""
    if price is None:
        return None
    return _round(Fraction(price) * ratio.for_shares / ratio.shares, places)


def _round(number: Fraction, places: int) -> Decimal:
    return Decimal(round(number * 10**places)).scaleb(-places)
