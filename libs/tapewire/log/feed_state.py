"""How far a feed was played, and what of it could not be taken.

The price service stores a `FeedState` once a second. Another process of it continues a recording
there; the edge and `tapewire status` show the faults.
"""

from datetime import datetime

import msgspec

from tapewire.events import CODEC
from tapewire.log.checkpoint import read_checkpoint, shared_checkpoint_key
from tapewire.log.ports import LatestValueStore

CHECKPOINT_NAME = "feed-place"
CHECKPOINT_KEY = shared_checkpoint_key(CHECKPOINT_NAME)


class FeedState(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The feed named `feed` was played up to `ms` at the time `saved_at`.

    `ms` is milliseconds since the feed's midnight. `malformed` counts lines and parts of lines that
    could not be taken, by reason, since the process that plays was started. `day` is the number of
    the day that was played.
    """

    feed: str
    ms: int
    saved_at: datetime
    malformed: dict[str, int] = {}
    day: int | None = None


async def read_feed_state(values: LatestValueStore) -> FeedState | None:
    """Return the stored state, or None if there is none that can be read. Raises LogError."""
    checkpoint = await read_checkpoint(values, CHECKPOINT_KEY)
    if checkpoint is None:
        return None
    try:
        return CODEC.decode(bytes(checkpoint.state), FeedState)
    except msgspec.DecodeError:
        return None
