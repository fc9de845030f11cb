"""The market as this process sees it: the newest quote of every symbol.

`start` subscribes before it reads what is stored, so nothing falls between; a gap is mended by
reading again. A symbol once seen stays known, whatever happens to MARKET, which is memory only.
"""

import asyncio
import random
from collections.abc import Callable

import msgspec
import structlog

from tapewire.events import CODEC, PriceUpdated
from tapewire.log.backoff import Backoff, new_rng
from tapewire.log.ports import LatestValueStore, LogError, Subscription, Unavailable
from tapewire.log.subjects import decode_token

SYMBOL_WAIT_SECONDS = 2.0
"""How long a market that has just come to life may keep a symbol back before it is unknown."""

logger = structlog.get_logger("tapewire.market")


class QuoteCache:
    """Quotes by symbol, and who wants to hear of new ones."""

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
        """Know what is quoted now. Raises Unavailable."""
        self._subscription = await self._store.subscribe(
            self._on_value, lambda _: self._gap_detected.set()
        )
        await self._load_all()

    async def repair_gaps(self) -> None:
        """Mend gaps until canceled."""
        patience = Backoff(self._rng)
        while True:
            await self._gap_detected.wait()
            self._gap_detected.clear()
            try:
                await self._load_all()
                patience.reset()
            except LogError as error:
                logger.warning("cannot read the market", error=str(error))
                self._gap_detected.set()
                await patience.wait()

    async def close(self) -> None:
        if self._subscription is not None:
            await self._subscription.close()

    def add_listener(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with the symbol of every new quote; the result ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def symbols(self) -> list[str]:
        """Every symbol ever seen."""
        return list(self._quotes)

    def quote(self, symbol: str) -> PriceUpdated | None:
        """The newest quote, decoded when first asked for."""
        found = self._quotes.get(symbol)
        if not isinstance(found, bytes):
            return found
        quote = _decode_quote(found)
        if quote is not None:
            self._quotes[symbol] = quote
        return quote

    async def has_symbol(self, symbol: str) -> bool:
        """Whether the market quotes `symbol`, or did. While the market has just come to life this
        waits for the symbol, `SETTLING_SECONDS` at the most.

        Raises:
            Unavailable: nothing at all is quoted yet.
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
        """Read all; what came live meanwhile is newer than what was read."""
        for key, data in (await self._store.get_all()).items():
            known, stored = self.quote(decode_token(key)), _decode_quote(data)
            if stored is not None and (known is None or stored.timestamp > known.timestamp):
                self._on_value(key, data)


def _decode_quote(data: bytes) -> PriceUpdated | None:
    try:
        return CODEC.decode(data, PriceUpdated)
    except msgspec.DecodeError as error:
        logger.warning("passes over a quote", error=str(error))
        return None
