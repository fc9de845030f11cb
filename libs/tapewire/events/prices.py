"""Quotes: newest-wins values in MARKET, not events of the journal."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from tapewire.events.catalogue import Event, event
from tapewire.events.event_types import Delivery
from tapewire.events.fields import PER_SHARE, PERCENT, SHARES, UTC_TIME, about


@event("price.updated", subject="px.{symbol}", delivery=Delivery.NEWEST_WINS)
class PriceUpdated(Event, frozen=True, kw_only=True, omit_defaults=True):
    """The market of one symbol. Prices are in dollars a share, sizes and volume in shares.

    `price` is the last trade, or the midpoint of the quote before the first trade. Prices may be
    negative. A side whose price and size are 0 has no offer. `volume` counts since the feed's day
    began. `change` is against the first price of that day, and
    `change_percent` is in percent, rounded to four places. `timestamp` is when the feed published
    the quote, UTC, by its own clock. It orders nothing: the newest quote is the one that MARKET
    holds. `follows` is the timestamp of the symbol's previous quote: a reader that has seen that
    one has missed none. It is None for the first quote, or if the feed does not know. A feed that
    sets it gives each quote of a symbol a timestamp of its own.

    `day` and `trades` are for bars. A quote with a `day` whose `volume` was seen before repeats
    trades that were counted. Without a `day`, a lower volume means that counting began again.
    `trades` are the trades since the previous quote; None if all were at `price`. Adjacent trades
    at one price are one entry.
    """

    symbol: Annotated[str, about("what is quoted")]
    price: Annotated[
        Decimal, about("the last trade; before the first one, the middle of the quote", PER_SHARE)
    ]
    bid: Annotated[Decimal, about("what buyers offer", PER_SHARE)]
    ask: Annotated[Decimal, about("what sellers ask", PER_SHARE)]
    bid_size: Annotated[Decimal, about("how much they would buy", SHARES)]
    ask_size: Annotated[Decimal, about("how much they would sell", SHARES)]
    volume: Annotated[Decimal, about("traded since the feed's day began", SHARES)]
    change: Annotated[Decimal, about("`price` less the day's first", PER_SHARE)]
    change_percent: Annotated[
        Decimal, about("the same against the day's first, rounded to four places", PERCENT)
    ]
    timestamp: Annotated[datetime, about("when the feed published it", UTC_TIME)]
    follows: Annotated[
        datetime | None, about("`timestamp` of the quote published just before", UTC_TIME)
    ] = None
    day: Annotated[int | None, about("which day of the feed `volume` counts")] = None
    trades: Annotated[
        tuple[tuple[Decimal, Decimal], ...] | None,
        about("price and size of the trades since the previous quote"),
    ] = None
