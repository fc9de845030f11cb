"""The replies of the positions service, on the log in memory."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import msgspec
import pytest

from tapewire.events import CODEC, Side
from tapewire.log import Unavailable
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire.log.view_checkpointer import MIN_CHECKPOINT_EVENTS
from tapewire.runtime.contracts.positions import (
    AccountReply,
    GetAccount,
    ListPositions,
    PositionsReply,
)
from tests.unit.positions.harness import (
    CONTEXT,
    PositionsProcess,
    TradeProducer,
    publish_quote,
    wait_until_consistent,
)

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
async def producer(server: MemoryServer) -> TradeProducer:
    return TradeProducer(server)


@pytest.fixture
async def process(server: MemoryServer) -> AsyncIterator[PositionsProcess]:
    """The whole service; IBM is quoted at 105."""
    await publish_quote(server, "105")
    process = await PositionsProcess(server).start(with_projector=True)
    await asyncio.sleep(5)
    yield process
    process.raise_task_errors()
    await process.kill()


def numbers(*values: Decimal | None) -> str:
    return " ".join(str(value) for value in values)


async def listed(process: PositionsProcess, user: str = "alice") -> PositionsReply:
    return await process.service.list(ListPositions(user_id=user), CONTEXT)


async def test_the_list_values_positions_at_the_newest_price_and_has_totals(
    server: MemoryServer, producer: TradeProducer, process: PositionsProcess
) -> None:
    await publish_quote(server, "50", "SPY")
    await producer.append_trade(Side.BUY, "10", "100", "1")
    await producer.append_trade(Side.SELL, "4", "60", symbol="SPY")
    await producer.append_trade(Side.BUY, "1", "1", user="bob")
    await wait_until_consistent(server)
    reply = await listed(process)
    assert [
        (one.symbol, numbers(one.quantity, one.current_price, one.value, one.unrealized_pnl))
        for one in reply.positions
    ] == [("IBM", "10 105 1050 50"), ("SPY", "-4 50 -200 40")]
    assert numbers(reply.total_value, reply.unrealized_pnl, reply.realized_pnl) == "850 90 -1"
    assert (reply.as_of, reply.epoch) == (server.journal.last, server.journal.epoch)


async def test_a_closed_position_is_listed_with_its_realized_gain(
    server: MemoryServer, producer: TradeProducer, process: PositionsProcess
) -> None:
    await producer.append_trade(Side.BUY, "10", "100")
    await producer.append_trade(Side.SELL, "10", "103")
    await wait_until_consistent(server)
    [one] = (await listed(process)).positions
    assert numbers(one.quantity, one.entry_price, one.value, one.realized_pnl) == "0 None 0 30"


async def test_a_position_without_a_quote_counts_as_its_cost(
    server: MemoryServer, producer: TradeProducer, process: PositionsProcess
) -> None:
    await producer.append_trade(Side.BUY, "10", "100", symbol="NEW")
    await producer.append_trade(Side.BUY, "1", "100")
    await wait_until_consistent(server)
    reply = await listed(process)
    [new] = [one for one in reply.positions if one.current_price is None]
    assert numbers(new.current_price, new.value, new.unrealized_pnl) == "None None None"
    assert numbers(reply.total_value, reply.unrealized_pnl) == "1105 5"


async def test_a_user_without_trades_has_no_positions(process: PositionsProcess) -> None:
    reply = await listed(process, "nobody")
    assert reply.positions == []
    assert numbers(reply.total_value, reply.realized_pnl) == "0 0"


async def test_field_names_are_those_of_the_protocol(
    server: MemoryServer, producer: TradeProducer, process: PositionsProcess
) -> None:
    await producer.append_trade(Side.BUY, "10", "100")
    await wait_until_consistent(server)
    reply = msgspec.json.decode(CODEC.encode(await listed(process)))
    fields = {"symbol", "quantity", "entryPrice", "currentPrice", "unrealizedPnL"}
    assert fields | {"realizedPnL"} <= set(reply["positions"][0])
    assert {"totalValue", "unrealizedPnL", "realizedPnL", "asOf", "epoch"} <= set(reply)


async def test_any_process_answers_with_or_without_checkpoints(
    server: MemoryServer, producer: TradeProducer, process: PositionsProcess
) -> None:
    for _ in range(MIN_CHECKPOINT_EVENTS + 10):
        await producer.append_trade(Side.BUY, "1", "100")
    await wait_until_consistent(server)
    await asyncio.sleep(5)
    views = MemoryLatestValueStore(server, stream="VIEWS", prefix="view")
    assert await views.get("alice.positions") is not None
    await producer.append_trade(Side.SELL, "100", "110")
    await wait_until_consistent(server)
    standby = await PositionsProcess(server).start(holds_lease=False)
    assert await listed(standby) == await listed(process)
    [one] = (await listed(standby)).positions
    assert one.quantity == Decimal(MIN_CHECKPOINT_EVENTS + 10 - 100)
    await standby.kill()


async def test_requests_fail_with_unavailable_while_the_log_is_away(
    server: MemoryServer, process: PositionsProcess
) -> None:
    server.stop()
    with pytest.raises(Unavailable):
        await listed(process)
    server.start()


async def test_positions_are_paged_by_symbol_with_the_totals_of_all(
    server: MemoryServer, producer: TradeProducer, process: PositionsProcess
) -> None:
    symbols = [f"S{number:02d}" for number in range(7)]
    for symbol in reversed(symbols):
        await producer.append_trade(Side.BUY, "1", "10", symbol=symbol)
    await wait_until_consistent(server)
    seen, cursor = list[str](), None
    while cursor is not None or not seen:
        request = ListPositions(user_id="alice", limit=3, cursor=cursor)
        page = await process.service.list(request, CONTEXT)
        seen += [one.symbol for one in page.positions]
        assert numbers(page.total_value) == "70"
        cursor = page.next
        await producer.append_trade(Side.BUY, "1", "0", symbol="S00")  # changed, listed already
        await wait_until_consistent(server)
    assert seen == symbols


async def account(process: PositionsProcess, user: str = "alice") -> AccountReply:
    return await process.service.account(GetAccount(user_id=user), CONTEXT)


async def test_an_account_balances_at_the_newest_price(
    server: MemoryServer, producer: TradeProducer, process: PositionsProcess
) -> None:
    await producer.append_trade(Side.BUY, "10", "100", "1")
    await producer.append_trade(Side.SELL, "4", "103", "0.5")
    await producer.append_trade(Side.BUY, "1", "1", user="bob")
    await wait_until_consistent(server)
    found = await account(process)
    assert numbers(found.starting_balance, found.cash, found.equity) == "100000 99410.5 100040.5"
    assert numbers(found.gross_exposure, found.net_exposure) == "630 630"
    assert numbers(found.realized_pnl, found.unrealized_pnl, found.fees) == "10.5 30 1.5"
    assert numbers(found.buying_power) == "199451"
    assert (found.unpriced, found.as_of) == (0, server.journal.last)


async def test_a_short_position_without_a_quote_makes_the_account_stale(
    server: MemoryServer, producer: TradeProducer, process: PositionsProcess
) -> None:
    await producer.append_trade(Side.SELL, "10", "100", symbol="NEW")
    await wait_until_consistent(server)
    found = await account(process)
    assert numbers(found.cash, found.equity) == "101000 100000"
    assert numbers(found.gross_exposure, found.net_exposure) == "1000 -1000"
    assert (found.stale, found.unpriced) == (True, 1)


async def test_an_account_without_trades_is_its_starting_balance(process: PositionsProcess) -> None:
    found = await account(process, "nobody")
    assert numbers(found.cash, found.equity, found.buying_power) == "100000 100000 200000"
    assert (found.stale, found.unpriced) == (False, 0)


async def test_an_account_at_a_price_that_is_not_confirmed_any_more_is_stale(
    server: MemoryServer, producer: TradeProducer, process: PositionsProcess
) -> None:
    await producer.append_trade(Side.BUY, "10", "100")
    await wait_until_consistent(server)
    await publish_quote(server, "105")
    await asyncio.sleep(1)
    assert not (await account(process)).stale
    await asyncio.sleep(10)
    assert (await account(process)).stale


async def test_what_is_valued_at_an_old_price_is_stale(
    server: MemoryServer, producer: TradeProducer, process: PositionsProcess
) -> None:
    """A closed position, and one without a price, are not valued."""
    await producer.append_trade(Side.BUY, "10", "100")
    await producer.append_trade(Side.SELL, "2", "50", symbol="SPY")
    await producer.append_trade(Side.BUY, "1", "7", symbol="NONE")
    await producer.append_trade(Side.BUY, "1", "9", symbol="OUT")
    await producer.append_trade(Side.SELL, "1", "9", symbol="OUT")
    for symbol in ("IBM", "SPY", "OUT"):
        await publish_quote(server, "105", symbol)
    await wait_until_consistent(server)

    async def stale() -> list[str]:
        return [one.symbol for one in (await listed(process)).positions if one.stale]

    await asyncio.sleep(1)
    assert await stale() == []
    await asyncio.sleep(3)
    await publish_quote(server, "105", "SPY")
    await asyncio.sleep(1)
    assert await stale() == ["IBM"]
    await asyncio.sleep(5)
    assert await stale() == ["IBM", "SPY"]
