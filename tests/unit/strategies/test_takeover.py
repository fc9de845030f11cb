"""Takeovers, two runners at once, and random faults by seed: nothing happens twice."""

import asyncio
import random
from decimal import Decimal

import pytest

from tapewire.events import (
    Breakout,
    MeanReversion,
    MovingAverageCrossover,
    StopLossExecuted,
    StopLossKind,
    StopLossTriggered,
    StrategyRule,
    StrategyStatus,
)
from tapewire.log.memory import Faults, MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire_services.strategies.decision_maker import DecisionMakerFactory, RuleDecisionMaker
from tests.harness import virtual_time
from tests.harness.orders_process import OrdersProcess, QuoteSimulator
from tests.harness.strategies_process import (
    StrategiesLogSummary,
    StrategiesProcess,
    UnreliableOrderClient,
    make_buy_when_flat,
    wait_for_strategies_log,
)
from tests.harness.verification import find_differences
from tests.unit.strategies.spec import make_stop_loss

pytestmark = pytest.mark.virtual_time

RULES: list[StrategyRule] = [
    MovingAverageCrossover(fast=2, slow=5),
    Breakout(window=4),
    MeanReversion(window=5, deviations=Decimal("1.5")),
]
TREND = RULES[0]
CRASH_PRICE = Decimal(11)
CRASH_AFTER_SECONDS = 20.0
"""The price falls to `CRASH_PRICE` at this time and stays there."""


class ProcessSuccession:
    """Processes that run the runner one after the other; each may be killed at any moment."""

    def __init__(
        self,
        server: MemoryServer,
        seed: int,
        *,
        with_faults: bool,
        make_decision_maker: DecisionMakerFactory,
    ) -> None:
        self._server = server
        self._rng = random.Random(seed)
        self._seed = seed
        self._with_faults = with_faults
        self._make_decision_maker = make_decision_maker
        self._process_number = 0
        self.orders_process = OrdersProcess(server, self._next_faults())
        self.order_client = UnreliableOrderClient(
            self.orders_process, loss_rate=0.2 if with_faults else 0.0, seed=seed
        )
        self.running: list[StrategiesProcess] = []

    def _next_faults(self) -> Faults | None:
        self._process_number += 1
        return Faults.rough(self._seed * 100 + self._process_number) if self._with_faults else None

    async def start_process(self) -> StrategiesProcess:
        """Start another process with a runner."""
        process = StrategiesProcess(
            self._server, self.order_client, self._next_faults(), self._make_decision_maker
        )
        self.running.append(process)
        return await process.start()

    async def fail_over(self) -> StrategiesProcess:
        """Kill the latest process and start another a little later."""
        await self.running.pop().kill()
        await asyncio.sleep(self._rng.uniform(0, 2.5))
        return await self.start_process()

    async def stop(self) -> None:
        for process in self.running:
            process.raise_task_errors()
            await process.kill()
        await self.orders_process.kill()


async def test_the_next_runner_places_an_order_that_was_begun_and_not_placed() -> None:
    server = MemoryServer()
    feed = QuoteSimulator(server)
    await feed.publish_quote("100", "100")
    succession = ProcessSuccession(
        server, 1, with_faults=False, make_decision_maker=make_buy_when_flat
    )
    await succession.orders_process.start()
    succession.order_client.is_open = False
    process = await succession.start_process()
    id_ = await process.create_strategy(TREND)
    seen = await wait_for_strategies_log(
        server, "signaled", lambda seen: seen.strategies[id_].order
    )
    assert seen.placed_orders_by_strategy[id_] == []
    await succession.running.pop().kill()
    succession.order_client.is_open = True
    await succession.start_process()
    await asyncio.sleep(1)
    await feed.publish_quote("101", "101")
    seen = await wait_for_strategies_log(server, "settled", lambda seen: seen.is_settled())
    seen.assert_consistent()
    assert seen.describe_events(id_) == ["created", "started", "signaled", "traded buy 10"]
    await succession.stop()


async def test_a_trailing_stop_loss_keeps_its_best_price_after_a_takeover() -> None:
    server = MemoryServer()
    feed = QuoteSimulator(server)
    await feed.publish_quote("100", "100")
    succession = ProcessSuccession(
        server, 1, with_faults=False, make_decision_maker=make_buy_when_flat
    )
    await succession.orders_process.start()
    process = await succession.start_process()
    stop = make_stop_loss("10", StopLossKind.TRAILING)
    id_ = await process.create_strategy(TREND, stop_loss=stop)
    await wait_for_strategies_log(server, "bought", lambda seen: seen.strategies[id_].position)
    await asyncio.sleep(1)
    for price in ("150", "200", "190"):
        await feed.publish_quote(price, price)
        await asyncio.sleep(1.5)
    await succession.fail_over()
    await asyncio.sleep(2)
    await feed.publish_quote("179", "179")
    seen = await wait_for_strategies_log(
        server, "executed", lambda seen: seen.events_of_type(id_, StopLossExecuted)
    )
    [triggered] = seen.events_of_type(id_, StopLossTriggered)
    assert isinstance(triggered, StopLossTriggered)
    assert triggered.trigger_price == Decimal(180)
    await succession.stop()


async def test_a_recreated_log_stops_the_strategies_of_the_old_one() -> None:
    server = MemoryServer()
    feed = QuoteSimulator(server, 3)
    succession = ProcessSuccession(
        server, 1, with_faults=False, make_decision_maker=make_buy_when_flat
    )
    await feed.publish_quote("100", "100")
    await succession.orders_process.start()
    process = await succession.start_process()
    await process.create_strategy(TREND)
    await wait_for_strategies_log(server, "settled", lambda seen: seen.is_settled())
    server.recreate()
    other = StrategiesProcess(server, succession.order_client)
    await other.start(with_runner=False)
    id_ = await other.create_strategy(TREND)
    feeding = asyncio.create_task(feed.run())
    seen = await wait_for_strategies_log(server, "bought", lambda seen: seen.strategies[id_].trades)
    assert list(seen.strategies) == [id_]
    feeding.cancel()
    await other.kill()
    await succession.stop()


async def publish_random_walk(feed: QuoteSimulator, rng: random.Random, end: float) -> None:
    """Publish a random walk until `end`, then a low price with enough size to fill every order."""
    price = Decimal(100)
    loop = asyncio.get_running_loop()
    while loop.time() < end:
        price = max(price + rng.randrange(-3, 4), Decimal(50))
        await feed.publish_quote(str(price), str(price + 1), str(rng.randrange(0, 40)))
        await asyncio.sleep(0.2)
    while True:
        await feed.publish_quote(str(CRASH_PRICE - 1), str(CRASH_PRICE), "1000")
        await asyncio.sleep(0.2)


async def run_with_random_faults(
    seed: int, *, rough: bool, make_decision_maker: DecisionMakerFactory, together: bool
) -> StrategiesLogSummary:
    """Run strategies of all kinds, with and without stop-losses, and kill their runners at random.
    Return what the log contains when all is settled.

    Args:
        rough: use a bad network.
        together: run two runners at once.
    """
    rng, server = random.Random(seed), MemoryServer()
    succession = ProcessSuccession(
        server, seed, with_faults=rough, make_decision_maker=make_decision_maker
    )
    feed = QuoteSimulator(server, seed)
    await feed.publish_quote("100", "101")
    feeding = asyncio.create_task(publish_random_walk(feed, rng, CRASH_AFTER_SECONDS))
    await succession.orders_process.start()
    process = await succession.start_process()
    if together:
        await succession.start_process()
    for number in range(6):
        stop = make_stop_loss("4", rng.choice(list(StopLossKind))) if number % 3 else None
        await process.create_strategy(  # whose positions must not be netted
            rng.choice(RULES),
            quantity=str(rng.randrange(1, 30)),
            stop_loss=stop,
            user=f"user-{number}",
        )
    while asyncio.get_running_loop().time() < CRASH_AFTER_SECONDS:
        await asyncio.sleep(rng.uniform(0.5, 6))
        process = await succession.fail_over()
    seen = await wait_for_strategies_log(
        server,
        "settled",
        lambda seen: seen.is_settled() and is_quiet(seen),
        poll_seconds=2,
        max_polls=60,
    )
    feeding.cancel()
    await succession.stop()
    differences, _ = await find_differences(
        MemoryEventLog(server), MemoryLatestValueStore(server, stream="VIEWS", prefix="view")
    )
    assert differences == []
    return seen


def is_quiet(summary: StrategiesLogSummary) -> bool:
    """Whether no stop-loss is due at `CRASH_PRICE`."""
    return not any(
        one.stop_loss is not None
        and one.entry_price is not None
        and one.status is StrategyStatus.STARTED
        and one.position * (CRASH_PRICE - one.entry_price)
        <= abs(one.position) * -one.entry_price / 25
        for one in summary.strategies.values()
    )


@pytest.mark.parametrize("seed", range(12))
def test_after_takeovers_no_order_is_placed_twice_and_each_stop_loss_triggers_once(
    seed: int,
) -> None:
    seen = virtual_time.run(
        run_with_random_faults(
            seed, rough=False, make_decision_maker=RuleDecisionMaker, together=False
        )
    )
    seen.assert_consistent()
    assert any(seen.events_of_type(id_, StopLossExecuted) for id_ in seen.strategies)


@pytest.mark.parametrize("seed", range(12))
def test_after_takeovers_on_a_bad_network_no_order_is_placed_twice(seed: int) -> None:
    virtual_time.run(
        run_with_random_faults(
            seed, rough=True, make_decision_maker=RuleDecisionMaker, together=False
        )
    ).assert_consistent()


@pytest.mark.parametrize("seed", range(8))
def test_two_runners_at_once_place_no_order_twice(seed: int) -> None:
    """A process that was suspended may assume for a moment that it still holds the lease."""
    virtual_time.run(
        run_with_random_faults(
            seed, rough=True, make_decision_maker=RuleDecisionMaker, together=True
        )
    ).assert_consistent()


@pytest.mark.parametrize("seed", range(12))
def test_one_purchase_with_a_stop_loss_is_one_purchase_and_one_sale(seed: int) -> None:
    seen = virtual_time.run(
        run_with_random_faults(
            seed, rough=True, make_decision_maker=make_buy_when_flat, together=False
        )
    )
    seen.assert_consistent()
    for id_, strategy in seen.strategies.items():
        guarded = strategy.stop_loss is not None
        assert len(seen.placed_orders_by_strategy[id_]) == 1 + guarded
        assert (
            len(seen.events_of_type(id_, StopLossTriggered))
            == len(seen.events_of_type(id_, StopLossExecuted))
            == guarded
        )
        assert (strategy.position == 0) == guarded
