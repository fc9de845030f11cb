"""The upper bound: a bare socket that writes the same bytes and does nothing else.

It shows what the readers, the kernel and the machine can handle; no server can deliver more.
"""

import asyncio
import sys
import time

from tests.bench.peers.servers.base import (
    BenchServer,
    HttpPipeline,
    free_port,
    wait_until_accepting,
)


class BareSocket(BenchServer):
    name = "bare socket"
    marker = ": hi"

    async def start(self) -> None:
        self.port = free_port()
        process = self._start_process(
            [sys.executable, "-m", "tests.bench.peers.servers.bare_socket_server", str(self.port)],
            is_measured=True,
        )
        await wait_until_accepting(self.port, process, self._log_tail)
        self._control_pipe = await HttpPipeline.connect(self.port)

    async def stop(self) -> None:
        self._control_pipe.close()
        await super().stop()

    async def request(self, user: str | None, *, gzip: bool = False, last_id: str = "") -> str:  # noqa: ARG002
        return "GET / HTTP/1.1\r\nHost: bench\r\n\r\n"

    async def publish_at_rate(self, rate: float, seconds: float) -> list[float]:
        """The server generates its events itself, on time one by one, and writes them once per
        window."""
        began = time.time()
        await self._control_pipe.write(b"RATE %d\n" % rate)
        await asyncio.sleep(seconds)
        await self._control_pipe.write(b"RATE 0\n")
        return [began + number / rate for number in range(int(rate * seconds))]
