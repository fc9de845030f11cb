"""Kills processes, restarts them, and measures how long their work stopped.

The only process of a service is restarted at once. Of several processes, the holder of the lease is
killed and restarted when another one has taken over. The measured time ends when another process
holds the lease and reports its progress.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from tests.day.plan import PlannedKill
from tests.day.quiescence import QuiescenceDetector
from tests.day.service_processes import NATS, SERVICE_OF_LEASE, LeaseReader, ServiceProcesses

TAKEOVER_TIMEOUT_SECONDS = 180.0
"""Long enough for a slow or busy machine."""
POLL_INTERVAL_SECONDS = 0.02
PROGRESS_OF_LEASE = {
    "paper-broker": ("orders", "progress"),
    "positions": ("positions", "progress"),
    "strategies-runner": ("strategies", "progress"),
    "alerts": ("alerts", "progress"),
    "notifications": ("alerts", "notifying"),
}
"""The request by which the holder of a lease reports that it works."""


class ProcessKiller:
    """Carries out planned kills."""

    def __init__(
        self, processes: ServiceProcesses, leases: LeaseReader, quiescence: QuiescenceDetector
    ) -> None:
        self.takeover_seconds: dict[str, list[float]] = {}
        self._processes = processes
        self._leases = leases
        self._quiescence = quiescence
        self._tasks: set[asyncio.Task[None]] = set()

    def start_kills(self, kills: Sequence[PlannedKill]) -> "asyncio.Future[list[None]]":
        """Start the kills. The result is done when all killed processes run again."""
        tasks = [asyncio.create_task(self._kill_and_restart(kill)) for kill in kills]
        self._tasks.update(tasks)
        return asyncio.gather(*tasks)

    async def close(self) -> None:
        """Cancel the kills under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _kill_and_restart(self, kill: PlannedKill) -> None:
        await asyncio.sleep(kill.delay_seconds)
        if kill.process_name == NATS:
            self._processes.kill_nats()
            return
        lease = next(
            lease for lease, service in SERVICE_OF_LEASE.items() if service == kill.process_name
        )
        name = f"{kill.process_name}-0"
        if self._processes.replicas > 1:
            name = await self._wait_for_holder(lease)
        await self._processes.kill(name)
        began = time.monotonic()
        if self._processes.replicas == 1:
            await self._processes.start(name)
            return
        await self._wait_for_takeover(lease, name)
        self.takeover_seconds.setdefault(lease, []).append(time.monotonic() - began)
        await self._processes.start(name)

    async def _wait_for_holder(self, lease: str) -> str:
        holder = ""

        async def held() -> bool:
            nonlocal holder
            holder = await self._leases.holder(lease) or ""
            return bool(holder)

        await _wait_until(held)
        return holder

    async def _wait_for_takeover(self, lease: str, killed_process: str) -> None:
        """Wait until another process holds the lease and reports its progress."""

        async def by_another() -> bool:
            return await self._leases.holder(lease) not in (None, killed_process)

        await _wait_until(by_another)
        if lease in PROGRESS_OF_LEASE:
            await _wait_until(lambda: self._quiescence.reports_progress(*PROGRESS_OF_LEASE[lease]))


async def _wait_until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(TAKEOVER_TIMEOUT_SECONDS):
        while True:
            if await condition():
                return
            await asyncio.sleep(POLL_INTERVAL_SECONDS)
