"""Where a recording stands, kept in VIEWS once a second: who takes over plays on from there.

Without it a day would begin again whenever the process that plays it dies: prices and volumes would
jump back to the opening. A bookmark older than `FRESH_SECONDS` is of a system that was stopped: the
day begins anew. Time stands still for the market between the bookmark and whoever finds it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec
from structlog.typing import FilteringBoundLogger

from tapewire.events import CODEC
from tapewire.log import EVERYBODY, LatestValueStore, LogError
from tapewire.log.backoff import Backoff, new_rng
from tapewire_services.prices.feed import ReplayFeed

CHECKPOINT_KEY = f"{EVERYBODY}.feed-place"
SAVE_INTERVAL_SECONDS = 1.0
MAX_RESUME_AGE_SECONDS = 60.0


class PlaybackPosition(msgspec.Struct, frozen=True, rename="camel"):
    """Recording `feed` had been played up to `ms` at `kept_at`."""

    feed: str
    ms: int
    kept_at: datetime


class PlaybackCheckpointer:
    """Of what `replay` plays."""

    def __init__(
        self,
        replay: ReplayFeed,
        values: LatestValueStore,
        *,
        logger: FilteringBoundLogger,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._replay = replay
        self._values = values
        self._logger = logger
        self._now = now

    async def run(self, play: Callable[[], Awaitable[None]]) -> None:
        """Play from where the recording stands, and keep that, until playing ends."""
        await self._resume()
        keeping = asyncio.create_task(self._save_periodically())
        try:
            await play()
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _resume(self) -> None:
        patience = Backoff(new_rng())
        while True:
            try:
                place = self._decode(await self._values.get(CHECKPOINT_KEY))
            except LogError as error:
                self._logger.warning("prices.no_bookmark_yet", error=str(error))
                await patience.wait()
            else:
                break
        mine = self._replay.progress()
        if place is None or place.feed != mine.name or place.ms == mine.ms:
            return
        age = (self._now() - place.kept_at).total_seconds()
        if age <= MAX_RESUME_AGE_SECONDS:
            self._logger.info("prices.resumed", feed=place.feed, ms=place.ms)
            self._replay.resume(place.ms)

    def _decode(self, data: bytes | None) -> PlaybackPosition | None:
        if data is None:
            return None
        try:
            return CODEC.decode(data, PlaybackPosition)
        except msgspec.DecodeError as error:
            self._logger.warning("prices.bad_bookmark", error=str(error))
            return None

    async def _save_periodically(self) -> None:
        while True:
            await asyncio.sleep(SAVE_INTERVAL_SECONDS)
            mine = self._replay.progress()
            place = PlaybackPosition(mine.name, mine.ms, self._now())
            try:
                await self._values.put(CHECKPOINT_KEY, CODEC.encode(place))
            except LogError as error:
                self._logger.warning("prices.bookmark_not_kept", error=str(error))
