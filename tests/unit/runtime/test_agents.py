"""Announcing, and noticing silence, on the log in memory and in virtual time."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from tapewire.events import AgentState, AgentStatusChanged
from tapewire.log import Refused
from tapewire.log.memory import Faults, MemoryLog, MemoryServer, MemoryValues
from tapewire.runtime.agents import Announcer, Watch
from tapewire.runtime.agents.state import announce, decide, silence
from tests.unit.orders.virtual import run

BEAT, SILENCE = 15.0, 45.0
START = datetime(2026, 3, 2, tzinfo=UTC)
RUNNING, STOPPED = AgentState.RUNNING, AgentState.STOPPED


def status(state=RUNNING, detail=None, at=START):
    return AgentStatusChanged(
        service="orders", instance="a", state=state, detail=detail, timestamp=at
    )


class TestDeciding:
    def test_the_same_again_is_no_news(self) -> None:
        assert decide(status(), announce(status(at=START + timedelta(hours=1)))) == []

    def test_time_never_goes_back(self) -> None:
        [happening] = decide(status(), announce(status(STOPPED, at=START - timedelta(hours=1))))
        assert happening.event == status(STOPPED, at=START)
        assert str(happening.subject) == "ev._all.agents.orders%2Fa"

    def test_silence_is_true_of_what_was_seen_only(self) -> None:
        gone = silence(status(), "silent", START)
        assert [h.event for h in decide(status(), gone)] == [status(STOPPED, "silent")]
        assert decide(status(AgentState.DEGRADED, "slow"), gone) == []
        assert decide(status(STOPPED), silence(status(STOPPED), "silent", START)) == []
        assert decide(None, gone) == []


class World:
    """A server, and processes on it that come and go."""

    def __init__(self, faults=lambda _: None) -> None:
        self.server = MemoryServer()
        self._faults = faults
        self._tasks = {}
        self.refuses = False
        """Whether the store of heartbeats takes none."""
        self.unwritable = ""
        """The subject that nobody can append to."""

    def start(self, instance, *, clock=0.0, watches=True):
        """A process whose clock is `clock` seconds wrong."""
        faults = self._faults(instance)
        log = Log(self, faults)
        beats = Beats(self, faults)
        views = MemoryValues(self.server, faults, stream="VIEWS", prefix="view")

        def now():
            return START + timedelta(seconds=asyncio.get_running_loop().time() + clock)

        announcer = Announcer(log, beats, "orders", instance, every=BEAT, now=now)
        tasks = [asyncio.create_task(announcer.run())]
        if watches:
            watch = Watch(log, views, beats, silence=SILENCE, now=now)
            tasks.append(asyncio.create_task(watch.run()))
        self._tasks[instance] = (tasks, announcer, (log, beats, views))
        announcer.ready()
        return announcer

    async def kill(self, instance) -> None:
        tasks, _, connections = self._tasks.pop(instance)
        for connection in connections:
            connection.kill()
        await self._cancel(tasks)

    async def stop(self, instance) -> None:
        tasks, announcer, _ = self._tasks.pop(instance)
        await self._cancel(tasks)
        await announcer.stopped(None)

    async def end(self) -> None:
        for instance in [*self._tasks]:
            await self.kill(instance)

    async def _cancel(self, tasks) -> None:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    def beats(self):
        """Whose heartbeats are stored."""
        return sorted(self.server.values["MARKET/hb"])

    def told(self, instance):
        """The states of an instance, in order."""
        page = self.server.journal.page(
            f"ev._all.agents.orders%2F{instance}", after=0, limit=1000, max_bytes=1 << 20,
            upto=self.server.journal.last,
        )  # fmt: skip
        return [recorded.event.state.value for recorded in page.events]


class Beats(MemoryValues):
    """The heartbeats of a world, which may refuse them."""

    def __init__(self, world, faults) -> None:
        super().__init__(world.server, faults, prefix="hb")
        self._world = world

    async def put(self, key, data, *, ttl=None) -> None:
        if self._world.refuses:
            raise Refused("insufficient resources")
        await super().put(key, data, ttl=ttl)

    async def post(self, key, data) -> None:
        if not self._world.refuses:
            await super().post(key, data)


class Log(MemoryLog):
    """The log of a world, which may refuse what is appended to one subject."""

    def __init__(self, world, faults) -> None:
        super().__init__(world.server, faults)
        self._world = world

    async def append(self, drafts):
        if str(drafts[0].subject) == self._world.unwritable:
            raise Refused("never")
        return await super().append(drafts)


def play(story, faults=lambda _: None) -> None:
    async def whole() -> None:
        world = World(faults)
        await story(world)
        await world.end()

    run(whole())


def test_a_life_is_told_in_order_and_once() -> None:
    async def story(world) -> None:
        world.start("a")
        await asyncio.sleep(1000)
        await world.stop("a")
        assert world.told("a") == ["starting", "running", "stopped"]

    play(story)


def test_heartbeats_leave_the_journal_alone() -> None:
    async def story(world) -> None:
        world.start("a")
        world.start("b")
        await asyncio.sleep(1000)
        assert world.server.journal.last == 4

    play(story)


def test_a_killed_one_is_announced_by_another_and_in_time() -> None:
    async def story(world) -> None:
        world.start("a")
        world.start("b", watches=False)
        await asyncio.sleep(100)
        await world.kill("b")
        await asyncio.sleep(SILENCE - BEAT - 1)
        assert world.told("b") == ["starting", "running"], "it beat less than 45 s ago"
        await asyncio.sleep(BEAT + SILENCE / 6 + 3)
        assert world.told("b") == ["starting", "running", "stopped"]
        assert world.told("a") == ["starting", "running"]

    play(story)


def test_a_new_watch_gives_everybody_the_full_time() -> None:
    """Heartbeats are 44 s old when the watch of another process begins."""

    async def story(world) -> None:
        world.start("a", watches=False)
        await asyncio.sleep(30.5)
        await world.kill("a")
        await asyncio.sleep(44)
        world.start("b")
        await asyncio.sleep(SILENCE - 1)
        assert world.told("a") == ["starting", "running"]
        await asyncio.sleep(SILENCE / 3)
        assert world.told("a")[-1] == "stopped"

    play(story)


@pytest.mark.parametrize("seconds", [20, 44, 200])
def test_nobody_is_declared_dead_after_an_outage(seconds: int) -> None:
    async def story(world) -> None:
        world.start("a")
        world.start("b")
        await asyncio.sleep(100)
        world.server.outage(seconds)
        await asyncio.sleep(seconds + 300)
        assert "stopped" not in world.told("a") + world.told("b")

    play(story)


def test_clocks_that_differ_by_hours_kill_nobody() -> None:
    async def story(world) -> None:
        world.start("a", clock=-7200)
        world.start("b", clock=7200)
        await asyncio.sleep(500)
        assert world.told("a") == world.told("b") == ["starting", "running"]

    play(story)


def test_lost_values_kill_nobody() -> None:
    async def story(world) -> None:
        world.start("a")
        world.start("b")
        for _ in range(20):
            await asyncio.sleep(47)
            world.server.values.clear()
        assert "stopped" not in world.told("a") + world.told("b")

    play(story)


def test_a_log_made_anew_is_told_again() -> None:
    async def story(world) -> None:
        world.start("a")
        await asyncio.sleep(100)
        world.server.recreate()
        await asyncio.sleep(BEAT + 5)
        assert world.told("a") == ["running"]

    play(story)


def test_one_that_was_given_up_and_lives_says_so() -> None:
    """As after a SIGSTOP for longer than the silence."""

    async def story(world) -> None:
        world.start("a")
        frozen = world.start("b", watches=False)
        await asyncio.sleep(100)
        tasks = world._tasks["b"][0]
        await world._cancel(tasks)
        await asyncio.sleep(200)
        assert world.told("b")[-1] == "stopped"
        tasks[:] = [asyncio.create_task(frozen.run())]
        await asyncio.sleep(BEAT + 5)
        assert world.told("b") == ["starting", "running", "stopped", "running"]

    play(story)


def test_a_restart_under_the_same_name_is_no_death() -> None:
    async def story(world) -> None:
        world.start("a")
        world.start("b", watches=False)
        await asyncio.sleep(100)
        await world.kill("b")
        await asyncio.sleep(20)
        world.start("b", watches=False)
        await asyncio.sleep(300)
        assert world.told("b") == ["starting", "running", "starting", "running"]

    play(story)


def test_each_death_under_one_name_is_announced() -> None:
    """A container that crashes again has the name that it had. The watch remembered the first
    death, took the second for no news, and the instance was shown as running for ever."""

    async def story(world) -> None:
        world.start("a")
        for _ in range(3):
            world.start("b", watches=False)
            await asyncio.sleep(100)
            await world.kill("b")
            await asyncio.sleep(300)
        assert world.told("b") == ["starting", "running", "stopped"] * 3

    play(story)


def test_when_no_heartbeat_can_be_stored_nobody_is_declared_dead() -> None:
    """As when the server's memory is full: looks succeed and find nothing new."""

    async def story(world) -> None:
        world.start("a")
        world.start("b")
        await asyncio.sleep(100)
        world.refuses = True
        await asyncio.sleep(500)
        world.refuses = False
        await asyncio.sleep(500)
        assert world.told("a") == world.told("b") == ["starting", "running"]
        await world.kill("b")
        await asyncio.sleep(SILENCE + BEAT)
        assert world.told("b") == ["starting", "running", "stopped"]

    play(story)


def test_a_process_says_how_it_is_although_its_heartbeat_is_refused() -> None:
    async def story(world) -> None:
        world.refuses = True
        announcer = world.start("a")
        await asyncio.sleep(20)
        announcer.checks.append(lambda: "the feed is silent")
        await asyncio.sleep(BEAT + 1)
        assert world.told("a") == ["starting", "running", "degraded"]

    play(story)


def test_heartbeats_of_the_dead_are_forgotten() -> None:
    """Every host and pid is a key of its own, and each look reads them all."""

    async def story(world) -> None:
        world.start("a")
        for number in range(50):
            world.start(f"b{number}", watches=False)
            await asyncio.sleep(1)
            await world.kill(f"b{number}")
        await asyncio.sleep(1000)
        assert world.beats() == ["orders%2Fa"]

    play(story)


def test_one_word_that_cannot_be_said_keeps_back_no_other() -> None:
    async def story(world) -> None:
        world.start("a")
        for instance in ("b", "c"):
            world.start(instance, watches=False)
        await asyncio.sleep(100)
        for instance in ("b", "c"):
            await world.kill(instance)
        world.unwritable = "ev._all.agents.orders%2Fb"
        await asyncio.sleep(SILENCE + BEAT)
        assert world.told("c")[-1] == "stopped"
        world.unwritable = ""
        await asyncio.sleep(BEAT)
        assert world.told("b")[-1] == "stopped"

    play(story)


def test_a_check_degrades_and_a_lost_connection_is_told_afterwards() -> None:
    async def story(world) -> None:
        announcer = world.start("a")
        wrong = []
        announcer.checks.append(lambda: wrong[0] if wrong else None)
        await asyncio.sleep(20)
        wrong.append("the feed is silent")
        await asyncio.sleep(BEAT + 1)
        assert world.told("a")[-1] == "degraded"
        wrong.clear()
        await asyncio.sleep(BEAT + 1)
        announcer.connection(False)
        await asyncio.sleep(2)
        announcer.connection(True)
        await asyncio.sleep(1)
        assert world.told("a") == [
            "starting", "running", "degraded", "running", "degraded", "running",
        ]  # fmt: skip

    play(story)


def test_a_lost_connection_is_told_when_the_log_comes_back_later_than_the_connection() -> None:
    """It was forgotten: of what waited for the log, only that it runs again was told."""

    async def story(world) -> None:
        announcer = world.start("a")
        await asyncio.sleep(20)
        announcer.connection(False)
        world.unwritable = str(announcer._subject)
        await asyncio.sleep(2)
        announcer.connection(True)
        await asyncio.sleep(3 * BEAT)
        assert world.told("a") == ["starting", "running"]
        world.unwritable = ""
        await asyncio.sleep(BEAT + 60)
        assert world.told("a") == ["starting", "running", "degraded", "running"]

    play(story)


@pytest.mark.parametrize("seed", range(4))
def test_on_a_bad_day_the_living_are_present_and_the_dead_are_not(seed: int) -> None:
    made = {}

    def rough(instance):
        return made.setdefault(instance, Faults.rough(seed * 10 + ord(instance)))

    async def story(world) -> None:
        for instance in "abc":
            world.start(instance)
        await asyncio.sleep(600)
        await world.kill("c")
        await asyncio.sleep(600)
        for faults in made.values():
            faults.calm()
        await asyncio.sleep(200)
        assert world.told("c")[-1] == "stopped"
        assert (world.told("a")[-1], world.told("b")[-1]) == ("running", "running")
        for instance in "abc":
            told = world.told(instance)
            assert all(told[n] != told[n + 1] for n in range(len(told) - 1)), told

    play(story, rough)
