"""Quotes: newest-wins values in MARKET, not events of the journal."""

from datetime import datetime
from decimal import Decimal

from tapewire.events.catalogue import Event, event


@event("price.updated")
class PriceUpdated(Event, frozen=True, kw_only=True):
    """The market in one symbol: dollars a share, sizes and volume in shares.

    `price` is the last trade (the middle of the quote before the first one); `volume` is traded
    since the feed's day began; `change` is against that day's first price and `change_percent` is
    in per cent, rounded to four places. `timestamp` is when the feed published it, UTC.
    """

    symbol: str
    price: Decimal
    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal
    volume: Decimal
    change: Decimal
    change_percent: Decimal
    timestamp: datetime
