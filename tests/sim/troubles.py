"""What happens to the processes and the server, each at its own random times.

Trouble ends when the plan says; what it has begun by then (an edge that is away, a server that is
down) comes to its end.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

from services.edge.access import Session
from tapewire.log import LogError
from tapewire.log.memory import MemoryLog, MemoryValues
from tapewire.log.views import load, save
from tapewire.views import OrdersView
from tests.sim.edge import Edge
from tests.sim.fleet import Fleet, drained
from tests.sim.plan import USERS, Plan
from tests.sim.server import Server

AWAY_SECONDS = 1.5
UNMISTAKABLE = 20
"""Events of a log that a new one cannot reach before it is noticed."""

Trouble = Callable[[random.Random], Awaitable[None]]


class Troubles:
    """`run` them; `sessions` are those that may be revoked."""

    def __init__(
        self,
        plan: Plan,
        server: Server,
        fleet: Fleet,
        sessions: list[tuple[Edge, Session]],
        counts: Counter[str],
    ) -> None:
        self._plan = plan
        self._server = server
        self._fleet = fleet
        self._sessions = sessions
        self._counts = counts
        self._log = MemoryLog(server)
        self._views = MemoryValues(server, stream="VIEWS", prefix="view")

    async def run(self) -> None:
        """All of them, until the plan's end."""
        plan = self._plan
        each: list[tuple[str, float, Trouble]] = [
            ("crash", plan.crash, lambda chance: self._fleet.replace(chance, Edge.kill)),
            ("drain", plan.drain, lambda chance: self._fleet.replace(chance, drained)),
            ("sever", plan.sever, self._sever),
            ("outage", plan.outage, self._outage),
            ("revoke", plan.revoke, self._revoke),
            ("trim", plan.trim, self._trim),
            ("checkpoint", plan.checkpoint, self._checkpoint),
            ("recreate", plan.recreations and plan.seconds / plan.recreations, self._recreate),
        ]
        async with asyncio.TaskGroup() as group:
            for name, mean, trouble in each:
                if mean:
                    group.create_task(self._again(name, mean, trouble))

    async def _again(self, name: str, mean: float, trouble: Trouble) -> None:
        chance, clock = self._plan.chance(name), asyncio.get_running_loop().time
        while (pause := chance.expovariate(1 / mean)) < self._plan.seconds - clock():
            await asyncio.sleep(pause)
            await trouble(chance)
            self._counts[f"trouble: {name}"] += 1

    async def _sever(self, chance: random.Random) -> None:
        for edge in self._fleet.accepting():
            if chance.random() < 0.5:
                edge.log.sever(chance.uniform(0, AWAY_SECONDS))

    async def _outage(self, chance: random.Random) -> None:
        self._server.outage(chance.uniform(0, AWAY_SECONDS))

    async def _recreate(self, chance: random.Random) -> None:
        """The server loses the log while it is away, or somebody deletes it under everybody's
        eyes: only a log that reached further than the new one's first events tells them apart."""
        if self._server.journal.last > UNMISTAKABLE and chance.random() < 0.5:
            self._server.recreate()
            self._counts["trouble: recreate unseen"] += 1
            return
        self._server.stop()
        await asyncio.sleep(chance.uniform(0, AWAY_SECONDS))
        self._server.recreate()
        self._server.start()

    async def _revoke(self, chance: random.Random) -> None:
        if not self._sessions:
            return
        edge, session = chance.choice(self._sessions)
        try:
            await edge.sessions.revoke(session)
        except LogError:
            return

    async def _checkpoint(self, chance: random.Random) -> None:
        await self._save(chance.choice(USERS))

    async def _save(self, user: str) -> None:
        try:
            view, bounds = await load(self._log, self._views, OrdersView, user)
            await save(self._views, user, OrdersView.domain, view, bounds)
        except LogError:
            return

    async def _trim(self, chance: random.Random) -> None:
        """As an operator does: what every user's checkpoint covers, and no more."""
        journal = self._server.journal
        upto = chance.randint(journal.first - 1, journal.last)
        for _ in range(2):  # a lagging replica has the value before the newest one
            for user in USERS:
                await self._save(user)
        if self._server.up and self._server.journal is journal:
            self._server.trim(upto)
