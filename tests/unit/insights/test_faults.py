"""Bad days, by seed: the same tape as on a good one, nothing twice, every count true.

A `Day` is what callers do: loads that overlap, single items, configurations, asked of one or two
processes at once that die and come back. The broken services at the end show what is found out.
"""

import asyncio
import random
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from services.insights import intake
from services.insights.domain.configurations import CONFIGURATIONS, Deleted
from services.insights.intake import Intake, Stored
from tapewire.events import Configuration, ConfigurationDeleted, Item
from tapewire.log import Draft, Refusal, new_id
from tapewire.log.memory import Faults, MemoryServer
from tapewire.runtime import Context
from tapewire.runtime.contracts.insights import NewItem
from tapewire.views import MetricsView
from tests.unit.insights import house
from tests.unit.insights.house import Process, Tally, folded, tally
from tests.unit.insights.spec import START, new
from tests.unit.orders import virtual

STORIES = 120
LOADS = 14
DASHBOARDS = 5


class Day:
    """What is asked, and what was answered."""

    def __init__(self, seed: int, server: MemoryServer, *, rough: bool, processes: int) -> None:
        self._seed = seed
        self._server = server
        self._rough = rough
        self._chance = random.Random(seed)
        self._started = 0
        self._processes = processes
        self.living: list[Process] = []
        self.added = 0
        self.configurations: dict[str, Configuration | None] = {}

    async def play(self, kills: int) -> None:
        for _ in range(self._processes):
            await self._start()
        work = [*self._loads(), *self._configuring()]
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
            for _ in range(kills):
                group.create_task(self._kill(self._chance.uniform(1, 40)))
        for process in self.living:
            process.check()
            await process.kill()

    async def _start(self) -> None:
        self._started += 1
        faults = Faults.rough(self._seed * 100 + self._started) if self._rough else None
        self.living.append(await Process(self._server, faults).start())

    async def _kill(self, second: float) -> None:
        await asyncio.sleep(second)
        victim = self.living.pop(0)
        await victim.kill()
        await self._start()

    async def _ask(self, ask: Any) -> Any:
        """Of a process that lives; of another one when that died with the question."""
        while True:
            try:
                async with asyncio.timeout(5):
                    return await ask(self._chance.choice(self.living))
            except (TimeoutError, IndexError):
                await asyncio.sleep(0.5)

    def _loads(self) -> list[Any]:
        """Overlapping ones, so that the same items are added at the same time."""
        plan = []
        for number in range(LOADS):
            start = self._chance.uniform(0, 45)
            first = self._chance.randrange(STORIES - 30) if number else 0
            last = first + self._chance.randint(1, 40)
            rows = [(0, 40), (35, 90), (80, STORIES)][number] if number < 3 else (first, last)
            items = [_story(one) for one in range(rows[0], min(rows[1], STORIES))]
            self._chance.shuffle(items)
            plan.append(self._load(start, items, f"load {self._seed} {number}"))
        return plan

    async def _load(self, start: float, items: Sequence[NewItem], command: str) -> None:
        await asyncio.sleep(start)
        reply = await self._ask(lambda one: one.load(*items, command_id=command))
        assert reply.added + reply.there == len(items)
        self.added += reply.added

    def _configuring(self) -> list[Any]:
        return [self._configure(number) for number in range(DASHBOARDS)]

    async def _configure(self, number: int) -> None:
        name, chance = f"c {self._seed} {number}", random.Random(self._seed + number)
        kept = await self._ask(lambda one: one.create("Made", f"{name} create"))
        for turn in range(4):
            await asyncio.sleep(chance.uniform(0, 8))
            change = partial(_rename, kept.id, f"Turn {turn}", f"{name} {turn}")
            kept = await self._ask(change)
            assert kept.name == f"Turn {turn}"
        if number % 2:
            await self._ask(lambda one: one.delete(kept.id, f"{name} delete"))
        self.configurations[kept.id] = None if number % 2 else kept


async def _rename(id_: str, name: str, command: str, process: Process) -> Configuration:
    return await process.change(id_, command, name=name)


def _story(number: int) -> NewItem:
    mood = ("great win", "terrible loss", "meeting")[number % 3]
    return new(f"Story {number}: a {mood}", tags=(f"t{number % 7}", "all"))


def live(seed: int, *, rough: bool = True, processes: int = 1, kills: int = 2) -> Tally:
    """A day, and what is true of every day."""

    async def work() -> Tally:
        server = MemoryServer()
        day = Day(seed, server, rough=rough, processes=processes)
        await day.play(kills)
        seen = await tally(server)
        seen.check()
        assert day.added == len(seen.items) == STORIES
        fresh = await Process(server).start()
        reply = await fresh.metrics()
        whole = await folded(server)
        assert reply.metrics == whole.metrics(reply.metrics.timestamp)
        assert reply.metrics.total == STORIES
        newest = await fresh.items(limit=200)
        assert newest.items == seen.items
        for id_, kept in day.configurations.items():
            last = seen.configurations[id_]
            assert isinstance(last, ConfigurationDeleted) is (kept is None)
            assert kept is None or last.configuration == kept
        await fresh.kill()
        return seen

    return virtual.run(work(), seconds=7200)


def meaning(seen: Tally) -> dict[str, Item]:
    """What the items say; when they came is another thing each day."""
    return {one.id: replace(one, timestamp=START) for one in seen.items}


@pytest.mark.parametrize("seed", range(8))
def test_one_process_that_dies_and_comes_back_on_a_rough_network(seed: int) -> None:
    assert meaning(live(seed)) == meaning(live(seed, rough=False, kills=0))


@pytest.mark.parametrize("seed", range(100, 108))
def test_two_that_answer_at_once_and_die_in_turn_on_a_rough_network(seed: int) -> None:
    assert meaning(live(seed, processes=2, kills=3)) == meaning(live(seed, rough=False, kills=0))


def every_answer_lost() -> None:
    """What was stored is found again, and counted as this command's own."""

    async def work() -> None:
        server = MemoryServer()
        process = Process(server, Faults(seed=1, lost_ack=1.0))
        stories = [_story(one) for one in range(40)]
        for command, added in (("one", 40), ("one", 40), ("other", 0)):
            reply = await process.load(*stories, command_id=command)
            assert (reply.added, reply.there) == (added, 40 - added)
        kept = await process.create()
        assert (await process.change(kept.id, name="New")).name == "New"
        assert (await process.delete(kept.id)).name == "New"
        seen = await tally(server)
        seen.check()
        assert len(seen.stored) == 43

    virtual.run(work())


def test_every_answer_lost() -> None:
    every_answer_lost()


def test_views_that_read_each_others_checkpoints_pass_over_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slower, but never wrong."""
    monkeypatch.setattr(MetricsView, "name", "items")
    live(0, processes=2)


def test_a_log_made_anew_begins_anew() -> None:
    async def work() -> None:
        server = MemoryServer()
        process = await Process(server).start()
        for first in range(0, STORIES, 40):
            await process.load(*[_story(one) for one in range(first, first + 40)])
        await asyncio.sleep(5)
        old = await process.items(limit=1)
        server.recreate()
        reply = await process.metrics()
        assert (reply.metrics.total, reply.as_of) == (0, 0)
        assert reply.epoch != old.epoch
        assert (await process.items(since=old.as_of, epoch=old.epoch)).reset
        assert (await process.load(_story(1))).added == 1
        assert (await process.metrics()).metrics.total == 1
        process.check()
        await process.kill()

    virtual.run(work())


async def _finds_no_owner(of: Intake, id_: str, context: Context) -> Stored | None:
    found = await _find(of, id_, context)
    return found and Stored(found.item, created=False)


_find = Intake._find
_draft = intake._draft
_decode = MetricsView.decode


def _expects_nothing(event: Any, context: Context) -> Draft:
    draft = _draft(event, context)
    return replace(draft, expect=None, meta=replace(draft.meta, id=new_id()))


def _forgets_tags(data: bytes) -> MetricsView:
    view = _decode(data)
    view._tags = {}
    return view


def _forgets_who_deleted(state: Any, event: Any) -> Any:
    after = CONFIGURATIONS.evolve(state, event)
    return replace(after, by="") if isinstance(after, Deleted) else after


@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [
        (intake, "_draft", _expects_nothing),
        (Intake, "_find", _finds_no_owner),
        (MetricsView, "decode", _forgets_tags),
        (house, "CONFIGURATIONS", replace(CONFIGURATIONS, evolve=_forgets_who_deleted)),
    ],
)
def test_a_broken_service_is_found_out(
    owner: object, name: str, broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, broken)

    def differs(seed: int) -> bool:
        try:
            every_answer_lost()
            live(seed, processes=2)
        except (AssertionError, Refusal):
            return True
        except ExceptionGroup as group:
            if group.subgroup((AssertionError, Refusal)) is None:
                raise
            return True
        return False

    assert any(differs(seed) for seed in range(6))
