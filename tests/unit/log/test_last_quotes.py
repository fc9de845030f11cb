"""The last quotes on disk, in virtual time: what is known after MARKET was lost, at which cost."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal

import pytest

from tapewire.events import CODEC, PriceUpdated
from tapewire.log import Unavailable, encode_token
from tapewire.log.last_quotes import (
    CHECKPOINT_NAME,
    MAX_SAVES_PER_SECOND,
    SAVE_INTERVAL_SECONDS,
    LastQuoteKeeper,
    read_last_quotes,
)
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire.log.quote_cache import QuoteCache
from tests.harness.order_builders import quote

pytestmark = pytest.mark.virtual_time


class Disk(MemoryLatestValueStore):
    """The stored quotes as seen by one process. It counts what is written, and fails on request."""

    def __init__(self, server: MemoryServer) -> None:
        super().__init__(server, stream="VIEWS", prefix=f"view._all.{CHECKPOINT_NAME}")
        self.writes: list[str] = []
        self.is_full = False

    async def put_all(
        self, values: Mapping[str, bytes], expected_revisions: Mapping[str, int] | None = None
    ) -> int:
        if self.is_full:
            raise Unavailable("no room")
        self.writes += values
        return await super().put_all(values, expected_revisions)


class Market:
    """A server, and a process that keeps its quotes."""

    def __init__(self) -> None:
        self.server = MemoryServer()
        self.disk = Disk(self.server)
        self._store = MemoryLatestValueStore(self.server)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        quote_cache = QuoteCache(MemoryLatestValueStore(self.server))
        await quote_cache.start()
        for work in (quote_cache.run(), LastQuoteKeeper(self.disk, quote_cache).run()):
            self._tasks.append(asyncio.create_task(work))

    async def publish(self, *quotes: PriceUpdated) -> None:
        for one in quotes:
            await self._store.put(encode_token(one.symbol), CODEC.encode(one))

    async def open_cache_after_loss(self) -> QuoteCache:
        """The cache of a process that starts when MARKET is empty."""
        self.server.values.pop("MARKET/px", None)
        quote_cache = QuoteCache(
            MemoryLatestValueStore(self.server), last_quotes=lambda: read_last_quotes(self.disk)
        )
        await quote_cache.start()
        return quote_cache

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def market() -> AsyncIterator[Market]:
    made = Market()
    await made.start()
    yield made
    await made.stop()


async def test_a_quote_that_the_server_lost_is_known_and_stale(market: Market) -> None:
    await market.publish(quote(symbol="BRK.B", ask="7"))
    await asyncio.sleep(2)
    quote_cache = await market.open_cache_after_loss()
    assert await quote_cache.has_symbol("BRK.B")
    assert quote_cache.quote("BRK.B") == quote(symbol="BRK.B", ask="7")
    assert quote_cache.is_stale("BRK.B")
    assert quote_cache.quote_age("BRK.B") is None


async def test_a_new_quote_replaces_the_one_from_disk(market: Market) -> None:
    await market.publish(quote(ask="7"))
    await asyncio.sleep(2)
    quote_cache = await market.open_cache_after_loss()
    await market.publish(quote(ask="6"))
    await asyncio.sleep(1)
    found = quote_cache.quote("IBM")
    assert found is not None
    assert found.ask == Decimal(6)
    assert not quote_cache.is_stale("IBM")


async def test_a_quote_that_the_server_still_has_is_not_replaced_by_an_older_one(
    market: Market,
) -> None:
    await market.publish(quote(ask="7"))
    await asyncio.sleep(2)
    await market.publish(quote(ask="8"))
    quote_cache = QuoteCache(
        MemoryLatestValueStore(market.server), last_quotes=lambda: read_last_quotes(market.disk)
    )
    await quote_cache.start()
    assert quote_cache.quote("IBM") == quote(ask="8")


async def test_an_unknown_symbol_is_still_unknown(market: Market) -> None:
    await market.publish(quote())
    await asyncio.sleep(2)
    quote_cache = await market.open_cache_after_loss()
    assert not await quote_cache.has_symbol("NOPE")


async def test_a_busy_symbol_is_written_every_few_seconds(market: Market) -> None:
    for second in range(60):
        await market.publish(quote(ask=str(100 + second)))
        await asyncio.sleep(1)
    assert len(market.disk.writes) <= 60 / SAVE_INTERVAL_SECONDS + 2
    stored = await read_last_quotes(market.disk)
    assert stored["IBM"].ask >= 159 - SAVE_INTERVAL_SECONDS - 1


async def test_a_quiet_symbol_is_written_once(market: Market) -> None:
    for _ in range(30):
        await market.publish(quote())
        await asyncio.sleep(1)
    assert market.disk.writes == ["IBM"]


async def test_many_symbols_share_the_writes_and_each_gets_its_turn(market: Market) -> None:
    symbols = [f"S{number}" for number in range(3 * MAX_SAVES_PER_SECOND)]
    for second in range(20):
        await market.publish(*(quote(symbol=one, ask=str(100 + second)) for one in symbols))
        await asyncio.sleep(1)
    assert len(market.disk.writes) <= 20 * MAX_SAVES_PER_SECOND
    assert (await read_last_quotes(market.disk)).keys() == set(symbols)


async def test_a_failed_write_is_made_up_for(market: Market) -> None:
    market.disk.is_full = True
    await market.publish(quote())
    await asyncio.sleep(3)
    market.disk.is_full = False
    await asyncio.sleep(2)
    assert (await read_last_quotes(market.disk)).keys() == {"IBM"}


async def test_what_cannot_be_read_costs_only_itself(market: Market) -> None:
    await market.publish(quote())
    await asyncio.sleep(2)
    await market.disk.put("BAD", b"rubbish")
    assert (await read_last_quotes(market.disk)).keys() == {"IBM"}
