"""Where market data comes from: the port that a vendor's adapter fits, and what we bring along.

`port` says what a feed is. `replay` is a feed that plays a source at a chosen speed; the sources
are a `recording`, streamed from a file, and the random walk of `tapewire_services.prices.domain`; `choice`
says which one the settings ask for. Start at `port`; the interesting part is `replay`.
"""

from tapewire_services.prices.feed.factory import (
    create_replay_feed,
    create_stepped_source,
    parse_feed_symbols,
)
from tapewire_services.prices.feed.port import (
    FeedError,
    FeedProgress,
    MarketDataFeed,
    TickBatch,
    TickSource,
)
from tapewire_services.prices.feed.recording_file import RecordingFile, TruncatedRecording
from tapewire_services.prices.feed.replay_feed import EndBehavior, ReplayFeed

__all__ = [
    "EndBehavior",
    "FeedError",
    "FeedProgress",
    "MarketDataFeed",
    "RecordingFile",
    "ReplayFeed",
    "TickBatch",
    "TickSource",
    "TruncatedRecording",
    "create_replay_feed",
    "create_stepped_source",
    "parse_feed_symbols",
]
