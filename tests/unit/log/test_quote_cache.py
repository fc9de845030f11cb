"""What the service knows of the market, in virtual time."""

import asyncio
from decimal import Decimal

import pytest

from tapewire.events import CODEC, PriceUpdated
from tapewire.log import Unavailable, encode_token
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire.log.quote_cache import SYMBOL_WAIT_SECONDS, QuoteCache
from tests.harness.order_builders import quote

pytestmark = pytest.mark.virtual_time


class QuoteSource:
    """A server, quotes put there, and boards that see them."""

    def __init__(self) -> None:
        self.server = MemoryServer()
        self.store = MemoryLatestValueStore(self.server)

    async def put(self, new: PriceUpdated) -> None:
        await self.store.put(encode_token(new.symbol), CODEC.encode(new))

    async def open_quote_cache(self) -> tuple[QuoteCache, MemoryLatestValueStore]:
        values = MemoryLatestValueStore(self.server)
        board = QuoteCache(values)
        await board.start()
        return board, values


def ask_price(quote_cache: QuoteCache, symbol: str) -> Decimal | None:
    found = quote_cache.quote(symbol)
    return None if found is None else found.ask


async def test_it_knows_what_was_quoted_before_and_what_is_quoted_since() -> None:
    market = QuoteSource()
    await market.put(quote(symbol="BRK.B", ask="7"))
    board, _ = await market.open_quote_cache()
    heard: list[str] = []
    ignore = board.add_listener(heard.append)
    await market.put(quote(symbol="SPY", ask="8"))
    await asyncio.sleep(1)
    assert (ask_price(board, "BRK.B"), ask_price(board, "SPY")) == (Decimal(7), Decimal(8))
    assert heard == ["SPY"]
    ignore()
    await market.put(quote(symbol="SPY", ask="9", second=1))
    await asyncio.sleep(1)
    assert heard == ["SPY"]


async def test_an_unknown_symbol_is_unknown_at_once_when_the_market_is_settled() -> None:
    market = QuoteSource()
    await market.put(quote())
    board, _ = await market.open_quote_cache()
    await asyncio.sleep(SYMBOL_WAIT_SECONDS)
    began = asyncio.get_running_loop().time()
    assert await board.has_symbol("IBM")
    assert not await board.has_symbol("NOPE")
    assert asyncio.get_running_loop().time() == began


async def test_a_market_that_comes_to_life_is_waited_for() -> None:
    """The message server and this service start again together: MARKET is memory, and the feed's
    symbols come back one by one. An order used to be refused for a symbol that was a tick late."""
    market = QuoteSource()
    board, _ = await market.open_quote_cache()
    knowing = [asyncio.create_task(board.has_symbol(symbol)) for symbol in ("IBM", "SPY", "NOPE")]
    await asyncio.sleep(1)
    await market.put(quote(symbol="IBM"))
    await asyncio.sleep(1)
    await market.put(quote(symbol="SPY"))
    assert await asyncio.gather(*knowing) == [True, True, False]


async def test_without_any_market_nobody_can_say() -> None:
    board, _ = await QuoteSource().open_quote_cache()
    with pytest.raises(Unavailable):
        await board.has_symbol("IBM")


async def test_a_symbol_once_known_is_never_forgotten() -> None:
    market = QuoteSource()
    await market.put(quote())
    board, _ = await market.open_quote_cache()
    market.server.values.clear()
    market.server.stop()
    market.server.start()
    following = asyncio.create_task(board.repair_gaps())
    await asyncio.sleep(10)
    assert await board.has_symbol("IBM")
    assert ask_price(board, "IBM") == Decimal(100)
    following.cancel()


async def test_what_a_gap_swallowed_is_read_again() -> None:
    market = QuoteSource()
    await market.put(quote())
    board, _ = await market.open_quote_cache()
    heard: list[str] = []
    board.add_listener(heard.append)
    following = asyncio.create_task(board.repair_gaps())
    market.server.stop()
    await asyncio.sleep(1)
    market.server.start()
    await market.put(quote(symbol="SPY"))
    await market.put(quote(ask="101", second=1))
    await asyncio.sleep(1)
    assert (ask_price(board, "IBM"), ask_price(board, "SPY")) == (Decimal(101), Decimal(100))
    assert sorted(set(heard)) == ["IBM", "SPY"]
    following.cancel()


async def test_what_was_read_never_replaces_what_came_live_later() -> None:
    class Slow(MemoryLatestValueStore):
        """Answers with what was stored when it was asked, a second later."""

        async def get_all(self) -> dict[str, bytes]:
            found = dict(await super().get_all())
            await asyncio.sleep(1)
            return found

    market = QuoteSource()
    await market.put(quote(ask="100", second=1))
    board = QuoteCache(Slow(market.server))
    starting = asyncio.create_task(board.start())
    await asyncio.sleep(0.5)
    await market.put(quote(ask="101", second=2))
    await starting
    assert ask_price(board, "IBM") == Decimal(101)


async def test_what_is_no_quote_is_passed_over() -> None:
    market = QuoteSource()
    await market.store.put("IBM", b"rubbish")
    board, _ = await market.open_quote_cache()
    assert board.quote("IBM") is None
    await market.put(quote())
    await asyncio.sleep(1)
    assert ask_price(board, "IBM") == Decimal(100)
