"""Bars as the trading streams show them: `bar:snapshot` and `bar:update`."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from tapewire.payloads.market import Bar, BarInterval, BarPayload, BarsSnapshotPayload
from tapewire_services.edge.delivery.serializers.serializer import SseMessage


class ShownSeries(Protocol):
    """The symbol and the interval of bars."""

    @property
    def symbol(self) -> str: ...

    @property
    def interval(self) -> BarInterval: ...


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
