"""Publishes quotes to the stream MARKET, and confirms those that do not change.

A message on ``px.{symbol}`` says that its quote holds now (`tapewire.log.freshness`). While the
feed hears its market, a quote that does not change is published again, the same to the byte, before
it would look stale to a reader. That also repairs a quote that was lost: a publish is not
acknowledged, and MARKET lives in the server's memory, so it is empty after a restart. A feed that
has ended, or hears nothing, confirms nothing. Start at `PriceUpdatePublisher`.
"""

import asyncio
from collections.abc import Callable, Iterable

from structlog.typing import FilteringBoundLogger

from tapewire.events import CODEC, PriceUpdated
from tapewire.log import LatestValueStore, LogError, encode_token
from tapewire.log.freshness import CONFIRMATIONS_PER_LIMIT, DEFAULT_STALE_SECONDS

PUBLISH_BATCH_SIZE = 256
"""Quotes published before other tasks get a turn."""
_LONG_AGO = float("-inf")


def _clock() -> float:
    return asyncio.get_running_loop().time()


class PriceUpdatePublisher:
    """Holds the newest quote of every symbol, encoded as it is stored.

    `lost_count` counts quotes that could not be published because there was no connection.

    Args:
        stale_seconds: The time after which readers call a quote stale.
    """

    def __init__(
        self,
        market: LatestValueStore,
        *,
        logger: FilteringBoundLogger,
        stale_seconds: float = DEFAULT_STALE_SECONDS,
        clock: Callable[[], float] = _clock,
    ) -> None:
        self.lost_count = 0
        self._market = market
        self._logger = logger
        self._interval_seconds = stale_seconds / CONFIRMATIONS_PER_LIMIT
        self._clock = clock
        self._keys: dict[str, str] = {}
        self._quotes: dict[str, bytes] = {}
        self._published_at: dict[str, float] = {}
        """The quotes that hold, the one that was published longest ago first."""

    async def publish(self, updates: Iterable[PriceUpdated]) -> None:
        """Publish `updates` without waiting for acknowledgements."""
        await self._publish_keys([self._remember_quote(update) for update in updates])

    async def confirm_due(self) -> None:
        """Publish the quotes again that were last published a third of the limit ago. Call it
        when the feed has heard its market: it vouches for every quote."""
        due_before = self._clock() - self._interval_seconds
        due: list[str] = []
        for key, published_at in self._published_at.items():
            if published_at > due_before:
                break
            due.append(key)
        if due:
            await self._publish_keys(due)

    def confirm_all_soon(self, is_connected: bool = True) -> None:
        """Let the next `confirm_due` publish every quote: the message server may have lost them. A
        connection state listener: does nothing on a loss."""
        if is_connected:
            self._published_at = dict.fromkeys(self._published_at, _LONG_AGO)

    def withdraw_all(self) -> None:
        """Confirm no quote until it is published anew: none of them is known to hold."""
        self._published_at.clear()

    def _remember_quote(self, update: PriceUpdated) -> str:
        key = self._keys.get(update.symbol)
        if key is None:
            key = self._keys[update.symbol] = encode_token(update.symbol)
        self._quotes[key] = CODEC.encode(update)
        return key

    async def _publish_keys(self, keys: Iterable[str]) -> None:
        now = self._clock()
        for number, key in enumerate(keys, start=1):
            self._published_at.pop(key, None)
            self._published_at[key] = now
            try:
                await self._market.put_unacknowledged(key, self._quotes[key])
            except LogError:
                self.lost_count += 1  # the connection logs its loss; all are confirmed after it
            if number % PUBLISH_BATCH_SIZE == 0:
                await asyncio.sleep(0)
                now = self._clock()
