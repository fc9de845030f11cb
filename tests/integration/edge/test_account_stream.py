"""The account on streams: shown at once after a trade, never live when prices are not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.golden_events import golden_event
from tests.harness.publishers import EventLogDriver, QuoteDriver
from tests.harness.sse import Frame
from tests.integration.edge.stream_cases import open_stream

TRADING = "/api/stream/trading"
ACCOUNT = "/api/stream?topics=account"
STALE_SECONDS = 1.0


@pytest.fixture
def edge(harness: Harness) -> EdgeProcess:
    return harness.shared_edge(
        TAPEWIRE_STARTING_BALANCE=50_000,
        TAPEWIRE_MAX_LEVERAGE=2,
        TAPEWIRE_STALE_SECONDS=STALE_SECONDS,
    )


async def hold(
    journal: EventLogDriver, user: str, symbol: str, qty: int, cost: int, *, realized: str = "0"
) -> int:
    fields = {"position__symbol": symbol, "position__quantity": qty, "position__costBasis": cost}
    fields |= {"position__realizedPnl": realized, "position__fees": "2"}
    return await journal.append_event(
        user, "positions", symbol, golden_event("position.opened", **fields)
    )


@contextlib.asynccontextmanager
async def quoting(market: QuoteDriver, symbol: str, price: int) -> AsyncIterator[None]:
    """Quote `symbol` again and again, as a feed does, during the block."""

    async def publish() -> None:
        while True:
            await market.publish(symbol, price)
            await asyncio.sleep(STALE_SECONDS / 10)

    task = asyncio.create_task(publish())
    try:
        yield
    finally:
        task.cancel()


async def read_account(stream: Any, **expected: Any) -> Frame:
    """Read until the account has the `expected` figures."""

    def fits(frame: Frame) -> bool:
        return frame.event == "account:update" and expected.items() <= frame.data.items()

    found: Frame = await stream.read_until(f"an account with {expected}", fits)
    assert found.id is None
    return found


@pytest.mark.parametrize("path", [TRADING, ACCOUNT])
async def test_the_account_follows_trades_prices_and_staleness(
    edge: EdgeProcess,
    journal: EventLogDriver,
    market: QuoteDriver,
    alice: str,
    fresh: Callable[[str], str],
    path: str,
) -> None:
    symbol = fresh("ACC")
    await market.publish(symbol, 100)
    await edge.wait_for_quotes(symbol)
    async with await open_stream(edge, path, await edge.sign_in(alice)) as stream:
        first = await read_account(stream, equity=50_000)
        assert (first.data["cash"], first.data["buyingPower"]) == (50_000, 100_000)
        assert not first.data["stale"]

        last = await hold(journal, alice, symbol, -10, -990, realized="-2")
        async with quoting(market, symbol, 100):
            sold = await read_account(stream, cash=50_988, equity=49_988, stale=False)
        assert (sold.data["grossExposure"], sold.data["netExposure"]) == (1000, -1000)
        assert (sold.data["unrealizedPnL"], sold.data["realizedPnL"]) == (-10, -2)
        assert (sold.data["fees"], sold.data["buyingPower"]) == (2, 98_976)
        assert sold.data["asOf"] == f"{stream.frames[-1].data['asOf'].partition('-')[0]}-{last}"

        async with quoting(market, symbol, 90):
            await read_account(stream, equity=50_088, stale=False)
        stale = await read_account(stream, equity=50_088, stale=True)
        assert stale.data["unpriced"] == 0
        async with quoting(market, symbol, 90):
            await read_account(stream, equity=50_088, stale=False)


async def test_what_is_held_without_a_quote_is_counted_and_others_are_not_shown(
    edge: EdgeProcess, journal: EventLogDriver, alice: str, fresh: Callable[[str], str]
) -> None:
    await hold(journal, alice, fresh("NONE"), 10, 1000)
    bob = fresh("bob")
    async with (
        await open_stream(edge, ACCOUNT, await edge.sign_in(alice)) as hers,
        await open_stream(edge, ACCOUNT, await edge.sign_in(bob)) as his,
    ):
        found = await read_account(hers, cash=49_000, equity=50_000)
        assert (found.data["stale"], found.data["unpriced"]) == (True, 1)
        await read_account(his, equity=50_000, unpriced=0)
        await hold(journal, alice, fresh("NONE"), 10, 1000)
        await read_account(hers, unpriced=2)
        await hold(journal, bob, fresh("NONE"), 1, 7)
        await read_account(his, cash=49_993)
        cash_values = [
            frame.data["cash"] for frame in his.frames if frame.event == "account:update"
        ]
        assert set(cash_values) == {50_000, 49_993}


async def test_orders_reserve_buying_power_while_they_are_open(
    edge: EdgeProcess, journal: EventLogDriver, alice: str, fresh: Callable[[str], str]
) -> None:
    symbol = fresh("RES")
    terms = {
        "order__orderId": "mine", "order__symbol": symbol, "order__side": "buy",
        "order__type": "limit", "order__qty": 10, "order__limitPrice": 100,
        "order__filledQty": 0, "order__filledAvgPrice": None,
    }  # fmt: skip
    async with await open_stream(edge, ACCOUNT, await edge.sign_in(alice)) as stream:
        await read_account(stream, buyingPower=100_000)
        placed = golden_event("order.placed", **terms, order__status="new")
        await journal.append_event(alice, "orders", "mine", placed)
        await read_account(stream, buyingPower=99_000, equity=50_000)
        canceled = golden_event("order.canceled", **terms, order__status="canceled")
        await journal.append_event(alice, "orders", "mine", canceled)
        await read_account(stream, buyingPower=100_000)


async def test_the_topic_needs_a_session(edge: EdgeProcess) -> None:
    async with asyncio.timeout(60):
        async with edge.client() as http:
            assert (await http.get(ACCOUNT)).status_code == 401
