"""The newest quote of every symbol that this process has received.

`start` subscribes before it reads the stored quotes, so no quote is missed in between. After a gap
the cache reads all quotes again. A symbol stays in the cache even if MARKET, which is stored in
memory, loses it. Start at `QuoteCache`.
"""

import asyncio
import random
from collections.abc import Callable

import msgspec
import structlog

from tapewire.events import CODEC, PriceUpdated
from tapewire.log.backoff import new_rng, retry
from tapewire.log.ports import LatestValueStore, Subscription, Unavailable
from tapewire.log.subjects import decode_token

SYMBOL_WAIT_SECONDS = 2.0
"""How long `has_symbol` waits for a symbol after the first quote of all."""

logger = structlog.get_logger("tapewire.quotes")


class QuoteCache:
    """The newest quote of each symbol, and listeners for new quotes."""

    def __init__(self, store: LatestValueStore, rng: random.Random | None = None) -> None:
        self._store = store
        self._rng = rng or new_rng()
        self._quotes: dict[str, bytes | PriceUpdated] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._symbol_added = asyncio.Event()
        self._gap_detected = asyncio.Event()
        self._symbols_complete_at: float | None = None
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Subscribe, and load the stored quotes. Raises Unavailable."""
        self._subscription = await self._store.subscribe(
            self._on_value, lambda _: self._gap_detected.set()
        )
        await self._load_all()

    async def repair_gaps(self) -> None:
        """Reload all quotes after each gap, until cancelled."""
        while True:
            await self._gap_detected.wait()
            self._gap_detected.clear()
            await retry(self._load_all, self._rng, logger, "quotes.load_failed")

    async def close(self) -> None:
        if self._subscription is not None:
            await self._subscription.close()

    def add_listener(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with the symbol of each new quote; returns a function that removes it."""
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

    def _on_value(self, key: str, data: bytes) -> None:
        symbol = decode_token(key)
        if symbol not in self._quotes:
            if self._symbols_complete_at is None:
                self._symbols_complete_at = asyncio.get_running_loop().time() + SYMBOL_WAIT_SECONDS
            self._symbol_added.set()
        self._quotes[symbol] = data
        for listener in tuple(self._listeners):
            listener(symbol)

    async def _load_all(self) -> None:
        """Read all stored quotes. A quote that was received meanwhile stays if it is newer."""
        for key, data in (await self._store.get_all()).items():
            known, stored = self.quote(decode_token(key)), _decode_quote(data)
            if stored is not None and (known is None or stored.timestamp > known.timestamp):
                self._on_value(key, data)


def _decode_quote(data: bytes) -> PriceUpdated | None:
    try:
        return CODEC.decode(data, PriceUpdated)
    except msgspec.DecodeError as error:
        logger.warning("quote.rejected", error=str(error))
        return None
