"""The last quote of every symbol, stored on disk.

MARKET is stored in the memory of the message server. After its restart a feed is soon heard again,
but a program that sends prices now and then may not be, and what is held would be an unknown
symbol. One process therefore writes the quotes that it receives to VIEWS (`LastQuoteKeeper`), each
symbol at most every `SAVE_INTERVAL_SECONDS`; the others read them when they start. Such a quote is
stale until a new one arrives (`tapewire.log.freshness`). Start at `read_last_quotes`.
"""

import asyncio

import msgspec
import structlog

from tapewire.events import CODEC, PriceUpdated
from tapewire.log.checkpoint import (
    BadCheckpoint,
    Checkpoint,
    decode_checkpoint,
    encode_checkpoint,
)
from tapewire.log.ports import LatestValueStore, LogError
from tapewire.log.quote_cache import QuoteCache
from tapewire.log.subjects import encode_token

CHECKPOINT_NAME = "last-quotes"
SAVE_INTERVAL_SECONDS = 5.0
"""The least time between two writes of one symbol."""
MAX_SAVES_PER_SECOND = 200
"""Writes of all symbols together. With very many symbols, each is written less often."""

logger = structlog.get_logger("tapewire.last_quotes")


async def read_last_quotes(store: LatestValueStore) -> dict[str, PriceUpdated]:
    """The quotes in `store`, which has the keys below `CHECKPOINT_NAME`. Raises LogError."""
    found: dict[str, PriceUpdated] = {}
    for key, data in (await store.get_all()).items():
        try:
            quote = CODEC.decode(bytes(decode_checkpoint(data).state), PriceUpdated)
        except (BadCheckpoint, msgspec.DecodeError) as error:
            logger.warning("last_quotes.rejected", name=key, error=str(error))
            continue
        found[quote.symbol] = quote
    return found


class LastQuoteKeeper:
    """Stores the quotes of `quote_cache`. `run` it in one process."""

    def __init__(self, store: LatestValueStore, quote_cache: QuoteCache) -> None:
        self._store = store
        self._quote_cache = quote_cache
        self._clock = asyncio.get_running_loop().time
        self._saved_at: dict[str, float] = {}
        self._unsaved_symbols: dict[str, None] = {}
        """Symbols with a newer quote than the stored one, the one that waits longest first."""

    async def run(self) -> None:
        """Store quotes until canceled."""
        remove_listener = self._quote_cache.add_listener(self._on_quote)
        try:
            self._unsaved_symbols |= dict.fromkeys(self._quote_cache.symbols())
            while True:
                await asyncio.sleep(1.0)
                await self._save_due()
        finally:
            remove_listener()

    def _on_quote(self, symbol: str) -> None:
        self._unsaved_symbols[symbol] = None

    async def _save_due(self) -> None:
        symbols = self._due_symbols()
        quotes = {symbol: self._quote_cache.quote(symbol) for symbol in symbols}
        values = {
            encode_token(symbol): _encode(quote)
            for symbol, quote in quotes.items()
            if quote is not None
        }
        try:
            if values:
                await self._store.put_all(values)
        except LogError as error:
            logger.warning("last_quotes.write_failed", error=str(error))
            return
        now = self._clock()
        for symbol in symbols:
            self._saved_at[symbol] = now
            if self._quote_cache.quote(symbol) is quotes[symbol]:
                del self._unsaved_symbols[symbol]

    def _due_symbols(self) -> list[str]:
        latest = self._clock() - SAVE_INTERVAL_SECONDS
        due: list[str] = []
        for symbol in self._unsaved_symbols:
            if self._saved_at.get(symbol, latest) <= latest:
                due.append(symbol)
                if len(due) == MAX_SAVES_PER_SECOND:
                    break
        return due


def _encode(quote: PriceUpdated) -> bytes:
    state = msgspec.Raw(CODEC.encode(quote))
    return encode_checkpoint(Checkpoint(epoch="", as_of=0, state=state))
