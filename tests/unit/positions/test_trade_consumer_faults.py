"""Positions while processes are killed at random, the log is away, and two hold the lease at once.

After every run the log is verified: each position is the fold of its trades, and each trade counts
once. The seed in a test's name reproduces a failure.
"""

import asyncio
import random

import pytest

from tapewire.events import PositionEvent, TradeExecuted
from tapewire.log import RecordedEvent
from tapewire.log.memory import Faults, MemoryServer
from tests.unit.positions.harness import (
    PositionsProcess,
    TradeProducer,
    publish_quote,
    wait_until_consistent,
)

pytestmark = pytest.mark.virtual_time

TRADE_COUNT = 150


def assert_in_trade_order(events: list[RecordedEvent]) -> None:
    """Position events of all users are in the order of their trades."""
    found = [one.event.trade_sequence for one in events if isinstance(one.event, PositionEvent)]
    assert found == sorted(found)


async def run_with_faults(seed: int, *, leader_count: int) -> None:
    rng, server = random.Random(seed), MemoryServer()
    producer = TradeProducer(server, seed)
    faults = (Faults.rough(seed * 1000 + number) for number in range(1000))
    processes = [await PositionsProcess(server, next(faults)).start() for _ in range(leader_count)]
    for _ in range(TRADE_COUNT):
        await producer.append_random_trade()
        await publish_quote(server, str(rng.randrange(90, 110)), "S.1")
        await asyncio.sleep(rng.choice([0, 0, 0.05, 0.3]))
        if rng.random() < 0.1:
            victim = processes.pop(rng.randrange(leader_count))
            await victim.kill()
            processes.append(await PositionsProcess(server, next(faults)).start())
    events = await wait_until_consistent(server)
    assert sum(isinstance(one.event, TradeExecuted) for one in events) == TRADE_COUNT
    assert_in_trade_order(events)
    for process in processes:
        process.raise_task_errors()
        await process.kill()


@pytest.mark.parametrize("seed", range(30))
async def test_positions_survive_faults_and_kills(seed: int) -> None:
    await run_with_faults(seed, leader_count=1)


@pytest.mark.parametrize("seed", range(100, 115))
async def test_two_lease_holders_at_once_store_nothing_twice(seed: int) -> None:
    await run_with_faults(seed, leader_count=2)


async def test_positions_survive_a_long_outage() -> None:
    server = MemoryServer()
    producer = TradeProducer(server)
    process = await PositionsProcess(server).start()
    await producer.append_random_trade()
    await wait_until_consistent(server)
    server.stop()
    await asyncio.sleep(600)
    process.raise_task_errors()
    server.start()
    for _ in range(20):
        await producer.append_random_trade()
    assert_in_trade_order(await wait_until_consistent(server))
    process.raise_task_errors()
    await process.kill()


async def test_the_next_process_starts_at_the_checkpoint() -> None:
    server = MemoryServer()
    producer = TradeProducer(server)
    first = await PositionsProcess(server).start()
    for _ in range(100):
        await producer.append_random_trade()
    await wait_until_consistent(server)
    await asyncio.sleep(5)
    await producer.append_random_trade()
    await wait_until_consistent(server)
    await first.kill()
    for _ in range(100):
        await producer.append_random_trade()
    second = await PositionsProcess(server).start()
    events = await wait_until_consistent(server)
    assert_in_trade_order(events)
    second.raise_task_errors()
    await second.kill()
