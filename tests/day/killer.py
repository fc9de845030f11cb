"""Kills processes, starts them again, and measures how long their work stood still.

With one process of a service, it is started again at once; with more, the one that holds the lease
is killed, and started again when another one works. What is measured is the time from the kill
until another process (or the same one, started again) holds the lease, knows what there is to do,
and says so.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from tests.day.house import LEASES, NATS, House, LeaseBook
from tests.day.plan import Kill
from tests.day.settling import Settling

TAKEOVER_SECONDS = 180.0
"""Patience with a machine that is slow or busy."""
LOOK_SECONDS = 0.02
TELLS = {
    "paper-broker": ("orders", "progress"),
    "positions": ("positions", "progress"),
    "strategies-runner": ("strategies", "progress"),
    "alerts": ("alerts", "progress"),
    "notifications": ("alerts", "notifying"),
}
"""By which answer the holder of a lease says that it works."""


class Killer:
    """Carries out kills."""

    def __init__(self, house: House, leases: LeaseBook, settling: Settling) -> None:
        self.takeovers: dict[str, list[float]] = {}
        self._house = house
        self._leases = leases
        self._settling = settling
        self._tasks: set[asyncio.Task[None]] = set()

    def during(self, kills: Sequence[Kill]) -> "asyncio.Future[list[None]]":
        """Begin to carry them out; done when all that died is there again."""
        tasks = [asyncio.create_task(self._carry_out(kill)) for kill in kills]
        self._tasks.update(tasks)
        return asyncio.gather(*tasks)

    async def close(self) -> None:
        """Leave it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry_out(self, kill: Kill) -> None:
        await asyncio.sleep(kill.seconds)
        if kill.who == NATS:
            self._house.kill_nats()
            return
        lease = next(lease for lease, service in LEASES.items() if service == kill.who)
        name = f"{kill.who}-0"
        if self._house.replicas > 1:
            name = await self._holder(lease)
        await self._house.kill(name)
        began = time.monotonic()
        if self._house.replicas == 1:
            await self._house.start(name)
            return
        await self._taken_over(lease, name)
        self.takeovers.setdefault(lease, []).append(time.monotonic() - began)
        await self._house.start(name)

    async def _holder(self, lease: str) -> str:
        holder = ""

        async def held() -> bool:
            nonlocal holder
            holder = await self._leases.holder(lease) or ""
            return bool(holder)

        await _eventually(held)
        return holder

    async def _taken_over(self, lease: str, dead: str) -> None:
        """Until another process holds it, and tells how far it is."""

        async def by_another() -> bool:
            return await self._leases.holder(lease) not in (None, dead)

        await _eventually(by_another)
        if lease in TELLS:
            await _eventually(lambda: self._settling.tells(*TELLS[lease]))


async def _eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(TAKEOVER_SECONDS):
        while True:
            if await condition():
                return
            await asyncio.sleep(LOOK_SECONDS)
