"""What a feed offers to the price service, and what it is given."""

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

import msgspec
from structlog.typing import FilteringBoundLogger

from tapewire.feeds.faults import FaultLog
from tapewire.feeds.ticks import TickBatch

ENTRY_POINT_GROUP = "tapewire.feeds"
"""The group of entry points. An entry point is a callable that takes a `FeedContext` and returns a
`MarketDataFeed`."""
HEARTBEAT_SECONDS = 0.25
"""The longest time between two batches of a feed that hears its market."""


class FeedError(Exception):
    """The market data cannot be played. The message says which data, why, and what to do."""


class FeedContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a feed is made with.

    `symbols` are those of ``TAPEWIRE_FEED_SYMBOLS``, which the feed should ask its market for; none
    means all. `environment` has the environment variables, for settings of the feed's own. `faults`
    counts what of the market's data cannot be taken.
    """

    logger: FilteringBoundLogger
    symbols: tuple[str, ...]
    environment: Mapping[str, str]
    faults: FaultLog


class FeedProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What a feed says about itself, for ``svc.prices.status``.

    `name` says which feed it is, and does not change. `rows` counts the messages or lines that were
    read since the process started. `ended` is true when no more ticks will come. `day` and `ms` are
    for recordings: the days begun, and the time of the last tick in milliseconds since midnight.
    """

    name: str
    rows: int = 0
    ended: bool = False
    day: int = 0
    ms: int = 0


class MarketDataFeed(Protocol):
    """What the price service publishes from. A vendor's adapter implements it."""

    def stream_batches(self) -> AsyncGenerator[TickBatch, None]:
        """Connect to the market, and yield its changes in order as they come.

        Every batch says that the feed hears its market, and vouches for the quotes that it does not
        change. Yield an empty batch every `HEARTBEAT_SECONDS` while nothing changes, and nothing
        while the market cannot be heard: its quotes then become stale.

        It is called when this process takes over the feed, and again, after a growing delay, when
        it has returned or raised an exception although `progress` does not say `ended`. Every call
        begins without knowledge of the market: it first yields what the market is now. It is closed
        when another process takes over. Two calls never run at the same time.

        Raises:
            Exception: The market cannot be heard any further. Quotes are stale until it can be.
        """

    def progress(self) -> FeedProgress:
        """Return at once, and raise nothing, at any time."""

    async def close(self) -> None:
        """Release files and connections, at the end of the process. Ends `stream_batches`, if it
        still runs. May be called twice."""
