"""Positions on a bad day: processes killed at random, the log away, two holding the lease at once.

Whatever happens, every position ends as the undisturbed fold of its trades has it, each trade is in
it once, and the log proves it (`reconcile`). A failure is played again by its seed.
"""

import asyncio
import random
from collections import Counter

import pytest

from tapewire.events import PositionEvent, TradeExecuted
from tapewire.log import RecordedEvent
from tapewire.log.memory import Faults, MemoryEventLog, MemoryServer
from tapewire_services.positions.reconciler import reconcile
from tests.harness import virtual_time
from tests.unit.positions.harness import (
    PositionsProcess,
    TradeProducer,
    fold_trades,
    last_positions,
    publish_quote,
    retry_until_available,
    wait_until_consistent,
)

pytestmark = pytest.mark.virtual_time

TRADES = 150


def once(events: list[RecordedEvent]) -> None:
    """No trade counts twice, and events stand in the order of their trades."""
    found = [one.event for one in events if isinstance(one.event, PositionEvent)]
    assert max(Counter((one.trade_sequence, type(one)) for one in found).values()) == 1
    sequences = [one.trade_sequence for one in found]
    assert sequences == sorted(sequences)


async def bad_day(seed: int, *, leaders: int) -> None:
    chance, server = random.Random(seed), MemoryServer()
    trader = TradeProducer(server, seed)
    faults = (Faults.rough(seed * 1000 + number) for number in range(1000))
    processes = [await PositionsProcess(server, next(faults)).start() for _ in range(leaders)]
    for _ in range(TRADES):
        await trader.append_random_trade()
        await publish_quote(server, str(chance.randrange(90, 110)), "S.1")
        await asyncio.sleep(chance.choice([0, 0, 0.05, 0.3]))
        if chance.random() < 0.1:
            victim = processes.pop(chance.randrange(leaders))
            await victim.kill()
            processes.append(await PositionsProcess(server, next(faults)).start())
    events = await wait_until_consistent(server)
    assert sum(isinstance(one.event, TradeExecuted) for one in events) == TRADES
    assert last_positions(events) == fold_trades(events)
    once(events)
    proof = await retry_until_available(lambda: reconcile(MemoryEventLog(server)))
    assert (proof.differing, proof.pending, proof.trades) == (0, 0, TRADES)
    for process in processes:
        process.raise_task_errors()
        await process.kill()


@pytest.mark.parametrize("seed", range(30))
def test_whatever_goes_wrong_positions_are_the_fold_of_all_trades(seed: int) -> None:
    virtual_time.run(bad_day(seed, leaders=1))


@pytest.mark.parametrize("seed", range(100, 115))
def test_two_that_both_believe_to_hold_the_lease_do_no_harm(seed: int) -> None:
    virtual_time.run(bad_day(seed, leaders=2))


async def test_a_long_outage_is_outlived() -> None:
    server = MemoryServer()
    trader = TradeProducer(server)
    process = await PositionsProcess(server).start()
    await trader.append_random_trade()
    await wait_until_consistent(server)
    server.stop()
    await asyncio.sleep(600)
    process.raise_task_errors()
    server.start()
    for _ in range(20):
        await trader.append_random_trade()
    once(await wait_until_consistent(server))
    process.raise_task_errors()
    await process.kill()


async def test_the_next_one_begins_at_the_checkpoint_and_takes_the_rest() -> None:
    server = MemoryServer()
    trader = TradeProducer(server)
    first = await PositionsProcess(server).start()
    for _ in range(100):
        await trader.append_random_trade()
    await wait_until_consistent(server)
    await asyncio.sleep(5)
    await trader.append_random_trade()
    await wait_until_consistent(server)
    await first.kill()
    for _ in range(100):
        await trader.append_random_trade()
    second = await PositionsProcess(server).start()
    events = await wait_until_consistent(server)
    once(events)
    second.raise_task_errors()
    await second.kill()
