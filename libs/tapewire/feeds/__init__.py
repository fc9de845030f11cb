"""The port for market data: what a feed is, for packages that write one.

The price service publishes quotes from one feed. A vendor's adapter is a package of its own, which
registers a factory as an entry point of the group `ENTRY_POINT_GROUP`; ``TAPEWIRE_FEED_SOURCE``
names it. docs/feeds.md describes the port with an example, and `tapewire.testing.feeds` tests a
feed.

`port` defines a feed, `ticks` what it yields, `faults` counts what it cannot take, and `heartbeats`
fills the pauses of a quiet connection. Start at `port.MarketDataFeed`.
"""

from tapewire.feeds.faults import FaultLog, FeedFault
from tapewire.feeds.heartbeats import with_heartbeats
from tapewire.feeds.port import (
    ENTRY_POINT_GROUP,
    HEARTBEAT_SECONDS,
    FeedContext,
    FeedError,
    FeedProgress,
    MarketDataFeed,
)
from tapewire.feeds.ticks import Tick, TickBatch, ValidTick, validate_tick

__all__ = [
    "ENTRY_POINT_GROUP",
    "HEARTBEAT_SECONDS",
    "FaultLog",
    "FeedContext",
    "FeedError",
    "FeedFault",
    "FeedProgress",
    "MarketDataFeed",
    "Tick",
    "TickBatch",
    "ValidTick",
    "validate_tick",
    "with_heartbeats",
]
