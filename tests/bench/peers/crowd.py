"""A crowd of readers: the handle on a reader process (`reader`)."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from tests.bench.peers.cores import LOAD, pinned
from tests.bench.peers.reader import STEPS_A_SECOND, Close, Measure, Open, Order, Report

LINE_BYTES = 64 << 20


class Crowd:
    """Readers in a process of their own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def open(self, order: Open) -> Report:
        """Open connections, in addition to those that are."""
        return await self._do(order)

    async def measure(self, seconds: float) -> Report:
        """What arrives in so long."""
        return await self._do(Measure(seconds=seconds))

    async def close(self) -> None:
        await self._do(Close())

    async def _do(self, order: Order) -> Report:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the readers' process ended")
        return msgspec.json.decode(line, type=Report)


@asynccontextmanager
async def crowd() -> AsyncIterator[Crowd]:
    """A process without readers yet."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.peers.reader"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
        preexec_fn=pinned(LOAD),
    )
    try:
        yield Crowd(process)
    finally:
        process.kill()
        await process.communicate()


def delivered(report: Report) -> int:
    """Events that arrived."""
    return sum(report.steps.values())


def quantile(report: Report, share: float) -> float:
    """Seconds within which `share` of the events arrived; infinite when none did."""
    left = share * delivered(report)
    for step, count in sorted(report.steps.items()):
        left -= count
        if left <= 0:
            return (step + 0.5) / STEPS_A_SECOND
    return float("inf")
