"""Positions whose symbol is split: as many shares more, at the same cost, and nothing gained."""

import asyncio
import random
from decimal import Decimal
from fractions import Fraction

import pytest

from tapewire.events import Position, PositionEvent, PositionSplit, Side, SplitRatio
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.splits import make_split, make_split_drafts
from tests.harness.position_builders import START
from tests.harness.verification import TRADE_WITHOUT_FILL, assert_verified
from tests.unit.positions.harness import (
    PositionsProcess,
    TradeProducer,
    last_positions,
    publish_quote,
    read_all_events,
    read_valuations,
    wait_until_consistent,
)

pytestmark = pytest.mark.virtual_time


async def split(
    server: MemoryServer, shares: int, for_shares: int, number: int = 1, symbol: str = "IBM"
) -> None:
    log, market = MemoryEventLog(server), MemoryLatestValueStore(server)
    bounds = await market.bounds()
    ratio = SplitRatio(shares=shares, for_shares=for_shares)
    made = make_split(
        f"S{symbol}{number}", symbol, ratio, number, (bounds.epoch, bounds.last), START
    )
    last = await log.last_sequence(f"ev._all.splits.{symbol.replace('.', '%2E')}")
    await log.append(make_split_drafts(made, last))


async def follow(server: MemoryServer) -> dict[str, Position]:
    """The positions after every event, as one process stores them; verification agrees."""
    consumer, _ = PositionsProcess(server).make_consumer()
    page = await MemoryEventLog(server).page("ev.*.trades.>", after=0, limit=1000)
    await consumer.handle(page.events)
    await assert_verified(server, ignored=[TRADE_WITHOUT_FILL])
    return {key.user: one for key, one in last_positions(await read_all_events(server)).items()}


@pytest.mark.parametrize(
    ("ratio", "side", "quantity", "entry"),
    [
        ((10, 1), Side.BUY, "70", "18.05"),
        ((10, 1), Side.SELL, "-70", "18.05"),
        ((1, 10), Side.BUY, "0.7", "1805"),
        ((3, 2), Side.BUY, "10.5", "120.33333333"),
        ((1, 3), Side.SELL, "-2.333333333", "541.50000008"),
    ],
)
async def test_a_split_changes_no_cost_and_no_cash(
    ratio: tuple[int, int], side: Side, quantity: str, entry: str
) -> None:
    server = MemoryServer()
    producer = TradeProducer(server)
    await producer.append_trade(side, "7", "180.5", "1")
    await split(server, *ratio)
    position = (await follow(server))["alice"]
    assert (position.quantity, position.entry_price) == (Decimal(quantity), Decimal(entry))
    sign = 1 if side is Side.BUY else -1
    assert (position.cost_basis, position.realized_pnl) == (sign * Decimal("1263.5"), Decimal(-1))


async def test_what_is_too_small_to_be_held_is_lost_at_its_cost() -> None:
    server = MemoryServer()
    producer = TradeProducer(server)
    await producer.append_trade(Side.BUY, "0.000000004", "100")
    await split(server, 1, 10)
    position = (await follow(server))["alice"]
    assert not position.quantity
    assert not position.cost_basis
    assert position.realized_pnl == Decimal("-0.0000004")


@pytest.mark.parametrize("seed", range(20))
async def test_cash_is_exact_over_trades_and_splits_in_any_order(seed: int) -> None:
    rng, server = random.Random(seed), MemoryServer()
    producer, number, cash = TradeProducer(server, seed), 0, Fraction(0)
    for _ in range(20):
        if rng.random() < 0.2:
            number += 1
            await split(server, *rng.choice([(10, 1), (1, 10), (3, 2), (7, 3)]), number)
            continue
        side, fee = rng.choice([*Side]), rng.choice(["0", "0.35"])
        qty, price = rng.choice(["1", "2", "0.7"]), f"{rng.randrange(900, 1100) / 100:.2f}"
        await producer.append_trade(side, qty, price, fee)
        cash += Fraction(qty) * Fraction(price) * (-1 if side is Side.BUY else 1) - Fraction(fee)
    position = (await follow(server))["alice"]
    assert Fraction(position.realized_pnl) - Fraction(position.cost_basis) == cash


@pytest.mark.parametrize("seed", range(4))
async def test_every_holder_is_split_once_through_kills(seed: int) -> None:
    rng, server = random.Random(seed), MemoryServer()
    producer = TradeProducer(server)
    for number in range(120):
        await producer.append_trade(Side.BUY, "2", "100", user=f"u{number}")
        if number % 3 == 0:
            await producer.append_trade(Side.SELL, "2", "100", user=f"u{number}")
    await producer.append_trade(Side.BUY, "5", "50", user="other", symbol="SPY")
    process = await PositionsProcess(server).start()
    await asyncio.sleep(rng.random())
    await split(server, 10, 1)
    for _ in range(3):
        await asyncio.sleep(rng.random() / 100)
        await process.kill()
        process = await PositionsProcess(server).start()
    await producer.append_trade(Side.BUY, "1", "10", user="late")
    events = await wait_until_consistent(server)
    splits = [one.subject for one in events if isinstance(one.event, PositionSplit)]
    assert len(splits) == len(set(splits)) == 80
    held = {key.user: one.quantity for key, one in last_positions(events).items()}
    assert {held[f"u{number}"] for number in range(120) if number % 3} == {Decimal(20)}
    assert (held["other"], held["late"]) == (Decimal(5), Decimal(1))
    await process.kill()


async def test_a_position_is_not_valued_at_a_quote_from_before_the_split() -> None:
    server = MemoryServer()
    producer = TradeProducer(server)
    await publish_quote(server, "180")
    process = await PositionsProcess(server).start()
    await producer.append_trade(Side.BUY, "10", "180")
    await wait_until_consistent(server)
    await asyncio.sleep(3)
    await split(server, 10, 1)
    await wait_until_consistent(server)
    await asyncio.sleep(3)
    [valued] = (await read_valuations(server)).values()
    assert (valued.quantity, valued.unrealized_pnl) == (Decimal(10), Decimal(0))  # from before it
    await publish_quote(server, "18.1")
    await asyncio.sleep(3)
    [valued] = (await read_valuations(server)).values()
    assert (valued.quantity, valued.unrealized_pnl) == (Decimal(100), Decimal(10))
    events = await read_all_events(server, "ev.*.positions.>")
    assert [type(one.event) for one in events][-1] is PositionSplit
    assert all(isinstance(one.event, PositionEvent) for one in events)
    await process.kill()
