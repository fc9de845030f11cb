"""Publishes quotes to the stream MARKET and keeps them stored there.

An unacknowledged publish can be lost, and MARKET lives in the server's memory, so it is empty after
a restart. Every few seconds, and at once when NATS is back, `run_repair` compares the stored quotes
with the newest ones and publishes those that differ. A repaired quote is the same to the byte,
including its timestamp, so a consumer that has seen it can ignore it and must not take it for a new
offer.
"""

import asyncio
import contextlib
from collections.abc import Iterable

import msgspec
from structlog.typing import FilteringBoundLogger

from tapewire.events import CODEC, PriceUpdated
from tapewire.log import LatestValueStore, LogError, encode_token

REPAIR_INTERVAL_SECONDS = 5.0
"""The longest time for which a lost quote of a quiet symbol stays lost."""
READ_RETRY_SECONDS = 0.5
"""The wait after MARKET could not be read."""
PUBLISH_BATCH_SIZE = 256
"""Quotes published before other tasks get a turn."""


class PriceUpdatePublisher:
    """Holds the newest quote of every symbol, encoded as it is stored.

    `lost_count` counts quotes that could not be published because there was no connection.
    """

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
        """Compare the stored quotes now. A connection state listener: does nothing on a loss."""
        if is_connected:
            self._repair_requested.set()

    async def publish(self, updates: Iterable[PriceUpdated]) -> None:
        """Publish `updates` without waiting for acknowledgements."""
        await self._publish_keys([self._remember_quote(update) for update in updates])

    async def run_repair(self) -> None:
        """Keep the published quotes stored, until canceled."""
        wait = self._repair_interval_seconds
        last_error: LogError | None = None
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._repair_requested.wait()
            self._repair_requested.clear()
            error = await self._repair_stored()
            wait = READ_RETRY_SECONDS if error else self._repair_interval_seconds
            if error and not last_error:
                self._logger.warning("quotes.unreadable", error=str(error))
            if last_error and not error:
                self._logger.info("quotes.readable_again")
            last_error = error

    def _remember_quote(self, update: PriceUpdated) -> str:
        key = encode_token(update.symbol)
        self._quotes[key] = CODEC.encode(update)
        return key

    async def _publish_keys(self, keys: Iterable[str]) -> None:
        for number, key in enumerate(keys, start=1):
            try:
                await self._market.put_unacknowledged(key, self._quotes[key])
            except LogError:
                self.lost_count += 1  # the connection logs its loss; the repair publishes again
            if number % PUBLISH_BATCH_SIZE == 0:
                await asyncio.sleep(0)

    async def _repair_stored(self) -> LogError | None:
        """Publish what MARKET does not hold; return the error if it cannot be read."""
        newest = self._quotes.copy()
        try:
            stored = await self._market.get_all()
        except LogError as error:
            return error
        # Quotes published while MARKET was read are left to the next comparison.
        await self._publish_keys(
            key
            for key, data in newest.items()
            if stored.get(key) != data
            and self._quotes[key] is data
            and _may_replace(data, stored.get(key))
        )
        return None


def _may_replace(newest: bytes, stored: bytes | None) -> bool:
    """False if the stored quote is later: another process has published it since."""
    if stored is None:
        return True
    try:
        stored_at = CODEC.decode(stored, PriceUpdated).timestamp
    except msgspec.DecodeError:
        return True
    return CODEC.decode(newest, PriceUpdated).timestamp >= stored_at
