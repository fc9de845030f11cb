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
from tapewire.log.patience import Patience, fresh_chance
from tapewire.log.port import LogError, Subscription, Unavailable, Values
from tapewire.log.subjects import text

SETTLING_SECONDS = 2.0
"""How long a market that has just come to life may keep a symbol back before it is unknown."""

logger = structlog.get_logger("tapewire.market")


class Market:
    """Quotes by symbol, and who wants to hear of new ones."""

    def __init__(self, market: Values, chance: random.Random | None = None) -> None:
        self._market = market
        self._chance = chance or fresh_chance()
        self._quotes: dict[str, bytes | PriceUpdated] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._changed = asyncio.Event()
        self._gap = asyncio.Event()
        self._settled: float | None = None
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Know what is quoted now. Raises Unavailable."""
        self._subscription = await self._market.live(self._take, lambda _: self._gap.set())
        await self._load()

    async def follow(self) -> None:
        """Mend gaps until canceled."""
        patience = Patience(self._chance)
        while True:
            await self._gap.wait()
            self._gap.clear()
            try:
                await self._load()
                patience.reset()
            except LogError as error:
                logger.warning("cannot read the market", error=str(error))
                self._gap.set()
                await patience.wait()

    async def close(self) -> None:
        if self._subscription is not None:
            await self._subscription.close()

    def listen(self, listener: Callable[[str], None]) -> Callable[[], None]:
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
        quote = _decoded(found)
        if quote is not None:
            self._quotes[symbol] = quote
        return quote

    async def knows(self, symbol: str) -> bool:
        """Whether the market quotes `symbol`, or did. While the market has just come to life this
        waits for the symbol, `SETTLING_SECONDS` at the most.

        Raises:
            Unavailable: nothing at all is quoted yet.
        """
        clock = asyncio.get_running_loop().time
        while symbol not in self._quotes:
            left = SETTLING_SECONDS if self._settled is None else self._settled - clock()
            if left <= 0:
                return False
            self._changed.clear()
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                if not self._quotes:
                    raise Unavailable("the market has no quotes yet: try again") from None
        return True

    def _take(self, key: str, data: bytes) -> None:
        symbol = text(key)
        if symbol not in self._quotes:
            if self._settled is None:
                self._settled = asyncio.get_running_loop().time() + SETTLING_SECONDS
            self._changed.set()
        self._quotes[symbol] = data
        for listener in tuple(self._listeners):
            listener(symbol)

    async def _load(self) -> None:
        """Read all; what came live meanwhile is newer than what was read."""
        for key, data in (await self._market.all()).items():
            known, stored = self.quote(text(key)), _decoded(data)
            if stored is not None and (known is None or stored.timestamp > known.timestamp):
                self._take(key, data)


def _decoded(data: bytes) -> PriceUpdated | None:
    try:
        return CODEC.decode(data, PriceUpdated)
    except msgspec.DecodeError as error:
        logger.warning("passes over a quote", error=str(error))
        return None
