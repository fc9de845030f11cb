"""The cache of quotes, in virtual time."""

import asyncio
from decimal import Decimal

import pytest

from tapewire.events import CODEC, PriceUpdated
from tapewire.log import StoredValue, Unavailable, encode_token
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire.log.quote_cache import SYMBOL_WAIT_SECONDS, QuoteCache
from tests.harness.order_builders import quote

pytestmark = pytest.mark.virtual_time


class QuoteSource:
    """A server with quotes, and caches that read them."""

    def __init__(self) -> None:
        self.server = MemoryServer()
        self.store = MemoryLatestValueStore(self.server)

    async def put(self, new: PriceUpdated) -> None:
        await self.store.put(encode_token(new.symbol), CODEC.encode(new))

    async def open_quote_cache(self) -> tuple[QuoteCache, MemoryLatestValueStore]:
        values = MemoryLatestValueStore(self.server)
        quote_cache = QuoteCache(values)
        await quote_cache.start()
        return quote_cache, values


def ask_price(quote_cache: QuoteCache, symbol: str) -> Decimal | None:
    found = quote_cache.quote(symbol)
    return None if found is None else found.ask


async def test_the_cache_has_earlier_and_new_quotes() -> None:
    market = QuoteSource()
    await market.put(quote(symbol="BRK.B", ask="7"))
    quote_cache, _ = await market.open_quote_cache()
    changed_symbols: list[str] = []
    ignore = quote_cache.add_listener(changed_symbols.append)
    await market.put(quote(symbol="SPY", ask="8"))
    await asyncio.sleep(1)
    assert (ask_price(quote_cache, "BRK.B"), ask_price(quote_cache, "SPY")) == (
        Decimal(7),
        Decimal(8),
    )
    assert changed_symbols == ["SPY"]
    ignore()
    await market.put(quote(symbol="SPY", ask="9", second=1))
    await asyncio.sleep(1)
    assert changed_symbols == ["SPY"]


async def test_an_unknown_symbol_is_reported_at_once_after_the_start_period() -> None:
    market = QuoteSource()
    await market.put(quote())
    quote_cache, _ = await market.open_quote_cache()
    await asyncio.sleep(SYMBOL_WAIT_SECONDS)
    began = asyncio.get_running_loop().time()
    assert await quote_cache.has_symbol("IBM")
    assert not await quote_cache.has_symbol("NOPE")
    assert asyncio.get_running_loop().time() == began


async def test_has_symbol_waits_while_the_market_starts() -> None:
    """The NATS server and this service restart together. MARKET is stored in memory, and the feed
    publishes the symbols one by one. Orders used to be rejected for symbols that were published a
    little later."""
    market = QuoteSource()
    quote_cache, _ = await market.open_quote_cache()
    knowing = [
        asyncio.create_task(quote_cache.has_symbol(symbol)) for symbol in ("IBM", "SPY", "NOPE")
    ]
    await asyncio.sleep(1)
    await market.put(quote(symbol="IBM"))
    await asyncio.sleep(1)
    await market.put(quote(symbol="SPY"))
    assert await asyncio.gather(*knowing) == [True, True, False]


async def test_has_symbol_raises_unavailable_without_any_quote() -> None:
    quote_cache, _ = await QuoteSource().open_quote_cache()
    with pytest.raises(Unavailable):
        await quote_cache.has_symbol("IBM")


async def test_known_symbols_are_kept_after_the_market_is_lost() -> None:
    market = QuoteSource()
    await market.put(quote())
    quote_cache, _ = await market.open_quote_cache()
    market.server.values.clear()
    market.server.stop()
    market.server.start()
    following = asyncio.create_task(quote_cache.run())
    await asyncio.sleep(10)
    assert await quote_cache.has_symbol("IBM")
    assert ask_price(quote_cache, "IBM") == Decimal(100)
    following.cancel()


async def test_quotes_lost_in_a_gap_are_read_again() -> None:
    market = QuoteSource()
    await market.put(quote())
    quote_cache, _ = await market.open_quote_cache()
    changed_symbols: list[str] = []
    quote_cache.add_listener(changed_symbols.append)
    following = asyncio.create_task(quote_cache.run())
    market.server.stop()
    await asyncio.sleep(1)
    market.server.start()
    await market.put(quote(symbol="SPY"))
    await market.put(quote(ask="101", second=1))
    await asyncio.sleep(1)
    assert (ask_price(quote_cache, "IBM"), ask_price(quote_cache, "SPY")) == (
        Decimal(101),
        Decimal(100),
    )
    assert sorted(set(changed_symbols)) == ["IBM", "SPY"]
    following.cancel()


async def test_stored_quotes_never_replace_newer_live_quotes() -> None:
    class SlowValueStore(MemoryLatestValueStore):
        """Returns the values of the time of the call a second later."""

        async def read_all(self) -> dict[str, StoredValue]:
            found = await super().read_all()
            await asyncio.sleep(1)
            return found

    market = QuoteSource()
    await market.put(quote(ask="100", second=1))
    quote_cache = QuoteCache(SlowValueStore(market.server))
    starting = asyncio.create_task(quote_cache.start())
    await asyncio.sleep(0.5)
    await market.put(quote(ask="101", second=2))
    await starting
    assert ask_price(quote_cache, "IBM") == Decimal(101)


async def test_invalid_quotes_are_ignored() -> None:
    market = QuoteSource()
    await market.store.put("IBM", b"rubbish")
    quote_cache, _ = await market.open_quote_cache()
    assert quote_cache.quote("IBM") is None
    await market.put(quote())
    await asyncio.sleep(1)
    assert ask_price(quote_cache, "IBM") == Decimal(100)


class FreshnessWatcher:
    """A running cache, and what it reported of the freshness of symbols, with the time."""

    def __init__(self, quote_cache: QuoteCache) -> None:
        self.reports: list[tuple[float, str, bool]] = []
        self._quote_cache = quote_cache
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        quote_cache.add_freshness_listener(self._record)
        self._running = asyncio.create_task(quote_cache.run())

    def _record(self, symbol: str) -> None:
        seconds = round(self._clock() - self._began, 1)
        self.reports.append((seconds, symbol, self._quote_cache.is_stale(symbol)))

    async def stop(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


async def test_a_symbol_without_quotes_is_reported_as_stale_once_and_as_fresh_again() -> None:
    market = QuoteSource()
    quote_cache, _ = await market.open_quote_cache()
    watcher = FreshnessWatcher(quote_cache)
    await market.put(quote())
    await asyncio.sleep(20)
    await market.put(quote(ask="101", second=1))
    await asyncio.sleep(1)
    assert watcher.reports == [(0.0, "IBM", False), (4.0, "IBM", True), (20.0, "IBM", False)]
    await watcher.stop()


async def test_the_same_bytes_again_keep_a_quiet_symbol_fresh_and_are_no_new_quote() -> None:
    market = QuoteSource()
    quote_cache, _ = await market.open_quote_cache()
    changed_symbols: list[str] = []
    quote_cache.add_listener(changed_symbols.append)
    watcher = FreshnessWatcher(quote_cache)
    for _ in range(10):
        await market.put(quote())
        await asyncio.sleep(3)
        assert not quote_cache.is_stale("IBM")
    assert changed_symbols == ["IBM"]
    assert watcher.reports == [(0.0, "IBM", False)]
    await watcher.stop()


async def test_a_stored_quote_is_stale_until_its_producer_is_heard() -> None:
    market = QuoteSource()
    await market.put(quote())
    quote_cache, _ = await market.open_quote_cache()
    watcher = FreshnessWatcher(quote_cache)
    await asyncio.sleep(10)
    assert quote_cache.quote("IBM") is not None
    assert quote_cache.is_stale("IBM")
    assert quote_cache.quote_age("IBM") is None
    assert watcher.reports == []
    await market.put(quote())
    await asyncio.sleep(1)
    assert not quote_cache.is_stale("IBM")
    assert quote_cache.quote_age("IBM") == pytest.approx(1)
    assert [is_stale for _, _, is_stale in watcher.reports] == [False]
    await watcher.stop()


async def test_each_symbol_is_judged_by_itself() -> None:
    market = QuoteSource()
    quote_cache, _ = await market.open_quote_cache()
    watcher = FreshnessWatcher(quote_cache)
    await market.put(quote(symbol="AIG"))
    for _ in range(6):
        await market.put(quote(symbol="SPY"))
        await asyncio.sleep(1)
    assert quote_cache.is_stale("AIG")
    assert not quote_cache.is_stale("SPY")
    assert (4.0, "AIG", True) in watcher.reports
    await watcher.stop()
