"""A handle on a reader process (`reader`)."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from tests.bench.peers.cpu_affinity import LOAD_CORES, pin_to_cores
from tests.bench.peers.reader import (
    LATENCY_STEPS_PER_SECOND,
    CloseConnections,
    MeasureArrivals,
    OpenConnections,
    ReaderCommand,
    ReaderReport,
)

MAX_LINE_BYTES = 64 << 20


class ReaderProcess:
    """Readers in a separate process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def open(self, order: OpenConnections) -> ReaderReport:
        """Open connections in addition to the existing ones."""
        return await self._execute(order)

    async def measure(self, seconds: float) -> ReaderReport:
        """Record the arrivals of `seconds`."""
        return await self._execute(MeasureArrivals(seconds=seconds))

    async def close(self) -> None:
        await self._execute(CloseConnections())

    async def _execute(self, order: ReaderCommand) -> ReaderReport:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the readers' process ended")
        return msgspec.json.decode(line, type=ReaderReport)


@asynccontextmanager
async def start_reader_process() -> AsyncIterator[ReaderProcess]:
    """Start a process without readers."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.peers.reader"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=MAX_LINE_BYTES,
        preexec_fn=pin_to_cores(LOAD_CORES),
    )
    try:
        yield ReaderProcess(process)
    finally:
        process.kill()
        await process.communicate()


def delivered_event_count(report: ReaderReport) -> int:
    """The number of delivered events."""
    return sum(report.latency_histogram.values())


def latency_quantile(report: ReaderReport, share: float) -> float:
    """The latency in seconds within which `share` of the events arrived; infinite if none did."""
    left = share * delivered_event_count(report)
    for step, count in sorted(report.latency_histogram.items()):
        left -= count
        if left <= 0:
            return (step + 0.5) / LATENCY_STEPS_PER_SECOND
    return float("inf")
