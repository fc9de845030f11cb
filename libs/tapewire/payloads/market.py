"""Quotes and bars."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from tapewire.events.fields import PER_SHARE, SHARES, UTC_TIME, about

BarInterval = Literal["1s", "1m", "5m", "1d"]
BarSource = Literal["trade", "mid"]


class PriceView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A quote, in dollars a share. A side without an offer is None."""

    symbol: str
    price: Decimal
    bid: Decimal | None
    ask: Decimal | None
    volume: Decimal
    change: Decimal
    change_percent: Decimal
    timestamp: datetime


class QuoteView(PriceView, frozen=True, kw_only=True):
    """A quote and its freshness. `age` is in seconds, since the quote was last confirmed to this
    process, or since `timestamp` if it never was. A `stale` quote is too old to rely on."""

    age: float
    stale: bool


class PricesSnapshotPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`unknown` names the symbols that were asked for and have no quote; it is there if there are
    any."""

    initializing: bool
    prices: Sequence[QuoteView]
    timestamp: datetime
    unknown: Sequence[str] | msgspec.UnsetType = msgspec.UNSET


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """The market of one symbol in one interval."""

    start: Annotated[datetime, about("when the interval begins", UTC_TIME)]
    open: Annotated[Decimal, about("the first price", PER_SHARE)]
    high: Annotated[Decimal, about("the highest price", PER_SHARE)]
    low: Annotated[Decimal, about("the lowest price", PER_SHARE)]
    close: Annotated[Decimal, about("the last price", PER_SHARE)]
    volume: Annotated[Decimal, about("traded in the interval", SHARES)]
    source: Annotated[
        BarSource, about("`trade`, or `mid` if there was no trade and prices are of quotes")
    ]
    closed: Annotated[bool, about("whether the interval is over")]


class BarsSnapshotPayload(msgspec.Struct, frozen=True, kw_only=True):
    """The newest bars of a series, the oldest first; none if the symbol has none. It replaces what
    a client has of the series."""

    symbol: str
    interval: BarInterval
    bars: Sequence[Bar]


class BarPayload(msgspec.Struct, frozen=True, kw_only=True):
    """A bar that has changed. With `closed` it is the last time, unless a late quote corrects it
    before the next bar begins."""

    symbol: str
    interval: BarInterval
    start: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    source: BarSource
    closed: bool


class PricePayload(msgspec.Struct, frozen=True, kw_only=True):
    """`ltp` is the last traded price, dollars."""

    type: str
    timestamp: datetime
    symbol: str
    ltp: Decimal
    change: Decimal
    change_percent: Decimal


class StalePricePayload(PricePayload, frozen=True, kw_only=True):
    """The quote is too old to rely on: it was last confirmed `age` seconds ago."""

    age: float
