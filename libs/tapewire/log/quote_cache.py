"""The newest quote of every symbol that this process has received.

Quotes are ordered by their place in MARKET, never by their timestamps (`ValueFollower`). A symbol
stays in the cache even if MARKET, which is stored in memory, loses it. A quote is decoded when it
is asked for. Start at `QuoteCache`.
"""

import asyncio
import random
from collections.abc import Callable

import msgspec
import structlog

from tapewire.events import CODEC, PriceUpdated
from tapewire.log.backoff import new_rng
from tapewire.log.ports import LatestValueStore, Unavailable
from tapewire.log.stored_value import StoredValue
from tapewire.log.subjects import decode_token
from tapewire.log.value_follower import ValueFollower

SYMBOL_WAIT_SECONDS = 2.0
"""How long `has_symbol` waits for a symbol after the first quote of all."""

logger = structlog.get_logger("tapewire.quotes")


class QuoteCache:
    """The newest quote of each symbol, and listeners for new quotes."""

    def __init__(self, store: LatestValueStore, rng: random.Random | None = None) -> None:
        self._follower = ValueFollower(store, self._on_value, name="quotes", rng=rng or new_rng())
        self._quotes: dict[str, bytes | PriceUpdated] = {}
        self._sequences: dict[str, int] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._symbol_added = asyncio.Event()
        self._symbols_complete_at: float | None = None

    async def start(self) -> None:
        """Subscribe, and load the stored quotes. Raises LogError."""
        await self._follower.start()

    async def repair_gaps(self) -> None:
        """Reload all quotes after each gap, until cancelled."""
        await self._follower.run()

    async def close(self) -> None:
        await self._follower.close()

    def add_listener(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with the symbol of each new quote; returns a function that removes it.
        The same quote stored again, byte for byte, is not a new one."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def symbols(self) -> list[str]:
        """Every symbol that was quoted since the start."""
        return list(self._quotes)

    def quote(self, symbol: str) -> PriceUpdated | None:
        """The newest quote, decoded on first access; None if there is none that can be read."""
        found = self._quotes.get(symbol)
        if not isinstance(found, bytes):
            return found
        quote = _decode_quote(found)
        if quote is not None:
            self._quotes[symbol] = quote
        return quote

    def sequence(self, symbol: str) -> int:
        """The place of the newest quote in MARKET; 0 if there is none. With the quote's timestamp
        it identifies a quote, which the timestamp alone does not."""
        return self._sequences.get(symbol, 0)

    async def has_symbol(self, symbol: str) -> bool:
        """Whether `symbol` is or was quoted. Right after the first quote of all this waits for the
        symbol, at most `SYMBOL_WAIT_SECONDS`.

        Raises:
            Unavailable: no symbol is quoted yet.
        """
        clock = asyncio.get_running_loop().time
        while symbol not in self._quotes:
            left = (
                SYMBOL_WAIT_SECONDS
                if self._symbols_complete_at is None
                else self._symbols_complete_at - clock()
            )
            if left <= 0:
                return False
            self._symbol_added.clear()
            try:
                async with asyncio.timeout(left):
                    await self._symbol_added.wait()
            except TimeoutError:
                if not self._quotes:
                    raise Unavailable("the market has no quotes yet: try again") from None
        return True

    def _on_value(self, key: str, value: StoredValue) -> None:
        symbol = decode_token(key)
        if symbol not in self._quotes:
            if self._symbols_complete_at is None:
                self._symbols_complete_at = asyncio.get_running_loop().time() + SYMBOL_WAIT_SECONDS
            self._symbol_added.set()
        self._quotes[symbol] = value.data
        self._sequences[symbol] = value.sequence
        for listener in tuple(self._listeners):
            listener(symbol)


def _decode_quote(data: bytes) -> PriceUpdated | None:
    try:
        return CODEC.decode(data, PriceUpdated)
    except msgspec.DecodeError as error:
        logger.warning("quote.rejected", error=str(error))
        return None
