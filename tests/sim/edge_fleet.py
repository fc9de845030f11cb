"""All edge processes: they start, are killed or drained, and are replaced."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime

from tapewire.log.memory import Faults
from tapewire_services.edge.delivery.close_reason import CloseReason
from tests.harness.simulated_edge import SimulatedEdge
from tests.harness.simulated_stream import SimulatedStream
from tests.sim.plan import SimulationPlan
from tests.sim.server import SimulatedServer

RESTART_DELAY_SECONDS = 0.5
DRAIN_TIMEOUT_SECONDS = 0.3

StopEdge = Callable[[SimulatedEdge, Callable[[SimulatedStream], None]], Awaitable[None]]


async def drain_edge(edge: SimulatedEdge, on_broken: Callable[[SimulatedStream], None]) -> None:
    """Stop `edge` as a deployment does."""
    await edge.drain(DRAIN_TIMEOUT_SECONDS)
    await edge.kill(on_broken)


class SimulatedEdgeFleet:
    """`errors` lists the failures inside the processes."""

    def __init__(
        self,
        plan: SimulationPlan,
        server: SimulatedServer,
        now: Callable[[], datetime],
        counts: Counter[str],
    ) -> None:
        self._plan = plan
        self._server = server
        self._now = now
        self._counts = counts
        self._edges: dict[int, SimulatedEdge] = {}
        self._faults: list[Faults] = []
        self._is_calm = False
        self.errors: list[str] = []

    async def start(self) -> None:
        for number in range(self._plan.edge_count):
            await self._start_edge(number)

    def accepting_edges(self) -> list[SimulatedEdge]:
        """The edges that accept connections now."""
        return [edge for edge in self._edges.values() if edge.is_accepting]

    async def replace_one(self, rng: random.Random, stop_edge: StopEdge) -> None:
        """Stop one process with `stop_edge`, and start another one in its place."""
        number = rng.choice([*self._edges])
        if self._edges[number].is_accepting:
            await self._stop_edge(number, stop_edge)
            await asyncio.sleep(rng.uniform(0, RESTART_DELAY_SECONDS))
            await self._start_edge(number)

    def stop_faults(self) -> None:
        """Stop all faults between the processes and the server."""
        self._is_calm = True
        for faults in self._faults:
            faults.disable()

    async def stop(self) -> None:
        for number in self._edges:
            await self._stop_edge(number, SimulatedEdge.kill)

    async def _start_edge(self, number: int) -> None:
        name = f"edge {len(self._faults)}"
        faults = self._plan.faults_for(name)
        self._faults.append(faults)
        if self._is_calm:
            faults.disable()
        seed = self._plan.rng_for(name).getrandbits(32)
        edge = SimulatedEdge(self._server, faults, self._plan.settings, self._now, seed)
        self._edges[number] = edge
        await edge.start()

    async def _stop_edge(self, number: int, stop_edge: StopEdge) -> None:
        edge, rng = self._edges[number], self._plan.rng_for(f"stop {len(self._faults)}")
        await stop_edge(edge, lambda stream: stream.sever(rng))
        self._counts["log tail: repairs"] += edge.log_tail.repair_count
        for reason, times in edge.hub.close_counts.items():
            self._counts[f"closed: {reason.value}"] += times
        for reason in (CloseReason.FAILED, CloseReason.QUIET):
            if edge.hub.close_counts[reason]:
                self.errors.append(f"edge {number}: a stream was closed as {reason.value}")
        self.errors += [f"edge {number} failed with {death!r}" for death in edge.task_errors]
