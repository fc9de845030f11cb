"""Market data feeds that come with the service, and the choice of one.

`tapewire.feeds` defines a feed. `replay_feed` plays a source of ticks at any speed. Sources are a
`recording_file` and the random walk of `tapewire_services.prices.domain`. `factory` makes the feed
that the settings name. Start at `factory`.
"""

from tapewire_services.prices.feed.factory import create_feed, create_replay_feed
from tapewire_services.prices.feed.recording_file import RecordingFile
from tapewire_services.prices.feed.replay_feed import EndBehavior, ReplayFeed, TickSource

__all__ = [
    "EndBehavior",
    "RecordingFile",
    "ReplayFeed",
    "TickSource",
    "create_feed",
    "create_replay_feed",
]
