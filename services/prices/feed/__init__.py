"""Where market data comes from: the port that a vendor's adapter fits, and what we bring along.

`port` says what a feed is. `replay` is a feed that plays a source at a chosen speed; the sources
are a `recording`, streamed from a file, and the random walk of `services.prices.domain`; `choice`
says which one the settings ask for. Start at `port`; the interesting part is `replay`.
"""

from services.prices.feed.choice import chosen, stepped, wanted
from services.prices.feed.port import Beat, Feed, FeedError, Progress, Source
from services.prices.feed.recording import BreaksOff, Recording
from services.prices.feed.replay import End, Replay

__all__ = [
    "Beat",
    "BreaksOff",
    "End",
    "Feed",
    "FeedError",
    "Progress",
    "Recording",
    "Replay",
    "Source",
    "chosen",
    "stepped",
    "wanted",
]
