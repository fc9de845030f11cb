"""Status reports and the detection of silent processes, in memory and in virtual time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from tapewire.events import AgentState, AgentStatusChanged
from tapewire.log import AppendRejected, EventDraft
from tapewire.log.memory import Faults, MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.runtime.agents import AgentMonitor, AgentStatusReporter
from tapewire.runtime.agents.state import decide, report_silence, report_status

pytestmark = pytest.mark.virtual_time

HEARTBEAT_SECONDS, SILENCE_SECONDS = 15.0, 45.0
START_TIME = datetime(2026, 3, 2, tzinfo=UTC)
RUNNING, STOPPED = AgentState.RUNNING, AgentState.STOPPED


def make_status(
    state: AgentState = RUNNING, detail: str | None = None, timestamp: datetime = START_TIME
) -> AgentStatusChanged:
    return AgentStatusChanged(
        service="orders", instance="a", state=state, detail=detail, timestamp=timestamp
    )


class TestDecide:
    def test_an_unchanged_status_creates_no_event(self) -> None:
        assert (
            decide(
                make_status(), report_status(make_status(timestamp=START_TIME + timedelta(hours=1)))
            )
            == []
        )

    def test_the_timestamp_never_decreases(self) -> None:
        [new_event] = decide(
            make_status(),
            report_status(make_status(STOPPED, timestamp=START_TIME - timedelta(hours=1))),
        )
        assert new_event.event == make_status(STOPPED, timestamp=START_TIME)
        assert str(new_event.subject) == "ev._all.agents.orders%2Fa"

    def test_silence_is_recorded_only_if_the_status_is_unchanged(self) -> None:
        report = report_silence(make_status(), "silent", START_TIME)
        assert [h.event for h in decide(make_status(), report)] == [make_status(STOPPED, "silent")]
        assert decide(make_status(AgentState.DEGRADED, "slow"), report) == []
        assert (
            decide(make_status(STOPPED), report_silence(make_status(STOPPED), "silent", START_TIME))
            == []
        )
        assert decide(None, report) == []


class SimulatedProcess(NamedTuple):
    tasks: list[asyncio.Task[None]]
    reporter: AgentStatusReporter
    connections: tuple[MemoryEventLog | MemoryLatestValueStore, ...]


class AgentSimulation:
    """A server, and processes that start and end."""

    def __init__(self, faults: Callable[[str], Faults | None] = lambda _: None) -> None:
        self.server = MemoryServer()
        self._faults = faults
        self._processes: dict[str, SimulatedProcess] = {}
        self.refuses_heartbeats = False
        """Whether the heartbeat store rejects all heartbeats."""
        self.unwritable_subject = ""
        """The subject that rejects all appends."""

    def start(
        self, instance: str, *, clock: float = 0.0, watches: bool = True
    ) -> AgentStatusReporter:
        """Start a process whose clock is off by `clock` seconds."""
        faults = self._faults(instance)
        log = FlakyLog(self, faults)
        beats = FlakyHeartbeatStore(self, faults)
        views = MemoryLatestValueStore(self.server, faults, stream="VIEWS", prefix="view")

        def now() -> datetime:
            return START_TIME + timedelta(seconds=asyncio.get_running_loop().time() + clock)

        reporter = AgentStatusReporter(
            log, beats, "orders", instance, heartbeat_seconds=HEARTBEAT_SECONDS, now=now
        )
        tasks = [asyncio.create_task(reporter.run())]
        if watches:
            monitor = AgentMonitor(log, views, beats, silence_seconds=SILENCE_SECONDS, now=now)
            tasks.append(asyncio.create_task(monitor.run()))
        self._processes[instance] = SimulatedProcess(tasks, reporter, (log, beats, views))
        reporter.report_ready()
        return reporter

    async def kill(self, instance: str) -> None:
        process = self._processes.pop(instance)
        for connection in process.connections:
            connection.kill()
        await self._cancel(process.tasks)

    async def stop(self, instance: str) -> None:
        process = self._processes.pop(instance)
        await self._cancel(process.tasks)
        await process.reporter.report_stopped(None)

    async def kill_all(self) -> None:
        for instance in [*self._processes]:
            await self.kill(instance)

    async def _cancel(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    def instances_with_heartbeat(self) -> list[str]:
        """The keys of the stored heartbeats."""
        return sorted(self.server.values["MARKET/hb"])

    def recorded_states(self, instance: str) -> list[str]:
        """The recorded states of an instance, in order."""
        page = self.server.journal.page(
            f"ev._all.agents.orders%2F{instance}", after=0, limit=1000, max_bytes=1 << 20,
            upto=self.server.journal.last,
        )  # fmt: skip
        events = [recorded.event for recorded in page.events]
        return [event.state.value for event in events if isinstance(event, AgentStatusChanged)]


class FlakyHeartbeatStore(MemoryLatestValueStore):
    """The heartbeat store, which may reject heartbeats."""

    def __init__(self, simulation: AgentSimulation, faults: Faults | None) -> None:
        super().__init__(simulation.server, faults, prefix="hb")
        self._simulation = simulation

    async def put(self, key: str, data: bytes, *, ttl: int | None = None) -> None:
        if self._simulation.refuses_heartbeats:
            raise AppendRejected("insufficient resources")
        await super().put(key, data, ttl=ttl)

    async def put_unacknowledged(self, key: str, data: bytes) -> None:
        if not self._simulation.refuses_heartbeats:
            await super().put_unacknowledged(key, data)


class FlakyLog(MemoryEventLog):
    """The log, which may reject appends to one subject."""

    def __init__(self, simulation: AgentSimulation, faults: Faults | None) -> None:
        super().__init__(simulation.server, faults)
        self._simulation = simulation

    async def append(self, drafts: Sequence[EventDraft]) -> int:
        if str(drafts[0].subject) == self._simulation.unwritable_subject:
            raise AppendRejected("never")
        return await super().append(drafts)


@pytest.fixture
async def world() -> AsyncIterator[AgentSimulation]:
    world = AgentSimulation()
    yield world
    await world.kill_all()


async def test_each_state_of_a_process_is_recorded_once_and_in_order(
    world: AgentSimulation,
) -> None:
    world.start("a")
    await asyncio.sleep(1000)
    await world.stop("a")
    assert world.recorded_states("a") == ["starting", "running", "stopped"]


async def test_heartbeats_are_not_stored_in_the_journal(world: AgentSimulation) -> None:
    world.start("a")
    world.start("b")
    await asyncio.sleep(1000)
    assert world.server.journal.last == 4


async def test_another_process_records_a_killed_process_in_time(world: AgentSimulation) -> None:
    world.start("a")
    world.start("b", watches=False)
    await asyncio.sleep(100)
    await world.kill("b")
    await asyncio.sleep(SILENCE_SECONDS - HEARTBEAT_SECONDS - 1)
    assert world.recorded_states("b") == ["starting", "running"], (
        "the last heartbeat was less than 45 s ago"
    )
    await asyncio.sleep(HEARTBEAT_SECONDS + SILENCE_SECONDS / 6 + 3)
    assert world.recorded_states("b") == ["starting", "running", "stopped"]
    assert world.recorded_states("a") == ["starting", "running"]


async def test_a_new_monitor_waits_the_full_silence_time(world: AgentSimulation) -> None:
    """The heartbeat is 44 s old when the monitor of another process starts."""
    world.start("a", watches=False)
    await asyncio.sleep(30.5)
    await world.kill("a")
    await asyncio.sleep(44)
    world.start("b")
    await asyncio.sleep(SILENCE_SECONDS - 1)
    assert world.recorded_states("a") == ["starting", "running"]
    await asyncio.sleep(SILENCE_SECONDS / 3)
    assert world.recorded_states("a")[-1] == "stopped"


@pytest.mark.parametrize("seconds", [20, 44, 200])
async def test_no_process_is_declared_dead_after_an_outage(
    seconds: int, world: AgentSimulation
) -> None:
    world.start("a")
    world.start("b")
    await asyncio.sleep(100)
    world.server.begin_outage(seconds)
    await asyncio.sleep(seconds + 300)
    assert "stopped" not in world.recorded_states("a") + world.recorded_states("b")


async def test_clock_differences_declare_no_process_dead(world: AgentSimulation) -> None:
    world.start("a", clock=-7200)
    world.start("b", clock=7200)
    await asyncio.sleep(500)
    assert world.recorded_states("a") == world.recorded_states("b") == ["starting", "running"]


async def test_lost_heartbeats_declare_no_process_dead(world: AgentSimulation) -> None:
    world.start("a")
    world.start("b")
    for _ in range(20):
        await asyncio.sleep(47)
        world.server.values.clear()
    assert "stopped" not in world.recorded_states("a") + world.recorded_states("b")


async def test_the_state_is_recorded_again_in_a_recreated_log(world: AgentSimulation) -> None:
    world.start("a")
    await asyncio.sleep(100)
    world.server.recreate()
    await asyncio.sleep(HEARTBEAT_SECONDS + 5)
    assert world.recorded_states("a") == ["running"]


async def test_a_process_that_was_declared_dead_records_that_it_runs(
    world: AgentSimulation,
) -> None:
    """This happens after a SIGSTOP that lasts longer than the silence time."""
    world.start("a")
    frozen = world.start("b", watches=False)
    await asyncio.sleep(100)
    tasks = world._processes["b"].tasks
    await world._cancel(tasks)
    await asyncio.sleep(200)
    assert world.recorded_states("b")[-1] == "stopped"
    tasks[:] = [asyncio.create_task(frozen.run())]
    await asyncio.sleep(HEARTBEAT_SECONDS + 5)
    assert world.recorded_states("b") == ["starting", "running", "stopped", "running"]


async def test_a_restart_under_the_same_name_is_not_recorded_as_stopped(
    world: AgentSimulation,
) -> None:
    world.start("a")
    world.start("b", watches=False)
    await asyncio.sleep(100)
    await world.kill("b")
    await asyncio.sleep(20)
    world.start("b", watches=False)
    await asyncio.sleep(300)
    assert world.recorded_states("b") == ["starting", "running", "starting", "running"]


async def test_each_death_under_one_name_is_recorded(world: AgentSimulation) -> None:
    """A container that crashes again has the same name. The regression: the monitor remembered the
    first death and ignored the second one, and the instance was shown as running for ever."""
    world.start("a")
    for _ in range(3):
        world.start("b", watches=False)
        await asyncio.sleep(100)
        await world.kill("b")
        await asyncio.sleep(300)
    assert world.recorded_states("b") == ["starting", "running", "stopped"] * 3


async def test_no_process_is_declared_dead_if_heartbeats_cannot_be_stored(
    world: AgentSimulation,
) -> None:
    """This happens when the server's memory is full: reads succeed and return old heartbeats."""
    world.start("a")
    world.start("b")
    await asyncio.sleep(100)
    world.refuses_heartbeats = True
    await asyncio.sleep(500)
    world.refuses_heartbeats = False
    await asyncio.sleep(500)
    assert world.recorded_states("a") == world.recorded_states("b") == ["starting", "running"]
    await world.kill("b")
    await asyncio.sleep(SILENCE_SECONDS + HEARTBEAT_SECONDS)
    assert world.recorded_states("b") == ["starting", "running", "stopped"]


async def test_state_changes_are_recorded_although_heartbeats_are_rejected(
    world: AgentSimulation,
) -> None:
    world.refuses_heartbeats = True
    announcer = world.start("a")
    await asyncio.sleep(20)
    announcer.health_checks.append(lambda: "the feed is silent")
    await asyncio.sleep(HEARTBEAT_SECONDS + 1)
    assert world.recorded_states("a") == ["starting", "running", "degraded"]


async def test_heartbeats_of_dead_processes_are_deleted(world: AgentSimulation) -> None:
    """Every host and pid has its own key, and each check reads all keys."""
    world.start("a")
    for number in range(50):
        world.start(f"b{number}", watches=False)
        await asyncio.sleep(1)
        await world.kill(f"b{number}")
    await asyncio.sleep(1000)
    assert world.instances_with_heartbeat() == ["orders%2Fa"]


async def test_a_failed_append_does_not_delay_other_processes(world: AgentSimulation) -> None:
    world.start("a")
    for instance in ("b", "c"):
        world.start(instance, watches=False)
    await asyncio.sleep(100)
    for instance in ("b", "c"):
        await world.kill(instance)
    world.unwritable_subject = "ev._all.agents.orders%2Fb"
    await asyncio.sleep(SILENCE_SECONDS + HEARTBEAT_SECONDS)
    assert world.recorded_states("c")[-1] == "stopped"
    world.unwritable_subject = ""
    await asyncio.sleep(HEARTBEAT_SECONDS)
    assert world.recorded_states("b")[-1] == "stopped"


async def test_failed_checks_and_lost_connections_are_recorded_as_degraded(
    world: AgentSimulation,
) -> None:
    announcer = world.start("a")
    wrong = list[str]()
    announcer.health_checks.append(lambda: wrong[0] if wrong else None)
    await asyncio.sleep(20)
    wrong.append("the feed is silent")
    await asyncio.sleep(HEARTBEAT_SECONDS + 1)
    assert world.recorded_states("a")[-1] == "degraded"
    wrong.clear()
    await asyncio.sleep(HEARTBEAT_SECONDS + 1)
    announcer.on_connection_state(False)
    await asyncio.sleep(2)
    announcer.on_connection_state(True)
    await asyncio.sleep(1)
    assert world.recorded_states("a") == [
        "starting", "running", "degraded", "running", "degraded", "running",
    ]  # fmt: skip


async def test_a_lost_connection_is_recorded_after_a_later_recovery_of_the_log(
    world: AgentSimulation,
) -> None:
    """The regression: of the states that waited for the log, only the last one was recorded."""
    announcer = world.start("a")
    await asyncio.sleep(20)
    announcer.on_connection_state(False)
    world.unwritable_subject = str(announcer._subject)
    await asyncio.sleep(2)
    announcer.on_connection_state(True)
    await asyncio.sleep(3 * HEARTBEAT_SECONDS)
    assert world.recorded_states("a") == ["starting", "running"]
    world.unwritable_subject = ""
    await asyncio.sleep(HEARTBEAT_SECONDS + 60)
    assert world.recorded_states("a") == ["starting", "running", "degraded", "running"]


@pytest.mark.parametrize("seed", range(4))
async def test_through_random_faults_live_processes_run_and_dead_ones_are_stopped(
    seed: int,
) -> None:
    made = dict[str, Faults]()

    def rough(instance: str) -> Faults:
        return made.setdefault(instance, Faults.rough(seed * 10 + ord(instance)))

    world = AgentSimulation(rough)
    for instance in "abc":
        world.start(instance)
    await asyncio.sleep(600)
    await world.kill("c")
    await asyncio.sleep(600)
    for faults in made.values():
        faults.disable()
    await asyncio.sleep(200)
    assert world.recorded_states("c")[-1] == "stopped"
    assert world.recorded_states("a")[-1] == "running"
    assert world.recorded_states("b")[-1] == "running"
    for instance in "abc":
        states = world.recorded_states(instance)
        assert all(states[n] != states[n + 1] for n in range(len(states) - 1)), states
    await world.kill_all()
