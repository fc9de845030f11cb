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

from services.prices.feed import Replay
from tapewire.events import CODEC
from tapewire.log import EVERYBODY, LogError, Values
from tapewire.log.patience import Patience, fresh_chance

KEY = f"{EVERYBODY}.feed-place"
KEEP_SECONDS = 1.0
FRESH_SECONDS = 60.0


class Place(msgspec.Struct, frozen=True, rename="camel"):
    """Recording `feed` had been played up to `ms` at `kept_at`."""

    feed: str
    ms: int
    kept_at: datetime


class Bookmark:
    """Of what `replay` plays."""

    def __init__(
        self,
        replay: Replay,
        values: Values,
        *,
        logger: FilteringBoundLogger,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._replay = replay
        self._values = values
        self._logger = logger
        self._now = now

    async def work(self, play: Callable[[], Awaitable[None]]) -> None:
        """Play from where the recording stands, and keep that, until playing ends."""
        await self._open()
        keeping = asyncio.create_task(self._keep())
        try:
            await play()
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _open(self) -> None:
        patience = Patience(fresh_chance())
        while True:
            try:
                place = self._read(await self._values.get(KEY))
            except LogError as error:
                self._logger.warning("prices.no_bookmark_yet", error=str(error))
                await patience.wait()
            else:
                break
        mine = self._replay.progress()
        if place is None or place.feed != mine.name or place.ms == mine.ms:
            return
        age = (self._now() - place.kept_at).total_seconds()
        if age <= FRESH_SECONDS:
            self._logger.info("prices.resumed", feed=place.feed, ms=place.ms)
            self._replay.resume(place.ms)

    def _read(self, data: bytes | None) -> Place | None:
        if data is None:
            return None
        try:
            return CODEC.decode(data, Place)
        except msgspec.DecodeError as error:
            self._logger.warning("prices.bad_bookmark", error=str(error))
            return None

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            mine = self._replay.progress()
            place = Place(mine.name, mine.ms, self._now())
            try:
                await self._values.put(KEY, CODEC.encode(place))
            except LogError as error:
                self._logger.warning("prices.bookmark_not_kept", error=str(error))
