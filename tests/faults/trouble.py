"""What is done to a running system: the strikes of a plan, each when so many orders are placed."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable

from tests.faults.plan import Fault, Strike
from tests.stack import Stack
from tests.waiting import until

FROZEN_SECONDS = 10.0
PROGRESS_SECONDS = 600.0
"""How long the orders up to the next strike may take."""


class Trouble:
    """Strikes `stack`, whose edge has `workers` processes; `struck` counts what was done."""

    def __init__(
        self,
        stack: Stack,
        workers: int,
        placed: Callable[[], int],
        chance: random.Random,
    ) -> None:
        self.struck: Counter[Fault] = Counter()
        self._stack = stack
        self._workers = workers
        self._placed = placed
        self._chance = chance

    async def run(self, strikes: tuple[Strike, ...]) -> None:
        """All of them, each when everything has recovered from the one before."""
        for strike in strikes:
            await until(
                f"{strike.after} orders are placed",
                lambda after=strike.after: self._placed() >= after,  # type: ignore[misc]
                seen=self._placed,
                seconds=PROGRESS_SECONDS,
            )
            await self._strike(strike)

    async def _strike(self, strike: Strike) -> None:
        names = {fault: self._target(fault) for fault in strike.faults}
        pids = {name: await self._ready(name, 0) for name in names.values()}
        for fault, name in names.items():
            frozen = fault is Fault.FREEZE_NATS
            os.kill(pids[name], signal.SIGSTOP if frozen else signal.SIGKILL)
            self.struck[fault] += 1
        if Fault.FREEZE_NATS in names:
            await asyncio.sleep(FROZEN_SECONDS)
            os.kill(pids["nats"], signal.SIGCONT)
        for fault, name in names.items():
            if fault is not Fault.FREEZE_NATS:
                await self._ready(name, pids[name])

    def _target(self, fault: Fault) -> str:
        match fault:
            case Fault.KILL_EDGE:
                return f"edge-{self._chance.randrange(self._workers)}"
            case Fault.KILL_ORDERS:
                return "orders"
            case _:
                return "nats"

    async def _ready(self, name: str, dead: int) -> int:
        """The pid of `name`, not `dead`, once it is ready."""
        return await asyncio.to_thread(self._stack.pid, name, other_than=dead)
