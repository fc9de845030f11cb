"""Processes messages of one order after another, and of different orders side by side."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

Job = Callable[[], Awaitable[None]]


class OrderLanes:
    """Jobs by order. `run` them until cancelled; it raises what a job raises."""

    def __init__(self) -> None:
        self._lanes: dict[str, deque[Job]] = {}
        self._started: asyncio.Queue[str] = asyncio.Queue()
        self.job_count = 0

    def submit(self, order_id: str, job: Job) -> None:
        """Do `job` after all earlier ones of the order."""
        self.job_count += 1
        if order_id in self._lanes:
            self._lanes[order_id].append(job)
        else:
            self._lanes[order_id] = deque([job])
            self._started.put_nowait(order_id)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._work(await self._started.get()))

    async def _work(self, order_id: str) -> None:
        lane = self._lanes[order_id]
        while lane:
            await lane.popleft()()
            self.job_count -= 1
        del self._lanes[order_id]
