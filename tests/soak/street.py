"""The handle on the visitors' process (`visitors`)."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from tests.broker import _die_with_parent
from tests.soak.plan import Order, Report

LINE_BYTES = 1 << 20


class Street:
    """Lets visitors come."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def come(self, connects: int) -> Report:
        """Returns when that many connections were opened, and all of them left."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(Order(connects)) + b"\n")
        return await self.report()

    async def report(self) -> Report:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the visitors' process ended with {await self._process.wait()}")
        return msgspec.json.decode(line, type=Report)


@asynccontextmanager
async def street(port: int, nats_url: str, seed: int) -> AsyncIterator[Street]:
    """A process that made the world, and waits."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.soak.visitors", str(port), nats_url, str(seed)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
        preexec_fn=_die_with_parent,
    )
    try:
        made = Street(process)
        await made.report()
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
