"""Market data feeds: the port that a vendor's adapter implements, and a feed that replays ticks.

`port` defines a feed. `replay_feed` plays a source of ticks at any speed. Sources are a
`recording_file` and the random walk of `tapewire_services.prices.domain`; `factory` picks one by
the settings. Start at `port`, then read `replay_feed`.
"""

from tapewire_services.prices.feed.factory import create_replay_feed
from tapewire_services.prices.feed.port import (
    HEARTBEAT_SECONDS,
    FeedError,
    FeedProgress,
    MarketDataFeed,
    TickBatch,
    TickSource,
)
from tapewire_services.prices.feed.recording_file import RecordingFile
from tapewire_services.prices.feed.replay_feed import EndBehavior, ReplayFeed

__all__ = [
    "HEARTBEAT_SECONDS",
    "EndBehavior",
    "FeedError",
    "FeedProgress",
    "MarketDataFeed",
    "RecordingFile",
    "ReplayFeed",
    "TickBatch",
    "TickSource",
    "create_replay_feed",
]
