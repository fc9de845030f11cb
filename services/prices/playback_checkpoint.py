"""Stores how far a feed has come, and what it could not take. A recording is continued from there.

Without a checkpoint, a restart would begin the day again, and prices and volumes would jump back to
the opening. The checkpoint is written to VIEWS once a second. One older than
`MAX_RESUME_AGE_SECONDS` belongs to a system that was stopped; the day then begins again. Market
time does not advance between the checkpoint and the process that resumes from it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from structlog.typing import FilteringBoundLogger

from tapewire.events import CODEC
from tapewire.feeds import FaultLog, FeedProgress
from tapewire.log import LatestValueStore, LogError
from tapewire.log.backoff import new_rng, retry
from tapewire.log.checkpoint import write_checkpoint
from tapewire.log.feed_state import CHECKPOINT_KEY, FeedState, read_feed_state
from tapewire_services.prices.day_trades import DayTrades

SAVE_INTERVAL_SECONDS = 1.0
MAX_RESUME_AGE_SECONDS = 60.0


class PlaybackCheckpointer:
    """Saves the position of a feed and its faults, and restores the position.

    Args:
        resume: Continues the feed at a position; None for one that cannot be continued by another
            process.
    """

    def __init__(
        self,
        progress: Callable[[], FeedProgress],
        values: LatestValueStore,
        trades: DayTrades,
        faults: FaultLog,
        *,
        resume: Callable[[int], None] | None = None,
        logger: FilteringBoundLogger,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._progress = progress
        self._values = values
        self._trades = trades
        self._faults = faults
        self._resume_at = resume
        self._logger = logger
        self._now = now

    async def run(self, play: Callable[[], Awaitable[None]]) -> None:
        """Resume from the stored position, then save positions until `play` returns or fails."""
        if self._resume_at is not None:
            await self._resume(self._resume_at)
        saving = asyncio.create_task(self._save_periodically(), name="playback checkpoint")
        try:
            await play()
        finally:
            saving.cancel()
            await asyncio.gather(saving, return_exceptions=True)

    async def _resume(self, resume: Callable[[int], None]) -> None:
        position = await retry(
            lambda: read_feed_state(self._values), new_rng(), self._logger, "playback.read_failed"
        )
        progress = self._progress()
        if position is None or position.feed != progress.name or position.ms == progress.ms:
            return
        age = (self._now() - position.saved_at).total_seconds()
        if age <= MAX_RESUME_AGE_SECONDS:
            self._logger.info("playback.resumed", feed=position.feed, ms=position.ms)
            resume(position.ms)
            if position.day is not None:
                self._trades.resume_day(position.day)

    async def _save_periodically(self) -> None:
        while True:
            await asyncio.sleep(SAVE_INTERVAL_SECONDS)
            progress = self._progress()
            position = FeedState(
                progress.name,
                progress.ms,
                self._now(),
                dict(self._faults.counts),
                self._trades.day,
            )
            state = CODEC.encode(position)
            try:
                await write_checkpoint(self._values, CHECKPOINT_KEY, epoch="", as_of=0, state=state)
            except LogError as error:
                self._logger.warning("playback.save_failed", error=str(error))
