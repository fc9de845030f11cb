"""Follows what could not be taken of a feed's data, for the metrics of this process."""

import asyncio

import structlog

from tapewire.log import LatestValueStore, LogError
from tapewire.log.feed_state import read_feed_state

READ_INTERVAL_SECONDS = 5.0

logger = structlog.get_logger("edge.feed_faults")


class FeedFaultReader:
    """Reads the counts again and again. Run it with `run`."""

    def __init__(self, views: LatestValueStore) -> None:
        self._views = views
        self.counts: dict[str, int] = {}
        """Faults by reason, as of the last read."""

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            try:
                state = await read_feed_state(self._views)
                self.counts = {} if state is None else state.malformed
            except LogError as error:
                logger.info("feed_faults.read_failed", error=str(error))
            await asyncio.sleep(READ_INTERVAL_SECONDS)
