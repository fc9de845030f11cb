"""The newest quote of every symbol.

One subscription receives all quotes of the market, in the order of their stream (`ValueFollower`);
their timestamps order nothing. Start reading at `QuoteFeed`.
"""

import asyncio
import random
from collections.abc import Callable

import msgspec
import structlog

from tapewire.events import CODEC, PriceUpdated
from tapewire.log import LatestValueStore, StoredValue
from tapewire.log.value_follower import ValueFollower

RELOAD_INTERVAL_SECONDS = 15.0
"""Mean time between two reads of all quotes; jittered by half."""

logger = structlog.get_logger("edge.quote_feed")


class QuoteFeed:
    """Run it with `run`. `on_change` is called with the symbol of every new quote."""

    def __init__(
        self, quote_store: LatestValueStore, on_change: Callable[[str], None], rng: random.Random
    ) -> None:
        self._on_change = on_change
        self._quotes: dict[str, PriceUpdated] = {}
        self._clock = asyncio.get_running_loop().time
        self._received_at = self._clock()
        self._follower = ValueFollower(
            quote_store,
            self._receive,
            name="quotes",
            rng=rng,
            reload_interval_seconds=RELOAD_INTERVAL_SECONDS,
        )

    async def run(self) -> None:
        """Follow the market until cancelled."""
        await self._follower.run()

    def quotes(self, symbols: frozenset[str] | None) -> list[PriceUpdated]:
        """The newest quotes of `symbols`, in their alphabetical order; None means all."""
        return [
            quote
            for symbol, quote in sorted(self._quotes.items())
            if symbols is None or symbol in symbols
        ]

    def quote(self, symbol: str) -> PriceUpdated | None:
        """The newest quote of `symbol`."""
        return self._quotes.get(symbol)

    def seconds_since_quote(self) -> float:
        """The time since the last new quote of any symbol, or since the start without one."""
        return self._clock() - self._received_at

    def _receive(self, key: str, value: StoredValue) -> None:
        try:
            quote = CODEC.decode(value.data, PriceUpdated)
        except msgspec.DecodeError as error:
            logger.warning("quotes.quote_undecodable", name=key, error=str(error))
            return
        self._quotes[quote.symbol] = quote
        self._received_at = self._clock()
        self._on_change(quote.symbol)
