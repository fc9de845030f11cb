"""Random scenarios of the alerts service by seed, and the comparison of two runs.

A scenario has rounds. In each, the price moves to a new level and stays there, some rules are armed
again, and events of orders and strategies arrive. Meanwhile processes are killed and the network
fails. `assert_faults_change_nothing` compares every alert and notification with a run without
faults.
"""

import asyncio
import functools
import random
from collections.abc import Callable
from typing import Any

import msgspec

from tapewire.events import Event, RuleKind
from tapewire.log.memory import Faults, MemoryServer
from tapewire.runtime.contracts.alerts import CreateRule
from tapewire_services.alerts.price_monitor import SAVE_INTERVAL_SECONDS
from tests.harness import virtual_time
from tests.harness.waiting import wait_until
from tests.unit.alerts.harness import (
    AlertsEnvironment,
    AlertsLogSummary,
    AlertsProcess,
    create_rule_request,
)
from tests.unit.alerts.spec import (
    order_failed,
    order_filled,
    order_rejected,
    stop_loss_triggered,
    strategy_failed,
)

ROUND_COUNT = 5
PRICE_INTERVAL_SECONDS = 1.0
SETTLE_SECONDS = 2 * SAVE_INTERVAL_SECONDS
MAX_TAKEOVER_SECONDS = 4.0
MAX_TRIGGER_SECONDS = 120.0

EVENT_FACTORIES: list[tuple[Callable[[], Event], str]] = [
    (order_rejected, "orders"),
    (order_filled, "orders"),
    (order_failed, "orders"),
    (strategy_failed, "strategies"),
    (stop_loss_triggered, "strategies"),
]


class ScenarioPlan:
    """The content of a scenario, which follows from the seed."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.rules = [self._random_rule(rng) for _ in range(10)]
        self.prices = [str(rng.randrange(90, 111)) for _ in range(ROUND_COUNT)]
        self.events = [rng.choices(EVENT_FACTORIES, k=rng.randrange(9)) for _ in range(ROUND_COUNT)]
        self.rearmed_rule_numbers = [rng.sample(range(10), 5) for _ in range(ROUND_COUNT)]

    def _random_rule(self, rng: random.Random) -> CreateRule:
        kind = rng.choice(list(RuleKind))
        user = rng.choice(["alice", "bob"])
        if kind in (RuleKind.PRICE_ABOVE, RuleKind.PRICE_BELOW):
            return create_rule_request(kind, price=str(rng.randrange(92, 109)), user=user)
        if kind is RuleKind.PERCENT_MOVE:
            percent = str(rng.randrange(2, 20))
            return create_rule_request(kind, percent=percent, window_seconds=86_400, user=user)
        return create_rule_request(kind, symbol=rng.choice([None, "IBM", "SPY"]), user=user)


class AlertsProcesses:
    """The processes of a scenario: one that holds the leases, and perhaps a standby."""

    def __init__(self, server: MemoryServer, seed: int, *, rough: bool, standby: bool) -> None:
        self._server = server
        self._seed = seed * 1000
        self._with_faults = rough
        self._with_standby = standby
        self.rng = random.Random(seed)
        self.running: list[AlertsProcess] = []

    async def start(self) -> None:
        self.running = [await self._start_process(holds_lease=True)]
        if self._with_standby:
            self.running.append(await self._start_process(holds_lease=False))

    async def kill_lease_holder(self) -> None:
        """Kill the lease holder; later the standby takes over, or another process starts."""
        await self.running.pop(0).kill()
        await asyncio.sleep(self.rng.uniform(0, MAX_TAKEOVER_SECONDS))
        if self.running:
            self.running[0].acquire_leases()
            self.running.append(await self._start_process(holds_lease=False))
        else:
            self.running = [await self._start_process(holds_lease=True)]

    async def settle(self) -> None:
        """Wait until the lease holder has had time to save its state, and has triggered the rules
        of all hits: on a bad network it tries for longer."""
        await asyncio.sleep(SETTLE_SECONDS)
        await wait_until(
            "the rules of all hits are triggered",
            lambda: self.running[0].price_monitor.pending_count == 0,
            timeout_seconds=MAX_TRIGGER_SECONDS,
        )

    async def stop(self) -> None:
        for process in self.running:
            process.raise_task_errors()
            await process.kill()

    async def _start_process(self, *, holds_lease: bool) -> AlertsProcess:
        self._seed += 1
        faults = Faults.rough(self._seed) if self._with_faults else None
        return await AlertsProcess(self._server, faults).start(holds_lease=holds_lease)


async def run_plan(
    plan: ScenarioPlan,
    processes: AlertsProcesses,
    environment: AlertsEnvironment,
    *,
    kill_count: int,
) -> AlertsLogSummary:
    """Run the plan. Return what the log contains at its end."""
    await environment.publish_price("100")
    await processes.start()
    price = ["100"]
    feed = asyncio.create_task(_publish_prices(environment, price))
    ids = []
    for number, rule in enumerate(plan.rules):
        made = await processes.running[-1].create_rule(rule, f"create-{number}")
        ids.append(made.rule_id)
    await processes.settle()
    for round_ in range(ROUND_COUNT):
        price[0] = plan.prices[round_]
        await _kill_lease_holders(processes, kill_count if round_ % 2 == 0 else 0)
        await processes.settle()
        for number in plan.rearmed_rule_numbers[round_]:
            user = plan.rules[number].user_id
            await processes.running[0].arm_rule(ids[number], f"arm-{round_}-{number}", user)
        killing = asyncio.create_task(
            _kill_lease_holders(processes, kill_count if round_ % 2 == 1 else 0)
        )
        for make, domain in plan.events[round_]:
            for user in ("alice", "bob"):
                await environment.append_event(make(), user, domain)
            await asyncio.sleep(processes.rng.choice([0, 0.01, 1]))
        await killing
        await processes.settle()
    feed.cancel()
    await processes.stop()
    await environment.assert_verified()
    return await environment.read_log_summary()


async def _publish_prices(environment: AlertsEnvironment, price: list[str]) -> None:
    while True:
        await environment.publish_price(price[0])
        await asyncio.sleep(PRICE_INTERVAL_SECONDS)


async def _kill_lease_holders(processes: AlertsProcesses, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(processes.rng.uniform(0, 3))
        await processes.kill_lease_holder()


def run_random_scenario(
    seed: int, *, rough: bool = False, standby: bool = False, kills: int = 0
) -> AlertsLogSummary:
    server = MemoryServer()
    work = run_plan(
        ScenarioPlan(seed),
        AlertsProcesses(server, seed, rough=rough, standby=standby),
        AlertsEnvironment(server),
        kill_count=kills,
    )
    return virtual_time.run(work, seconds=7200)


@functools.cache
def run_without_faults(seed: int) -> AlertsLogSummary:
    """The scenario of `seed` on a good network, with which runs with faults are compared."""
    return run_random_scenario(seed)


def alert_facts(summary: AlertsLogSummary) -> list[tuple[str, str, str]]:
    return sorted((one.alert_id, one.level.value, one.message) for one in summary.alerts)


def notification_facts(summary: AlertsLogSummary) -> list[bytes]:
    """The notifications without their ids and times."""
    facts = [(one.type, one.title, one.message, one.payload) for one in summary.notifications]
    return sorted(msgspec.json.encode(one, order="sorted") for one in facts)


def assert_faults_change_nothing(seed: int, **faults: Any) -> int:
    """Compare a run with `faults` with one without. Return the number of alerts."""
    good, bad = run_without_faults(seed), run_random_scenario(seed, **faults)
    assert alert_facts(bad) == alert_facts(good)
    assert notification_facts(bad) == notification_facts(good)
    return len(good.alerts)
