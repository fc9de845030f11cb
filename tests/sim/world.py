"""One simulation from its seed to its verdict: `play`.

Everything is real but time, chance, the server and the sockets: edges follow a log in memory,
clients read them, deciders write, and trouble comes as the plan says. Then it calms down, everybody
catches up, and the history checker judges what each client received.
"""

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from services.edge.access import Session
from tapewire.log import LogError
from tapewire.log.memory import MemoryLog
from tests.history import Connect, Log, check
from tests.sim.client import Client
from tests.sim.coverage import BEGAN_AGAIN
from tests.sim.edge import Edge
from tests.sim.fleet import Fleet
from tests.sim.plan import USERS, Plan
from tests.sim.server import Server
from tests.sim.troubles import Troubles
from tests.sim.watch import counting, logging_to, remembering
from tests.sim.writers import Desk
from tests.unit.orders.virtual import run

START = datetime(2013, 10, 7, 13, 30, tzinfo=UTC)
SIGN_IN_SECONDS = 0.1
QUIET_SECONDS = 40.0
"""By then everybody must have caught up; most need one."""
LOOK_SECONDS = 0.5


class Verdict(msgspec.Struct, kw_only=True):
    """What came of a seed. `wrong` is empty when nothing was lost; `digest` is of all that was
    received, so that two runs can be compared."""

    seed: int
    wrong: list[str]
    counts: Counter[str]
    events: int
    digest: str


def play(seed: int, say: Callable[[str], None] | None = None) -> Verdict:
    """Play one simulation to its end; `say` is told all that the edges log."""
    plan = Plan.of(seed)
    counts: Counter[str] = Counter()
    # The edge spreads its retries by the global source of chance.
    random.seed(seed)
    with logging_to(say), counting(counts), remembering(plan):
        return run(_play(plan, counts))


async def _play(plan: Plan, counts: Counter[str]) -> Verdict:
    world = World(plan, counts)
    await world.live()
    return world.judge()


class World:
    """Everything there is."""

    def __init__(self, plan: Plan, counts: Counter[str]) -> None:
        self._plan = plan
        self.counts = counts
        self.calm = False
        self._server = Server(self._now)
        self._fleet = Fleet(plan, self._server, self._now, counts)
        self._sessions: list[tuple[Edge, Session]] = []
        self._clients = [
            Client(
                self, number, USERS[number % len(USERS)], manner, plan.chance(f"client {number}")
            )
            for number, manner in enumerate(plan.manners)
        ]
        self._writers = [plan.faults(f"writer {number}") for number in (1, 2)]

    def _now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    # What clients know.

    def edges(self) -> list[Edge]:
        return self._fleet.accepting()

    async def sign_in(self, user: str) -> str:
        while True:
            for edge in self.edges():
                try:
                    token, session = await edge.sessions.create(user, ())
                except LogError:
                    continue
                self._sessions.append((edge, session))
                return token
            await asyncio.sleep(SIGN_IN_SECONDS)

    # Its course.

    async def live(self) -> None:
        """From the first process to the last."""
        await self._fleet.start()
        clients = [asyncio.create_task(client.run()) for client in self._clients]
        troubles = Troubles(self._plan, self._server, self._fleet, self._sessions, self.counts)
        async with asyncio.TaskGroup() as group:
            for work in [troubles.run(), *self._writing()]:
                group.create_task(work)
            group.create_task(self._calm_down())
        await self._caught_up()
        for task in clients:
            if task.done():
                task.result()
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        await self._fleet.stop()

    def _writing(self) -> list[Coroutine[Any, Any, None]]:
        plan, chance = self._plan, self._plan.chance("writers")
        logs = [MemoryLog(self._server, faults) for faults in self._writers]
        desk = Desk(logs, chance, self._now, self.counts)
        last = plan.seconds * 0.9
        orders = [
            desk.order(chance.choice(USERS), number, chance.uniform(0, last))
            for number in range(plan.orders)
        ]
        notes = [
            desk.note(chance.choice(USERS), number, chance.uniform(0, last))
            for number in range(plan.orders // 4)
        ]
        announcements = [
            desk.announce(number, chance.uniform(0, last)) for number in range(plan.orders // 8)
        ]
        return [*orders, *notes, *announcements]

    async def _calm_down(self) -> None:
        """From the plan's end on nothing more goes wrong by itself."""
        await asyncio.sleep(self._plan.seconds)
        self.calm = True
        self._fleet.calm()
        for faults in self._writers:
            faults.calm()

    async def _caught_up(self) -> None:
        """Until every client has the last event of its user, or it takes too long."""
        truth = self._server.truth()
        for _ in range(int(QUIET_SECONDS / LOOK_SECONDS)):
            if all(has_all(truth, client) for client in self._clients):
                return
            await asyncio.sleep(LOOK_SECONDS)

    def judge(self) -> Verdict:
        """What was wrong."""
        truth, wrong, digest = self._server.truth(), self._fleet.wrong, hashlib.sha256()
        if self.counts[BEGAN_AGAIN] and not self._plan.trim:
            wrong.append("a tape forgot what it remembered, for no reason")
        limit = self._plan.settings.replay_limit
        for client in self._clients:
            found = check(truth, client.user, client.history, replay_limit=limit)
            wrong += [
                f"client {client.number} of {client.user}: {deviation}" for deviation in found
            ]
            for entry in client.history:
                id_ = entry.requested if isinstance(entry, Connect) else entry.id
                digest.update(f"{type(entry).__name__} {id_} ".encode())
        return Verdict(
            seed=self._plan.seed,
            wrong=wrong,
            counts=self.counts,
            events=truth.events,
            digest=digest.hexdigest(),
        )


def has_all(truth: Log, client: Client) -> bool:
    """Whether the last id of `client` is that of the last event of its user, or later."""
    epoch, _, sequence = (client.last_id or "").rpartition("-")
    newest = truth.newest
    if client.lost or epoch != newest.name or not sequence.isdecimal():
        return False
    ends = int(sequence) <= newest.last
    return ends and not newest.between(client.user, int(sequence), newest.last + 1)
