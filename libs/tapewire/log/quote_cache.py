"""The newest quote of every symbol that this process has received.

Quotes are ordered by their place in MARKET, never by their timestamps (`ValueFollower`). A symbol
stays in the cache even if MARKET, which is stored in memory, loses it. A quote is decoded when it
is asked for. Whether it may be relied on is another question (`QuoteCache.is_stale`): a quote that
was only read from a store is stale, and so is one that was not confirmed for a while. Start at
`QuoteCache`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

import msgspec
import structlog

from tapewire.events import CODEC, PriceUpdated, SplitExecuted
from tapewire.log.backoff import new_rng
from tapewire.log.freshness import DEFAULT_STALE_SECONDS, QuoteFreshness
from tapewire.log.ports import LatestValueStore, Unavailable
from tapewire.log.quote_arrivals import QuoteArrivals
from tapewire.log.splits import SplitQuotes
from tapewire.log.stored_value import StoredValue
from tapewire.log.subjects import decode_token
from tapewire.log.value_follower import ValueFollower

SYMBOL_WAIT_SECONDS = 2.0
"""How long `has_symbol` waits for a symbol after the first quote of all."""

MIN_EXPIRY_WAIT_SECONDS = 0.1
"""Symbols that become stale within this time are reported together."""

logger = structlog.get_logger("tapewire.quotes")


class QuoteCache:
    """The newest quote of each symbol, and listeners for new quotes.

    Args:
        last_quotes: Quotes on disk (`tapewire.log.last_quotes`), for symbols that MARKET lost.
        probe: See `QuoteArrivals`.
        stale_seconds: A quote that was confirmed this long ago is stale.
    """

    def __init__(
        self,
        store: LatestValueStore,
        rng: random.Random | None = None,
        *,
        last_quotes: Callable[[], Awaitable[Mapping[str, PriceUpdated]]] | None = None,
        probe: Callable[[], Awaitable[object]] | None = None,
        stale_seconds: float = DEFAULT_STALE_SECONDS,
    ) -> None:
        self._read_last_quotes = last_quotes
        self._clock = asyncio.get_running_loop().time
        self._freshness = QuoteFreshness(stale_seconds, started_at=self._clock())
        self._arrivals = QuoteArrivals(self._freshness, probe, self._clock)
        self._freshness_listeners: list[Callable[[str], None]] = []
        self._has_fresh_symbol = asyncio.Event()
        self._follower = ValueFollower(
            store, self._on_value, name="quotes", rng=rng or new_rng(), on_arrival=self._on_arrival
        )
        self._quotes: dict[str, bytes | PriceUpdated] = {}
        self._sequences: dict[str, int] = {}
        self._arriving_key = ""
        self._stored_at: dict[str, datetime] = {}
        """When the newest quotes were stored; only of those that arrived live."""
        self._splits = SplitQuotes()
        self._listeners: list[Callable[[str], None]] = []
        self._symbol_added = asyncio.Event()
        self._symbols_complete_at: float | None = None

    async def start(self) -> None:
        """Subscribe, and load the stored quotes. Raises LogError."""
        await self._follower.start()
        if self._read_last_quotes is not None:
            for symbol, quote in (await self._read_last_quotes()).items():
                if symbol not in self._quotes:
                    self._add_symbol(symbol)
                    self._quotes[symbol] = quote

    async def run(self) -> None:
        """Reload all quotes after each gap, and report what becomes stale, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follower.run())
            group.create_task(self._report_stale_symbols())
            group.create_task(self._arrivals.run())

    async def close(self) -> None:
        await self._follower.close()

    def add_listener(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with the symbol of each new quote; returns a function that removes it.
        The same quote stored again, byte for byte, is not a new one."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def add_freshness_listener(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with each symbol that becomes stale, and with each that no longer is;
        `is_stale` says which. Returns a function that removes it."""
        self._freshness_listeners.append(listener)
        return lambda: self._freshness_listeners.remove(listener)

    def add_split(self, split: SplitExecuted) -> None:
        """Hold back the quote of a symbol that was split, until there is one of the new shares.
        Repeating it changes nothing."""
        if self._splits.add(split) and split.symbol in self._quotes:
            self._report_freshness(split.symbol)

    def split_count(self, symbol: str) -> int:
        """How many splits of `symbol` this process knows of."""
        return self._splits.count(symbol)

    def awaits_quote_after_split(self, symbol: str) -> bool:
        """Whether the newest quote of `symbol` is one of the shares before its last split."""
        if not self._splits.count(symbol):
            return False
        sequence, quote = self._sequences.get(symbol, 0), self._decoded_quote(symbol)
        stamp = None if quote is None else quote.timestamp
        return self._splits.is_before_split(symbol, self._follower.epoch, sequence, stamp)

    def is_stale(self, symbol: str) -> bool:
        """Whether the quote of `symbol` is too old to rely on, or there is none, or it is one of
        the shares before a split."""
        if self.awaits_quote_after_split(symbol):
            return True
        return self._freshness.is_stale(symbol, self._clock())

    def source_lag(self, symbol: str) -> timedelta:
        """How much later the newest quote was stored than its producer dated it. 0 if it was only
        read from a store, since the same quote may have been stored before."""
        quote, stored_at = self.quote(symbol), self._stored_at.get(symbol)
        if quote is None or stored_at is None:
            return timedelta(0)
        return max(timedelta(0), stored_at - quote.timestamp)

    def quote_age(self, symbol: str) -> float | None:
        """Seconds since the quote of `symbol` was confirmed to this process; None if it never
        was."""
        return self._freshness.age(symbol, self._clock())

    def knows_symbol(self, symbol: str) -> bool:
        """Whether `symbol` was quoted since the start."""
        return symbol in self._quotes

    def symbols(self) -> list[str]:
        """Every symbol that was quoted since the start."""
        return list(self._quotes)

    def quote(self, symbol: str) -> PriceUpdated | None:
        """The newest quote, decoded on first access; None if there is none that can be read, or
        only one of the shares before a split."""
        if self.awaits_quote_after_split(symbol):
            return None
        return self._decoded_quote(symbol)

    def _decoded_quote(self, symbol: str) -> PriceUpdated | None:
        found = self._quotes.get(symbol)
        if not isinstance(found, bytes):
            return found
        quote = _decode_quote(found)
        if quote is not None:
            self._quotes[symbol] = quote
        return quote

    def timestamps(self) -> dict[str, datetime]:
        """The timestamp of the newest quote of each symbol that can be read. It decodes them."""
        quotes = ((symbol, self.quote(symbol)) for symbol in self._quotes)
        return {symbol: quote.timestamp for symbol, quote in quotes if quote is not None}

    def fresh_timestamps(self) -> dict[str, datetime]:
        """The timestamps of the quotes that are not stale."""
        timestamps = self.timestamps().items()
        return {symbol: at for symbol, at in timestamps if not self.is_stale(symbol)}

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

    def _on_arrival(self, key: str) -> None:
        self._arriving_key, symbol = key, decode_token(key)
        if self._arrivals.confirm(symbol):
            self._has_fresh_symbol.set()
            # Later: a new quote in the same message must be taken over first.
            asyncio.get_running_loop().call_soon(self._report_freshness, symbol)

    async def _report_stale_symbols(self) -> None:
        while True:
            expiry = self._freshness.next_expiry()
            if expiry is None:
                self._has_fresh_symbol.clear()
                await self._has_fresh_symbol.wait()
                continue
            await asyncio.sleep(max(expiry - self._clock(), MIN_EXPIRY_WAIT_SECONDS))
            for symbol in self._freshness.expire(self._clock()):
                self._report_freshness(symbol)

    def _report_freshness(self, symbol: str) -> None:
        for listener in tuple(self._freshness_listeners):
            listener(symbol)

    def _on_value(self, key: str, value: StoredValue) -> None:
        symbol = decode_token(key)
        if symbol not in self._quotes:
            self._add_symbol(symbol)
        self._quotes[symbol] = value.data
        self._sequences[symbol] = value.sequence
        if key == self._arriving_key:
            self._stored_at[symbol] = value.stored_at
        else:
            self._stored_at.pop(symbol, None)
        self._arriving_key = ""
        for listener in tuple(self._listeners):
            listener(symbol)

    def _add_symbol(self, symbol: str) -> None:
        if self._symbols_complete_at is None:
            self._symbols_complete_at = self._clock() + SYMBOL_WAIT_SECONDS
        self._symbol_added.set()
        self._freshness.add(symbol)


def _decode_quote(data: bytes) -> PriceUpdated | None:
    try:
        return CODEC.decode(data, PriceUpdated)
    except msgspec.DecodeError as error:
        logger.warning("quote.rejected", error=str(error))
        return None
