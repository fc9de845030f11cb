"""Quotes on their way into MARKET, and kept there.

A post may be lost, and MARKET lives in the server's memory and is empty after a restart, so every
few seconds, and at once when NATS is back, the stored quotes are compared with ours and the
differing ones are posted again. A quote posted again is the same to the byte, its timestamp
included: whoever has seen it may ignore it, and must not take it for a new offer.
"""

import asyncio
import contextlib
from collections.abc import Iterable

import msgspec
from structlog.typing import FilteringBoundLogger

from tapewire.events import CODEC, PriceUpdated
from tapewire.log import LatestValueStore, LogError, encode_token

REPAIR_INTERVAL_SECONDS = 5.0
"""How long a lost quote of a quiet symbol stays lost, at the most."""
READ_RETRY_SECONDS = 0.5
"""After MARKET could not be read."""
PUBLISH_BATCH_SIZE = 256
"""Quotes posted before the event loop has a turn."""


class PriceUpdatePublisher:
    """The latest quote of every symbol, as it is to be stored. `lost` counts quotes that could not
    be posted."""

    def __init__(
        self,
        market: LatestValueStore,
        *,
        logger: FilteringBoundLogger,
        repair_interval_seconds: float = REPAIR_INTERVAL_SECONDS,
    ) -> None:
        self.lost_count = 0
        self._market = market
        self._logger = logger
        self._repair_interval_seconds = repair_interval_seconds
        self._quotes: dict[str, bytes] = {}
        self._repair_requested = asyncio.Event()

    def request_repair(self, is_connected: bool = True) -> None:
        """NATS is back (or not): look at once for what it lost."""
        if is_connected:
            self._repair_requested.set()

    async def publish(self, updates: Iterable[PriceUpdated]) -> None:
        """Publish, without waiting for what becomes of it."""
        await self._publish_keys([self._remember_quote(update) for update in updates])

    async def publish_confirmed(self, updates: Iterable[PriceUpdated]) -> None:
        """Publish, and return when all are stored. Raises LogError."""
        for key in [self._remember_quote(update) for update in updates]:
            await self._market.put(key, self._quotes[key])

    async def run_repair(self) -> None:
        """Keep what was published stored, until canceled."""
        wait = self._repair_interval_seconds
        trouble: LogError | None = None
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._repair_requested.wait()
            self._repair_requested.clear()
            before, trouble = trouble, await self._repair_stored()
            wait = READ_RETRY_SECONDS if trouble else self._repair_interval_seconds
            if trouble and not before:
                self._logger.warning("prices.market_unreadable", error=str(trouble))
            if before and not trouble:
                self._logger.info("prices.market_readable_again")

    def _remember_quote(self, update: PriceUpdated) -> str:
        key = encode_token(update.symbol)
        self._quotes[key] = CODEC.encode(update)
        return key

    async def _publish_keys(self, keys: Iterable[str]) -> None:
        for number, key in enumerate(keys, start=1):
            try:
                await self._market.put_unacknowledged(key, self._quotes[key])
            except LogError:
                self.lost_count += 1  # the connection has logged its loss; `mend` posts again
            if number % PUBLISH_BATCH_SIZE == 0:
                await asyncio.sleep(0)

    async def _repair_stored(self) -> LogError | None:
        """Post again what MARKET does not hold; why that was not possible."""
        ours = self._quotes.copy()
        try:
            stored = await self._market.get_all()
        except LogError as error:
            return error
        # What was published while MARKET was read is for the next comparison.
        await self._publish_keys(
            key
            for key, data in ours.items()
            if stored.get(key) != data
            and self._quotes[key] is data
            and _may_replace(data, stored.get(key))
        )
        return None


def _may_replace(ours: bytes, stored: bytes | None) -> bool:
    """Whether `ours` may replace what is stored: another process may have published since."""
    if stored is None:
        return True
    try:
        theirs = CODEC.decode(stored, PriceUpdated).timestamp
    except msgspec.DecodeError:
        return True
    return CODEC.decode(ours, PriceUpdated).timestamp >= theirs
