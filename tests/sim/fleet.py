"""All edge processes: they come, are killed or drained, and others come in their place."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime

from services.edge.connection import Reason
from tapewire.log.memory import Faults
from tests.sim.edge import Edge
from tests.sim.plan import Plan
from tests.sim.server import Server
from tests.sim.wire import Wire

RESTART_SECONDS = 0.5
DRAIN_SECONDS = 0.3

Stop = Callable[[Edge, Callable[[Wire], None]], Awaitable[None]]


async def drained(edge: Edge, broken: Callable[[Wire], None]) -> None:
    """End `edge` as a deployment does."""
    await edge.drain(DRAIN_SECONDS)
    await edge.kill(broken)


class Fleet:
    """`wrong` is what went wrong within the processes themselves."""

    def __init__(
        self, plan: Plan, server: Server, now: Callable[[], datetime], counts: Counter[str]
    ) -> None:
        self._plan = plan
        self._server = server
        self._now = now
        self._counts = counts
        self._edges: dict[int, Edge] = {}
        self._faults: list[Faults] = []
        self._calm = False
        self.wrong: list[str] = []

    async def start(self) -> None:
        for number in range(self._plan.edges):
            await self._start(number)

    def accepting(self) -> list[Edge]:
        """Those that take connections now."""
        return [edge for edge in self._edges.values() if edge.accepts]

    async def replace(self, chance: random.Random, stop: Stop) -> None:
        """Let one process end by `stop`, and another one come after it."""
        number = chance.choice([*self._edges])
        if self._edges[number].accepts:
            await self._stop(number, stop)
            await asyncio.sleep(chance.uniform(0, RESTART_SECONDS))
            await self._start(number)

    def calm(self) -> None:
        """Nothing goes wrong between the processes and the server any more."""
        self._calm = True
        for faults in self._faults:
            faults.calm()

    async def stop(self) -> None:
        for number in self._edges:
            await self._stop(number, Edge.kill)

    async def _start(self, number: int) -> None:
        name = f"edge {len(self._faults)}"
        faults = self._plan.faults(name)
        self._faults.append(faults)
        if self._calm:
            faults.calm()
        seed = self._plan.chance(name).getrandbits(32)
        edge = Edge(self._server, faults, self._plan.settings, self._now, seed)
        self._edges[number] = edge
        await edge.start()

    async def _stop(self, number: int, stop: Stop) -> None:
        edge, chance = self._edges[number], self._plan.chance(f"stop {len(self._faults)}")
        await stop(edge, lambda wire: wire.break_(chance))
        self._counts["tape: repairs"] += edge.tape.repairs
        for reason, times in edge.hub.closed.items():
            self._counts[f"closed: {reason.value}"] += times
        for reason in (Reason.FAILED, Reason.QUIET):
            if edge.hub.closed[reason]:
                self.wrong.append(f"edge {number}: a stream was closed as {reason.value}")
        self.wrong += [f"edge {number} died of {death!r}" for death in edge.deaths]
