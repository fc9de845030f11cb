"""Injects faults into the processes and the server, each kind at its own random times.

Faults stop when the plan says. A fault in progress (a stopped edge, a server that is down)
completes.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

from tapewire.log import LogError
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore
from tapewire.log.view_checkpoints import load, save
from tapewire.views import OrdersView
from tapewire_services.edge.auth import Session
from tests.harness.simulated_edge import SimulatedEdge
from tests.sim.edge_fleet import SimulatedEdgeFleet, drain_edge
from tests.sim.plan import USERS, SimulationPlan
from tests.sim.server import SimulatedServer

MAX_OUTAGE_SECONDS = 1.5
MIN_RECREATED_EVENTS = 20
"""A log with more events than a new log can reach before an edge notices the new epoch."""

FaultAction = Callable[[random.Random], Awaitable[None]]


class SimulatedFaultInjector:
    """Call `run`; `sessions` are the sessions that may be revoked."""

    def __init__(
        self,
        plan: SimulationPlan,
        server: SimulatedServer,
        fleet: SimulatedEdgeFleet,
        sessions: list[tuple[SimulatedEdge, Session]],
        counts: Counter[str],
    ) -> None:
        self._plan = plan
        self._server = server
        self._fleet = fleet
        self._sessions = sessions
        self._counts = counts
        self._log = MemoryEventLog(server)
        self._views = MemoryLatestValueStore(server, stream="VIEWS", prefix="view")

    async def run(self) -> None:
        """Inject all kinds of faults until the plan ends."""
        plan = self._plan
        each: list[tuple[str, float, FaultAction]] = [
            (
                "crash",
                plan.edge_crash_interval_seconds,
                lambda rng: self._fleet.replace_one(rng, SimulatedEdge.kill),
            ),
            (
                "drain",
                plan.edge_drain_interval_seconds,
                lambda rng: self._fleet.replace_one(rng, drain_edge),
            ),
            ("sever", plan.sever_interval_seconds, self._sever_streams),
            ("outage", plan.outage_interval_seconds, self._begin_outage),
            ("revoke", plan.revoke_interval_seconds, self._revoke_session),
            ("trim", plan.trim_interval_seconds, self._trim_log),
            ("checkpoint", plan.checkpoint_interval_seconds, self._save_checkpoints),
            (
                "recreate",
                plan.log_recreation_count and plan.duration_seconds / plan.log_recreation_count,
                self._recreate_log,
            ),
        ]
        async with asyncio.TaskGroup() as group:
            for name, mean, action in each:
                if mean:
                    group.create_task(self._repeat(name, mean, action))

    async def _repeat(self, name: str, mean_interval_seconds: float, action: FaultAction) -> None:
        rng, clock = self._plan.rng_for(name), asyncio.get_running_loop().time
        while (
            pause := rng.expovariate(1 / mean_interval_seconds)
        ) < self._plan.duration_seconds - clock():
            await asyncio.sleep(pause)
            await action(rng)
            self._counts[f"fault: {name}"] += 1

    async def _sever_streams(self, rng: random.Random) -> None:
        for edge in self._fleet.accepting_edges():
            if rng.random() < 0.5:
                edge.log.sever(rng.uniform(0, MAX_OUTAGE_SECONDS))

    async def _begin_outage(self, rng: random.Random) -> None:
        self._server.begin_outage(rng.uniform(0, MAX_OUTAGE_SECONDS))

    async def _recreate_log(self, rng: random.Random) -> None:
        """Recreate the log, either while the server is down or while it runs. An edge notices the
        latter only if the old log reached further than the first events of the new one."""
        if self._server.journal.last > MIN_RECREATED_EVENTS and rng.random() < 0.5:
            self._server.recreate_log()
            self._counts["fault: recreate unseen"] += 1
            return
        self._server.stop()
        await asyncio.sleep(rng.uniform(0, MAX_OUTAGE_SECONDS))
        self._server.recreate_log()
        self._server.start()

    async def _revoke_session(self, rng: random.Random) -> None:
        if not self._sessions:
            return
        edge, session = rng.choice(self._sessions)
        try:
            await edge.sessions.revoke(session)
        except LogError:
            return

    async def _save_checkpoints(self, rng: random.Random) -> None:
        await self._save_checkpoint(rng.choice(USERS))

    async def _save_checkpoint(self, user: str) -> None:
        try:
            view, bounds = await load(self._log, self._views, OrdersView, user)
            await save(self._views, user, OrdersView.domain, view, bounds)
        except LogError:
            return

    async def _trim_log(self, rng: random.Random) -> None:
        """Trim the log as an operator does: only events that every user's checkpoint covers."""
        journal = self._server.journal
        upto = rng.randint(journal.first - 1, journal.last)
        for _ in range(2):  # a lagging replica returns the value before the newest one
            for user in USERS:
                await self._save_checkpoint(user)
        if self._server.is_up and self._server.journal is journal:
            self._server.trim(upto)
