"""A handle on the load process (`load_generator`)."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from tests.harness.nats_servers import _set_parent_death_signal
from tests.soak.plan import LoadReport, RunConnects

MAX_LINE_BYTES = 1 << 20


class LoadProcess:
    """Sends commands to the load process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run_connects(self, connect_count: int) -> LoadReport:
        """Run until that many connections were opened and all of them are closed."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(RunConnects(connect_count)) + b"\n")
        return await self.read_report()

    async def read_report(self) -> LoadReport:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the visitors' process ended with {await self._process.wait()}")
        return msgspec.json.decode(line, type=LoadReport)


@asynccontextmanager
async def start_load_process(port: int, nats_url: str, seed: int) -> AsyncIterator[LoadProcess]:
    """Start the process; yield its handle once the initial state is appended."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.soak.load_generator", str(port), nats_url, str(seed)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=MAX_LINE_BYTES,
        preexec_fn=_set_parent_death_signal,
    )
    try:
        made = LoadProcess(process)
        await made.read_report()
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
