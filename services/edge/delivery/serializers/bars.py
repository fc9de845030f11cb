"""Bars as the trading streams show them: `bar:snapshot` and `bar:update`."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from tapewire.runtime.contracts.bars import Bar, BarInterval, BarSource
from tapewire_services.edge.delivery.serializers.serializer import SseMessage


class ShownSeries(Protocol):
    """The symbol and the interval of bars."""

    @property
    def symbol(self) -> str: ...

    @property
    def interval(self) -> BarInterval: ...


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


def bars_snapshot_message(series: ShownSeries, bars: Sequence[Bar]) -> SseMessage:
    """The newest bars of a series."""
    payload = BarsSnapshotPayload(symbol=series.symbol, interval=series.interval, bars=bars)
    return "bar:snapshot", payload


def bar_message(series: ShownSeries, bar: Bar) -> SseMessage:
    """One bar of a series."""
    payload = BarPayload(
        symbol=series.symbol, interval=series.interval, **msgspec.structs.asdict(bar)
    )
    return "bar:update", payload
