"""Runs with random faults store the same items as runs without, no item twice, with exact counts.

A `FaultScenario` sends overlapping loads and commands for configurations to one or two processes
that are killed and restarted. The broken services at the end show which errors these tests find.
"""

import asyncio
import random
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import pytest
from msgspec.structs import replace

from tapewire.events import Configuration, ConfigurationDeleted, Item
from tapewire.log import CommandRejected, EventDraft, new_id
from tapewire.log.memory import Faults, MemoryServer
from tapewire.runtime import RequestContext
from tapewire.runtime.contracts.insights import NewItem
from tapewire.views import MetricsView
from tapewire_services.insights import item_writer
from tapewire_services.insights.domain.configurations import CONFIGURATION_DECIDER, Deleted
from tapewire_services.insights.item_writer import ItemWriter, StoredItem
from tests.harness import insights_process, virtual_time
from tests.harness.insights_process import (
    InsightsProcess,
    LogSummary,
    fold_metrics,
    read_log_summary,
)
from tests.harness.item_builders import START, new_item

pytestmark = pytest.mark.virtual_time

ITEM_COUNT = 120
LOAD_COUNT = 14
CONFIGURATION_COUNT = 5
DETECTING_SEEDS = range(8, 32)
"""Seeds within which a broken service must be found. The first finds all."""


class FaultScenario:
    """Sends the requests, and records the replies."""

    def __init__(
        self, seed: int, server: MemoryServer, *, has_faults: bool, processes: int
    ) -> None:
        self._seed = seed
        self._server = server
        self._has_faults = has_faults
        self._rng = random.Random(seed)
        self._started_count = 0
        self._process_count = processes
        self.live_processes: list[InsightsProcess] = []
        self.added_count = 0
        self.configurations: dict[str, Configuration | None] = {}

    async def run(self, kills: int) -> None:
        for _ in range(self._process_count):
            await self._start()
        work = [*self._plan_loads(), *self._plan_configurations()]
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
            for _ in range(kills):
                group.create_task(self._kill(self._rng.uniform(1, 40)))
        for process in self.live_processes:
            process.raise_task_errors()
            await process.kill()

    async def _start(self) -> None:
        self._started_count += 1
        faults = Faults.rough(self._seed * 100 + self._started_count) if self._has_faults else None
        self.live_processes.append(await InsightsProcess(self._server, faults).start())

    async def _kill(self, second: float) -> None:
        await asyncio.sleep(second)
        victim = self.live_processes.pop(0)
        await victim.kill()
        await self._start()

    async def _retry_on_live_process(self, ask: Any) -> Any:
        """Send a request to a live process, and to another one if that process is killed."""
        while True:
            try:
                async with asyncio.timeout(5):
                    return await ask(self._rng.choice(self.live_processes))
            except (TimeoutError, IndexError):
                await asyncio.sleep(0.5)

    def _plan_loads(self) -> list[Any]:
        """Plan overlapping loads: they add the same items at the same time."""
        plan = []
        for number in range(LOAD_COUNT):
            start = self._rng.uniform(0, 45)
            first = self._rng.randrange(ITEM_COUNT - 30) if number else 0
            last = first + self._rng.randint(1, 40)
            rows = [(0, 40), (35, 90), (80, ITEM_COUNT)][number] if number < 3 else (first, last)
            items = [_new_item(one) for one in range(rows[0], min(rows[1], ITEM_COUNT))]
            self._rng.shuffle(items)
            plan.append(self._load(start, items, f"load {self._seed} {number}"))
        return plan

    async def _load(self, start: float, items: Sequence[NewItem], command: str) -> None:
        await asyncio.sleep(start)
        reply = await self._retry_on_live_process(lambda one: one.load(*items, command_id=command))
        assert reply.added + reply.there == len(items)
        self.added_count += reply.added

    def _plan_configurations(self) -> list[Any]:
        return [self._configure(number) for number in range(CONFIGURATION_COUNT)]

    async def _configure(self, number: int) -> None:
        name, rng = f"c {self._seed} {number}", random.Random(self._seed + number)
        configuration = await self._retry_on_live_process(
            lambda one: one.create("Made", f"{name} create")
        )
        for turn in range(4):
            await asyncio.sleep(rng.uniform(0, 8))
            change = partial(_rename, configuration.id, f"Turn {turn}", f"{name} {turn}")
            configuration = await self._retry_on_live_process(change)
            assert configuration.name == f"Turn {turn}"
        if number % 2:
            await self._retry_on_live_process(
                lambda one: one.delete(configuration.id, f"{name} delete")
            )
        self.configurations[configuration.id] = None if number % 2 else configuration


async def _rename(id_: str, name: str, command: str, process: InsightsProcess) -> Configuration:
    return await process.change(id_, command, name=name)


def _new_item(number: int) -> NewItem:
    mood = ("great win", "terrible loss", "meeting")[number % 3]
    return new_item(f"Story {number}: a {mood}", tags=(f"t{number % 7}", "all"))


def run_fault_scenario(
    seed: int, *, has_faults: bool = True, processes: int = 1, kills: int = 2
) -> LogSummary:
    """Run a scenario, and check the invariants of every run."""

    async def work() -> LogSummary:
        server = MemoryServer()
        day = FaultScenario(seed, server, has_faults=has_faults, processes=processes)
        await day.run(kills)
        seen = await read_log_summary(server)
        seen.check_no_duplicates()
        assert day.added_count == len(seen.items) == ITEM_COUNT
        fresh = await InsightsProcess(server).start()
        reply = await fresh.metrics()
        whole = await fold_metrics(server)
        assert reply.metrics == whole.metrics(reply.metrics.timestamp)
        assert reply.metrics.total == ITEM_COUNT
        newest = await fresh.items(limit=200)
        assert newest.items == seen.items
        for id_, expected in day.configurations.items():
            last = seen.configurations[id_]
            assert isinstance(last, ConfigurationDeleted) is (expected is None)
            assert expected is None or last.configuration == expected
        await fresh.kill()
        return seen

    return virtual_time.run(work(), seconds=7200)


def items_by_id(seen: LogSummary) -> dict[str, Item]:
    """Return the items by id, without their times, which differ between runs."""
    return {one.id: replace(one, timestamp=START) for one in seen.items}


@cache
def undisturbed_items() -> dict[str, Item]:
    """The items without any fault. Every seed loads the same ones, in another order."""
    return items_by_id(run_fault_scenario(0, has_faults=False, kills=0))


@pytest.mark.parametrize("seed", range(8))
def test_one_process_through_kills_and_random_faults_stores_the_same_items(seed: int) -> None:
    assert items_by_id(run_fault_scenario(seed)) == undisturbed_items()


@pytest.mark.parametrize("seed", range(100, 108))
def test_two_processes_through_kills_and_random_faults_store_the_same_items(seed: int) -> None:
    found = items_by_id(run_fault_scenario(seed, processes=2, kills=3))
    assert found == undisturbed_items()


def every_answer_lost() -> None:
    """Stored items are found again and counted as added by the same command."""

    async def work() -> None:
        server = MemoryServer()
        process = InsightsProcess(server, Faults(seed=1, lost_ack_rate=1.0))
        items = [_new_item(one) for one in range(40)]
        for command, added in (("one", 40), ("one", 40), ("other", 0)):
            reply = await process.load(*items, command_id=command)
            assert (reply.added, reply.there) == (added, 40 - added)
        created = await process.create()
        assert (await process.change(created.id, name="New")).name == "New"
        assert (await process.delete(created.id)).name == "New"
        seen = await read_log_summary(server)
        seen.check_no_duplicates()
        assert len(seen.stored) == 43

    virtual_time.run(work())


def test_requests_succeed_if_every_acknowledgement_is_lost() -> None:
    every_answer_lost()


def test_views_ignore_each_others_checkpoints(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without usable checkpoints the views are slower, but correct."""
    monkeypatch.setattr(MetricsView, "name", "items-history")
    run_fault_scenario(0, processes=2)


async def test_a_recreated_log_starts_with_empty_views() -> None:
    server = MemoryServer()
    process = await InsightsProcess(server).start()
    for first in range(0, ITEM_COUNT, 40):
        await process.load(*[_new_item(one) for one in range(first, first + 40)])
    await asyncio.sleep(5)
    old = await process.items(limit=1)
    server.recreate()
    reply = await process.metrics()
    assert (reply.metrics.total, reply.as_of) == (0, 0)
    assert reply.epoch != old.epoch
    assert (await process.items(since=old.as_of, epoch=old.epoch)).reset
    assert (await process.load(_new_item(1))).added == 1
    assert (await process.metrics()).metrics.total == 1
    process.raise_task_errors()
    await process.kill()


async def _finds_no_owner(of: ItemWriter, id_: str, context: RequestContext) -> StoredItem | None:
    found = await _find(of, id_, context)
    return found and StoredItem(found.item, created=False)


_find = ItemWriter._find_stored
_draft = item_writer._build_draft
_decode = MetricsView.decode


def _expects_nothing(event: Any, context: RequestContext) -> EventDraft:
    draft = _draft(event, context)
    return replace(draft, expected_sequence=None, metadata=replace(draft.metadata, id=new_id()))


def _forgets_tags(data: bytes) -> MetricsView:
    view = _decode(data)
    view._tag_counts = {}
    return view


def _forgets_who_deleted(state: Any, event: Any) -> Any:
    after = CONFIGURATION_DECIDER.evolve(state, event)
    return replace(after, command_id="") if isinstance(after, Deleted) else after


@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [
        (item_writer, "_build_draft", _expects_nothing),
        (ItemWriter, "_find_stored", _finds_no_owner),
        (MetricsView, "decode", _forgets_tags),
        (
            insights_process,
            "CONFIGURATION_DECIDER",
            replace(CONFIGURATION_DECIDER, evolve=_forgets_who_deleted),
        ),
    ],
)
def test_every_broken_service_is_found(
    owner: object, name: str, broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, broken)

    def differs(seed: int) -> bool:
        try:
            every_answer_lost()
            run_fault_scenario(seed, processes=2)
        except (AssertionError, CommandRejected):
            return True
        except ExceptionGroup as group:
            if group.subgroup((AssertionError, CommandRejected)) is None:
                raise
            return True
        return False

    assert any(differs(seed) for seed in DETECTING_SEEDS)
