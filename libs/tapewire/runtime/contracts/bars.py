"""The requests for bars: `svc.prices.bars` and `svc.prices.newest-bars`.

The process that builds the bars answers them; while none does, a request is not answered.
"""

from datetime import datetime
from typing import Annotated

import msgspec

from tapewire.payloads.market import Bar as Bar
from tapewire.payloads.market import BarInterval as BarInterval
from tapewire.payloads.market import BarSource as BarSource
from tapewire.runtime.contracts.request import RequestStruct, ServiceCall

SERVICE = "prices"
BARS = "bars"
NEWEST = "newest-bars"

INTERVAL_SECONDS: dict[BarInterval, int] = {"1s": 1, "1m": 60, "5m": 300, "1d": 86_400}
"""The length of each interval, the shortest first. Intervals begin at multiples of their length
since 1970-01-01 UTC."""
MAX_PAGE_BARS = 1000
MAX_SERIES = 500
"""Series of one request for the newest bars."""
MAX_NEWEST_BARS = 120
"""Bars of one series in a reply with the newest bars."""

_Symbol = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class ListBars(RequestStruct, frozen=True, kw_only=True):
    """List the bars of `symbol`, the newest first: `limit` (1 to 1,000) of them, from `cursor` on;
    answered by `BarsReply`. ``not_found`` with the path ``symbol`` for a symbol without any bar."""

    symbol: _Symbol
    interval: BarInterval
    limit: int = MAX_PAGE_BARS
    cursor: str | None = None


class BarsReply(msgspec.Struct, frozen=True, kw_only=True):
    """Bars of `symbol`, the newest first. A requested name in lower case means the one in upper
    case, unless it has bars itself. `next` is the `cursor` of the older bars, None after the
    last."""

    symbol: str
    bars: list[Bar]
    next: str | None = None


class SeriesRequest(RequestStruct, frozen=True, kw_only=True):
    """One series, from the bar at `since` on; without it the newest `MAX_NEWEST_BARS`."""

    symbol: _Symbol
    interval: BarInterval
    since: datetime | None = None


class GetNewestBars(RequestStruct, frozen=True, kw_only=True):
    """Get the newest bars of several series; answered by `NewestBars`."""

    series: Annotated[tuple[SeriesRequest, ...], msgspec.Meta(max_length=MAX_SERIES)]


class NewestBars(msgspec.Struct, frozen=True, kw_only=True):
    """The bars of each requested series, in the order of the request, the oldest first. At most
    `MAX_NEWEST_BARS` of a series, the newest; none if the symbol has no bar."""

    series: list[list[Bar]]


LIST_BARS = ServiceCall(SERVICE, BARS, ListBars, BarsReply)
GET_NEWEST_BARS = ServiceCall(SERVICE, NEWEST, GetNewestBars, NewestBars)
CALLS = (LIST_BARS, GET_NEWEST_BARS)
