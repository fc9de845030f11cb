"""Runs one simulation from its seed to its result: `run_simulation`.

Everything is real except time, randomness, the server and the sockets. Edges follow a log in
memory, clients read their streams, deciders write events, and faults occur as the plan says. Then
the faults stop, all clients catch up, and the history checker judges what each client received. The
verifier judges the orders, as `tapewire verify` does.
"""

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tapewire.log import LogError, RecordedEvent
from tapewire.log.memory import MemoryEventLog
from tapewire_services.edge.auth import Session
from tests.harness.history import ExpectedLog, StreamOpened, check_history
from tests.harness.simulated_edge import SimulatedEdge
from tests.harness.verification import find_recorded_differences
from tests.harness.virtual_time import run
from tests.sim.client import SimulatedClient
from tests.sim.coverage import LOG_TAIL_RESTARTED
from tests.sim.edge_fleet import SimulatedEdgeFleet
from tests.sim.fault_injector import SimulatedFaultInjector
from tests.sim.instrumentation import count_rare_events, patch_size_limits, redirect_logging
from tests.sim.plan import USERS, SimulationPlan
from tests.sim.server import SimulatedServer
from tests.sim.writers import EventWriter

START_TIME = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
SIGN_IN_RETRY_SECONDS = 0.1
CATCH_UP_TIMEOUT_SECONDS = 40.0
"""The time by which every client must have caught up; most need one second."""
POLL_INTERVAL_SECONDS = 0.5
ORDER_DOMAINS = frozenset({"orders", "trades", "alerts"})


class SimulationResult(msgspec.Struct, kw_only=True):
    """The result of a seed. `violations` is empty if every client received all events correctly;
    equal runs have the same `digest` of everything that was received."""

    seed: int
    violations: list[str]
    counts: Counter[str]
    event_count: int
    digest: str


def run_simulation(
    seed: int, write_log_line: Callable[[str], None] | None = None
) -> SimulationResult:
    """Run one simulation; `write_log_line` receives the log lines of the edges."""
    plan = SimulationPlan.from_seed(seed)
    counts: Counter[str] = Counter()
    # Parts of the edge draw jitter from the global random generator.
    random.seed(seed)
    with redirect_logging(write_log_line), count_rare_events(counts), patch_size_limits(plan):
        result, orders = run(_run_simulation(plan, counts))
    counts.update(f"stored: {recorded.tag}" for recorded in orders)
    if not plan.loses_events:
        result.violations += find_recorded_differences(orders)
    return result


async def _run_simulation(
    plan: SimulationPlan, counts: Counter[str]
) -> tuple[SimulationResult, list[RecordedEvent]]:
    """The result, and the events of orders in the newest log."""
    world = Simulation(plan, counts)
    await world.run()
    return world.find_violations(), world.recorded_orders()


class Simulation:
    """The server, the edges, the clients and the writers of one run."""

    def __init__(self, plan: SimulationPlan, counts: Counter[str]) -> None:
        self._plan = plan
        self.counts = counts
        self.is_calm = False
        self._server = SimulatedServer(self._now)
        self._fleet = SimulatedEdgeFleet(plan, self._server, self._now, counts)
        self._sessions: list[tuple[SimulatedEdge, Session]] = []
        self._clients = [
            SimulatedClient(
                self, number, USERS[number % len(USERS)], manner, plan.rng_for(f"client {number}")
            )
            for number, manner in enumerate(plan.client_behaviors)
        ]
        self._writers = [plan.faults_for(f"writer {number}") for number in (1, 2)]

    def _now(self) -> datetime:
        return START_TIME + timedelta(seconds=asyncio.get_running_loop().time())

    def accepting_edges(self) -> list[SimulatedEdge]:
        return self._fleet.accepting_edges()

    async def sign_in(self, user: str) -> str:
        while True:
            for edge in self.accepting_edges():
                try:
                    token, session = await edge.sessions.create(user, ())
                except LogError:
                    continue
                self._sessions.append((edge, session))
                return token
            await asyncio.sleep(SIGN_IN_RETRY_SECONDS)

    async def run(self) -> None:
        """Run the simulation to its end."""
        await self._fleet.start()
        clients = [asyncio.create_task(client.run()) for client in self._clients]
        fault_injector = SimulatedFaultInjector(
            self._plan, self._server, self._fleet, self._sessions, self.counts
        )
        async with asyncio.TaskGroup() as group:
            for work in [fault_injector.run(), *self._write_events()]:
                group.create_task(work)
            group.create_task(self._stop_faults())
        await self._wait_caught_up()
        for task in clients:
            if task.done():
                task.result()
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        await self._fleet.stop()

    def _write_events(self) -> list[Coroutine[Any, Any, None]]:
        plan, rng = self._plan, self._plan.rng_for("writers")
        logs = [MemoryEventLog(self._server, faults) for faults in self._writers]
        writer = EventWriter(logs, rng, self._now, self.counts)
        last = plan.duration_seconds * 0.9
        orders = [
            writer.run_order(rng.choice(USERS), number, rng.uniform(0, last))
            for number in range(plan.order_count)
        ]
        notes = [
            writer.append_hidden_event(rng.choice(USERS), number, rng.uniform(0, last))
            for number in range(plan.order_count // 4)
        ]
        announcements = [
            writer.append_public_event(number, rng.uniform(0, last))
            for number in range(plan.order_count // 8)
        ]
        return [*orders, *notes, *announcements]

    async def _stop_faults(self) -> None:
        """Stop all faults at the end of the plan."""
        await asyncio.sleep(self._plan.duration_seconds)
        self.is_calm = True
        self._fleet.stop_faults()
        for faults in self._writers:
            faults.disable()

    async def _wait_caught_up(self) -> None:
        """Wait until every client has the last event of its user, or the timeout passes."""
        truth = self._server.expected_log()
        for _ in range(int(CATCH_UP_TIMEOUT_SECONDS / POLL_INTERVAL_SECONDS)):
            if all(has_received_all(truth, client) for client in self._clients):
                return
            await asyncio.sleep(POLL_INTERVAL_SECONDS)

    def recorded_orders(self) -> list[RecordedEvent]:
        """What the deciders stored in the newest log: orders, their trades and their alerts."""
        return [
            recorded
            for recorded in self._server.recorded_events()
            if recorded.event_subject.domain in ORDER_DOMAINS
        ]

    def find_violations(self) -> SimulationResult:
        """Judge the run."""
        truth, wrong, digest = self._server.expected_log(), self._fleet.errors, hashlib.sha256()
        if self.counts[LOG_TAIL_RESTARTED] and not self._plan.trim_interval_seconds:
            wrong.append("a log tail emptied its buffer without a reason")
        limit = self._plan.settings.replay_limit
        for client in self._clients:
            found = check_history(truth, client.user, client.history, replay_limit=limit)
            wrong += [
                f"client {client.number} of {client.user}: {deviation}" for deviation in found
            ]
            for entry in client.history:
                id_ = entry.requested_id if isinstance(entry, StreamOpened) else entry.id
                digest.update(f"{type(entry).__name__} {id_} ".encode())
        return SimulationResult(
            seed=self._plan.seed,
            violations=wrong,
            counts=self.counts,
            event_count=truth.event_count,
            digest=digest.hexdigest(),
        )


def has_received_all(expected_log: ExpectedLog, client: SimulatedClient) -> bool:
    """Whether the last id of `client` is that of the last event of its user, or later."""
    epoch, _, sequence = (client.last_id or "").rpartition("-")
    newest = expected_log.newest_epoch
    if client.is_awaiting_snapshot or epoch != newest.name or not sequence.isdecimal():
        return False
    ends = int(sequence) <= newest.last
    return ends and not newest.visible_between(client.user, int(sequence), newest.last + 1)
