"""The newest quote of every symbol, and whether it is fresh.

One subscription receives all quotes of the market, in the order of their stream (`ValueFollower`);
their timestamps order nothing. A quote that is only read from the store is stale, and so is one
that was not confirmed for a while (`QuoteFreshness`). Start reading at `QuoteFeed`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Container, Mapping
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import structlog

from tapewire.events import CODEC, PriceUpdated, SplitExecuted
from tapewire.log import LatestValueStore, StoredValue
from tapewire.log.backoff import retry
from tapewire.log.freshness import DEFAULT_STALE_SECONDS, QuoteFreshness
from tapewire.log.quote_arrivals import QuoteArrivals
from tapewire.log.splits import SplitQuotes
from tapewire.log.subjects import decode_token
from tapewire.log.value_follower import ValueFollower
from tapewire_services.edge.ingest.requested_symbols import RequestedSymbols

RELOAD_INTERVAL_SECONDS = 15.0
"""Mean time between two reads of all quotes; jittered by half."""

STALENESS_POLL_SECONDS = 0.1
"""How often quotes that have become stale are looked for."""

logger = structlog.get_logger("edge.quote_feed")


class QuoteFeed:
    """Run it with `run`, and `watch_freshness` beside it.

    `on_change` is called with the symbol of every new quote, `on_stale` with every symbol that
    becomes stale, and `on_fresh` with every one that no longer is.
    """

    def __init__(
        self,
        quote_store: LatestValueStore,
        on_change: Callable[[str], None],
        rng: random.Random,
        *,
        on_stale: Callable[[str], None] = lambda _: None,
        on_fresh: Callable[[str], None] = lambda _: None,
        last_quotes: Callable[[], Awaitable[Mapping[str, PriceUpdated]]] | None = None,
        probe: Callable[[], Awaitable[object]] | None = None,
        stale_seconds: float = DEFAULT_STALE_SECONDS,
    ) -> None:
        self._read_last_quotes = last_quotes
        self._rng = rng
        self._on_change = on_change
        self._on_stale = on_stale
        self._on_fresh = on_fresh
        self._quotes: dict[str, PriceUpdated] = {}
        self._sequences: dict[str, int] = {}
        self._splits = SplitQuotes()
        self._clock, self._started_at = asyncio.get_running_loop().time, datetime.now(UTC)
        self._freshness = QuoteFreshness(stale_seconds, started_at=self._clock())
        self._arrivals = QuoteArrivals(self._freshness, probe, self._clock)
        self._follower = ValueFollower(
            quote_store,
            self._receive,
            name="quotes",
            rng=rng,
            on_arrival=self._confirm,
            reload_interval_seconds=RELOAD_INTERVAL_SECONDS,
        )

    async def run(self) -> None:
        """Follow the market until cancelled."""
        if self._read_last_quotes is not None:
            last_quotes = await retry(
                self._read_last_quotes, self._rng, logger, "quotes.last_quotes_unreadable"
            )
            for symbol, quote in last_quotes.items():
                self._freshness.add(symbol)
                self._quotes[symbol] = quote
        await self._follower.run()

    async def watch_freshness(self) -> None:
        """Report symbols that become stale, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._arrivals.run())
            group.create_task(self._report_stale_symbols())

    async def _report_stale_symbols(self) -> None:
        while True:
            await asyncio.sleep(STALENESS_POLL_SECONDS)
            for symbol in self._freshness.expire(self._clock()):
                if symbol in self._quotes:  # unless it could not be decoded
                    self._on_stale(symbol)

    def request(self, symbols: frozenset[str] | None) -> RequestedSymbols | None:
        """The quotes that a client means by `symbols`; None means all."""
        return None if symbols is None else RequestedSymbols(symbols, self._quotes.__contains__)

    def quotes(self, symbols: Container[str] | None) -> list[PriceUpdated]:
        """The newest quotes of `symbols`, in their alphabetical order; None means all."""
        return [
            quote
            for symbol, quote in sorted(self._quotes.items())
            if symbols is None or symbol in symbols
        ]

    def quote(self, symbol: str) -> PriceUpdated | None:
        """The newest quote of `symbol`."""
        return self._quotes.get(symbol)

    def add_split(self, split: SplitExecuted) -> None:
        """The symbol was split: its quote is stale, and values nothing, until there is one of the
        new shares."""
        if self._splits.add(split) and split.symbol in self._quotes:
            self._on_stale(split.symbol)

    def price(self, symbol: str) -> Decimal | None:
        """The price that positions in `symbol` are valued at; None without a quote, and while the
        quote is one of the shares before a split."""
        quote = self._quotes.get(symbol)
        return None if quote is None or self._is_before_split(symbol) else quote.price

    def _is_before_split(self, symbol: str) -> bool:
        if not self._splits.count(symbol):
            return False
        sequence, quote = self._sequences.get(symbol, 0), self._quotes.get(symbol)
        stamp = None if quote is None else quote.timestamp
        return self._splits.is_before_split(symbol, self._follower.epoch, sequence, stamp)

    def is_stale(self, symbol: str) -> bool:
        """Whether the quote of `symbol` is too old to rely on, or one of the shares before a
        split."""
        if self._is_before_split(symbol):
            return True
        return self._freshness.is_stale(symbol, self._clock())

    def quote_age(self, quote: PriceUpdated, wall_time: datetime) -> float:
        """Seconds since `quote` was confirmed. For one that was only read from a store they are
        those since its timestamp, which is of another clock, and at least the limit."""
        age = self._freshness.age(quote.symbol, self._clock())
        if age is not None:
            return age
        return max(self._freshness.limit_seconds, (wall_time - quote.timestamp).total_seconds())

    def seconds_since_quote(self) -> float:
        """The time since the last quote of any symbol, or since the start without one."""
        return self._freshness.seconds_silent(self._clock())

    def find_silence(self) -> str | None:
        """That the whole market is silent, or was never heard; None if neither. The text does not
        change."""
        limit_seconds = self._freshness.limit_seconds
        if self._freshness.is_silent(self._clock()):
            return f"no quote for more than {limit_seconds:g} s"
        if self._quotes or self.seconds_since_quote() < limit_seconds:
            return None
        return f"no quote yet since {self._started_at:%Y-%m-%dT%H:%M:%SZ}"

    def _confirm(self, key: str) -> None:
        symbol = decode_token(key)
        if self._arrivals.confirm(symbol) and symbol in self._quotes:
            # Later: a new quote in the same message must be taken over first.
            asyncio.get_running_loop().call_soon(self._on_fresh, symbol)

    def _receive(self, key: str, value: StoredValue) -> None:
        try:
            quote = CODEC.decode(value.data, PriceUpdated)
        except msgspec.DecodeError as error:
            logger.warning("quotes.quote_undecodable", name=key, error=str(error))
            return
        self._freshness.add(quote.symbol)
        self._quotes[quote.symbol] = quote
        self._sequences[quote.symbol] = value.sequence
        self._on_change(quote.symbol)
