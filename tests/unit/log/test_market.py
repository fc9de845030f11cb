"""What the service knows of the market, in virtual time."""

import asyncio
from decimal import Decimal

import pytest

from tapewire.events import CODEC, PriceUpdated
from tapewire.log import Unavailable, token
from tapewire.log.market import SETTLING_SECONDS, Market
from tapewire.log.memory import MemoryServer, MemoryValues
from tests.unit.orders import virtual
from tests.unit.orders.spec import quote


class Exchange:
    """A server, quotes put there, and boards that see them."""

    def __init__(self) -> None:
        self.server = MemoryServer()
        self.values = MemoryValues(self.server)

    async def put(self, new: PriceUpdated) -> None:
        await self.values.put(token(new.symbol), CODEC.encode(new))

    async def board(self) -> tuple[Market, MemoryValues]:
        values = MemoryValues(self.server)
        board = Market(values)
        await board.start()
        return board, values


def asked(board: Market, symbol: str) -> Decimal | None:
    found = board.quote(symbol)
    return None if found is None else found.ask


def test_it_knows_what_was_quoted_before_and_what_is_quoted_since() -> None:
    async def story() -> None:
        market = Exchange()
        await market.put(quote(symbol="BRK.B", ask="7"))
        board, _ = await market.board()
        heard: list[str] = []
        ignore = board.listen(heard.append)
        await market.put(quote(symbol="SPY", ask="8"))
        await asyncio.sleep(1)
        assert (asked(board, "BRK.B"), asked(board, "SPY")) == (Decimal(7), Decimal(8))
        assert heard == ["SPY"]
        ignore()
        await market.put(quote(symbol="SPY", ask="9", second=1))
        await asyncio.sleep(1)
        assert heard == ["SPY"]

    virtual.run(story())


def test_an_unknown_symbol_is_unknown_at_once_when_the_market_is_settled() -> None:
    async def story() -> None:
        market = Exchange()
        await market.put(quote())
        board, _ = await market.board()
        await asyncio.sleep(SETTLING_SECONDS)
        began = asyncio.get_running_loop().time()
        assert await board.knows("IBM")
        assert not await board.knows("NOPE")
        assert asyncio.get_running_loop().time() == began

    virtual.run(story())


def test_a_market_that_comes_to_life_is_waited_for() -> None:
    """The message server and this service start again together: MARKET is memory, and the feed's
    symbols come back one by one. An order used to be refused for a symbol that was a tick late."""

    async def story() -> None:
        market = Exchange()
        board, _ = await market.board()
        knowing = [asyncio.create_task(board.knows(symbol)) for symbol in ("IBM", "SPY", "NOPE")]
        await asyncio.sleep(1)
        await market.put(quote(symbol="IBM"))
        await asyncio.sleep(1)
        await market.put(quote(symbol="SPY"))
        assert await asyncio.gather(*knowing) == [True, True, False]

    virtual.run(story())


def test_without_any_market_nobody_can_say() -> None:
    async def story() -> None:
        board, _ = await Exchange().board()
        with pytest.raises(Unavailable):
            await board.knows("IBM")

    virtual.run(story())


def test_a_symbol_once_known_is_never_forgotten() -> None:
    async def story() -> None:
        market = Exchange()
        await market.put(quote())
        board, _ = await market.board()
        market.server.values.clear()
        market.server.stop()
        market.server.start()
        following = asyncio.create_task(board.follow())
        await asyncio.sleep(10)
        assert await board.knows("IBM")
        assert asked(board, "IBM") == Decimal(100)
        following.cancel()

    virtual.run(story())


def test_what_a_gap_swallowed_is_read_again() -> None:
    async def story() -> None:
        market = Exchange()
        await market.put(quote())
        board, _ = await market.board()
        heard: list[str] = []
        board.listen(heard.append)
        following = asyncio.create_task(board.follow())
        market.server.stop()
        await asyncio.sleep(1)
        market.server.start()
        await market.put(quote(symbol="SPY"))
        await market.put(quote(ask="101", second=1))
        await asyncio.sleep(1)
        assert (asked(board, "IBM"), asked(board, "SPY")) == (Decimal(101), Decimal(100))
        assert sorted(set(heard)) == ["IBM", "SPY"]
        following.cancel()

    virtual.run(story())


def test_what_was_read_never_replaces_what_came_live_later() -> None:
    class Slow(MemoryValues):
        """Answers with what was stored when it was asked, a second later."""

        async def all(self) -> dict[str, bytes]:
            found = dict(await super().all())
            await asyncio.sleep(1)
            return found

    async def story() -> None:
        market = Exchange()
        await market.put(quote(ask="100", second=1))
        board = Market(Slow(market.server))
        starting = asyncio.create_task(board.start())
        await asyncio.sleep(0.5)
        await market.put(quote(ask="101", second=2))
        await starting
        assert asked(board, "IBM") == Decimal(101)

    virtual.run(story())


def test_what_is_no_quote_is_passed_over() -> None:
    async def story() -> None:
        market = Exchange()
        await market.values.put("IBM", b"rubbish")
        board, _ = await market.board()
        assert board.quote("IBM") is None
        await market.put(quote())
        await asyncio.sleep(1)
        assert asked(board, "IBM") == Decimal(100)

    virtual.run(story())
