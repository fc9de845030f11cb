"""Injects the faults of a plan into a running system, each once enough orders are placed."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from functools import partial

from tests.faults.plan import Fault, FaultStep
from tests.harness.stack import Stack
from tests.harness.waiting import wait_until

FREEZE_SECONDS = 10.0
PROGRESS_TIMEOUT_SECONDS = 600.0
"""The longest time until enough orders for the next fault are placed."""


class ProcessFaultInjector:
    """Injects faults into `stack`, whose edge has `edge_processes` processes; `fault_counts` counts
    them."""

    def __init__(
        self,
        stack: Stack,
        edge_processes: int,
        placed_count: Callable[[], int],
        rng: random.Random,
        fault_counts: Counter[Fault],
    ) -> None:
        self._fault_counts = fault_counts
        self._stack = stack
        self._edge_processes = edge_processes
        self._placed_count = placed_count
        self._rng = rng

    def _are_placed(self, count: int) -> bool:
        return self._placed_count() >= count

    async def run(self, fault_steps: tuple[FaultStep, ...]) -> None:
        """Inject all faults, each after everything has recovered from the one before."""
        for strike in fault_steps:
            await wait_until(
                f"{strike.after_order_count} orders are placed",
                partial(self._are_placed, strike.after_order_count),
                describe_last=self._placed_count,
                timeout_seconds=PROGRESS_TIMEOUT_SECONDS,
            )
            await self._inject(strike)

    async def _inject(self, step: FaultStep) -> None:
        names = {fault: self._target_process(fault) for fault in step.faults}
        pids = {name: await self._wait_ready(name, 0) for name in names.values()}
        for fault, name in names.items():
            frozen = fault is Fault.FREEZE_NATS
            os.kill(pids[name], signal.SIGSTOP if frozen else signal.SIGKILL)
            self._fault_counts[fault] += 1
        if Fault.FREEZE_NATS in names:
            await asyncio.sleep(FREEZE_SECONDS)
            os.kill(pids["nats"], signal.SIGCONT)
        for fault, name in names.items():
            if fault is not Fault.FREEZE_NATS:
                await self._wait_ready(name, pids[name])

    def _target_process(self, fault: Fault) -> str:
        match fault:
            case Fault.KILL_EDGE:
                return f"edge-{self._rng.randrange(self._edge_processes)}"
            case Fault.KILL_ORDERS:
                return "orders"
            case _:
                return "nats"

    async def _wait_ready(self, name: str, previous_pid: int) -> int:
        """Return the new pid of `name`, other than `previous_pid`, once it is ready."""
        return await asyncio.to_thread(self._stack.pid, name, other_than=previous_pid)
