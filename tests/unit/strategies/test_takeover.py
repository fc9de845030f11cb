"""Runners that die, two at once, outages, and everything together, by seed: nothing twice."""

import asyncio
import random
from decimal import Decimal
from types import ModuleType

import pytest

from services.strategies.maker import Hire, RuleMaker
from tapewire.events import (
    Breakout,
    MeanReversion,
    MovingAverageCrossover,
    Rule,
    StopLossExecuted,
    StopLossKind,
    StopLossTriggered,
    StrategyStatus,
)
from tapewire.log.memory import Faults, MemoryServer
from tests.unit.orders import virtual
from tests.unit.orders.house import Feed, Process
from tests.unit.strategies.house import Counter, Ledger, Worker, buys_when_flat, in_ledger
from tests.unit.strategies.spec import stop_loss

RULES: list[Rule] = [
    MovingAverageCrossover(fast=2, slow=5),
    Breakout(window=4),
    MeanReversion(window=5, deviations=Decimal("1.5")),
]
TREND = RULES[0]
FALLEN = Decimal(11)
FALLEN_AFTER = 40.0
"""Seconds."""


class Shift:
    """Runners one after the other, as the lease has it; each may be killed at any moment."""

    def __init__(self, server: MemoryServer, seed: int, *, rough: bool, hire: Hire) -> None:
        self._server = server
        self._chance = random.Random(seed)
        self._seed = seed
        self._rough = rough
        self._hire = hire
        self._number = 0
        self.orders = Process(server, self._faults())
        self.counter = Counter(self.orders, trouble=0.2 if rough else 0.0, seed=seed)
        self.workers: list[Worker] = []

    def _faults(self) -> Faults | None:
        self._number += 1
        return Faults.rough(self._seed * 100 + self._number) if self._rough else None

    async def worker(self) -> Worker:
        """One more runner."""
        worker = Worker(self._server, self.counter, self._faults(), self._hire)
        self.workers.append(worker)
        return await worker.start()

    async def takeover(self) -> Worker:
        """The runner dies, and a little later another one begins."""
        await self.workers.pop().kill()
        await asyncio.sleep(self._chance.uniform(0, 5))
        return await self.worker()

    async def end(self) -> None:
        for worker in self.workers:
            worker.check()
            await worker.kill()
        await self.orders.kill()


def test_an_order_that_was_signaled_and_not_placed_is_placed_by_the_next_runner() -> None:
    async def work() -> None:
        server = MemoryServer()
        feed = Feed(server)
        await feed.show("100", "100")
        shift = Shift(server, 1, rough=False, hire=buys_when_flat)
        await shift.orders.start()
        shift.counter.open = False
        worker = await shift.worker()
        id_ = await worker.make(TREND)
        seen = await in_ledger(server, "signaled", lambda seen: seen.strategies[id_].order)
        assert seen.placed[id_] == []
        await shift.workers.pop().kill()
        shift.counter.open = True
        await shift.worker()
        await asyncio.sleep(1)
        await feed.show("101", "101")
        seen = await in_ledger(server, "settled", lambda seen: seen.settled())
        seen.check()
        assert seen.story(id_) == ["created", "started", "signaled", "traded buy 10"]
        await shift.end()

    virtual.run(work())


def test_a_trailing_stop_loss_goes_on_from_the_best_price_after_a_takeover() -> None:
    async def work() -> None:
        server = MemoryServer()
        feed = Feed(server)
        await feed.show("100", "100")
        shift = Shift(server, 1, rough=False, hire=buys_when_flat)
        await shift.orders.start()
        worker = await shift.worker()
        stop = stop_loss("10", StopLossKind.TRAILING)
        id_ = await worker.make(TREND, stop=stop)
        await in_ledger(server, "bought", lambda seen: seen.strategies[id_].position)
        await asyncio.sleep(1)
        for price in ("150", "200", "190"):
            await feed.show(price, price)
            await asyncio.sleep(1.5)
        await shift.takeover()
        await asyncio.sleep(2)
        await feed.show("179", "179")
        seen = await in_ledger(server, "executed", lambda seen: seen.of(id_, StopLossExecuted))
        [triggered] = seen.of(id_, StopLossTriggered)
        assert isinstance(triggered, StopLossTriggered)
        assert triggered.trigger_price == Decimal(180)
        await shift.end()

    virtual.run(work())


def test_a_log_made_anew_is_noticed_and_nothing_of_the_old_one_is_worked() -> None:
    async def work() -> None:
        server = MemoryServer()
        feed = Feed(server, 3)
        shift = Shift(server, 1, rough=False, hire=buys_when_flat)
        await feed.show("100", "100")
        await shift.orders.start()
        worker = await shift.worker()
        await worker.make(TREND)
        await in_ledger(server, "settled", lambda seen: seen.settled())
        server.recreate()
        other = Worker(server, shift.counter)
        await other.start(runner=False)
        id_ = await other.make(TREND)
        feeding = asyncio.create_task(feed.run())
        seen = await in_ledger(server, "bought", lambda seen: seen.strategies[id_].trades)
        assert list(seen.strategies) == [id_]
        feeding.cancel()
        await other.kill()
        await shift.end()

    virtual.run(work())


async def drifting(feed: Feed, chance: random.Random, end: float) -> None:
    """A market that wanders for a while, then falls and stays there, deep enough to fill all."""
    price = Decimal(100)
    loop = asyncio.get_running_loop()
    while loop.time() < end:
        price = max(price + chance.randrange(-3, 4), Decimal(50))
        await feed.show(str(price), str(price + 1), str(chance.randrange(0, 40)))
        await asyncio.sleep(0.2)
    while True:
        await feed.show(str(FALLEN - 1), str(FALLEN), "1000")
        await asyncio.sleep(0.2)


async def a_bad_day(seed: int, *, rough: bool, hire: Hire, together: bool) -> Ledger:
    """Strategies of all kinds, with and without stop-losses; runners killed at random, or two at
    once; the network bad. What the log says when all has settled."""
    chance, server = random.Random(seed), MemoryServer()
    shift = Shift(server, seed, rough=rough, hire=hire)
    feed = Feed(server, seed)
    await feed.show("100", "101")
    feeding = asyncio.create_task(drifting(feed, chance, FALLEN_AFTER))
    await shift.orders.start()
    worker = await shift.worker()
    if together:
        await shift.worker()
    for number in range(6):
        stop = stop_loss("4", chance.choice(list(StopLossKind))) if number % 3 else None
        await worker.make(chance.choice(RULES), quantity=str(chance.randrange(1, 30)), stop=stop)
    while asyncio.get_running_loop().time() < FALLEN_AFTER:
        await asyncio.sleep(chance.uniform(1, 12))
        worker = await shift.takeover()
    seen = await in_ledger(
        server, "settled", lambda seen: seen.settled() and quiet(seen), every=2, looks=60
    )
    feeding.cancel()
    await shift.end()
    return seen


def quiet(seen: Ledger) -> bool:
    """Whether no stop-loss is due at the price that the market has fallen to."""
    return not any(
        one.stop_loss is not None
        and one.entry_price is not None
        and one.status is StrategyStatus.STARTED
        and one.position * (FALLEN - one.entry_price) <= abs(one.position) * -one.entry_price / 25
        for one in seen.strategies.values()
    )


@pytest.mark.parametrize("seed", range(12))
def test_whoever_dies_nothing_is_placed_twice_and_every_stop_loss_fires_once(seed: int) -> None:
    seen = virtual.run(a_bad_day(seed, rough=False, hire=RuleMaker, together=False))
    seen.check()
    assert any(seen.of(id_, StopLossExecuted) for id_ in seen.strategies)


@pytest.mark.parametrize("seed", range(12))
def test_the_same_on_a_bad_network(seed: int) -> None:
    virtual.run(a_bad_day(seed, rough=True, hire=RuleMaker, together=False)).check()


@pytest.mark.parametrize("seed", range(8))
def test_the_same_with_two_runners_at_once(seed: int) -> None:
    """A process that was frozen may believe for a moment that it still holds the lease."""
    virtual.run(a_bad_day(seed, rough=True, hire=RuleMaker, together=True)).check()


@pytest.mark.parametrize("seed", range(12))
def test_one_purchase_and_its_stop_loss_is_one_purchase_and_one_sale(seed: int) -> None:
    seen = virtual.run(a_bad_day(seed, rough=True, hire=buys_when_flat, together=False))
    seen.check()
    for id_, strategy in seen.strategies.items():
        guarded = strategy.stop_loss is not None
        assert len(seen.placed[id_]) == 1 + guarded
        assert (
            len(seen.of(id_, StopLossTriggered)) == len(seen.of(id_, StopLossExecuted)) == guarded
        )
        assert (strategy.position == 0) == guarded


Break = tuple[ModuleType, str, str, tuple[tuple[ModuleType, str], ...]]
"""A module, what is broken in it, and the modules and names that get the broken copy."""
