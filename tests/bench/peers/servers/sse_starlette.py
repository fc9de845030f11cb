"""A typical Python solution: Starlette, sse-starlette, Redis pub/sub, uvicorn with uvloop.

It has its own environment (`make bench-peers`), because Tapewire needs none of these packages.
"""

import shutil
import sys
from pathlib import Path

from tests.bench.peers import events
from tests.bench.peers.servers.base import (
    BenchServer,
    HttpPipeline,
    free_port,
    wait_until_accepting,
)

PEER_PYTHON = Path(sys.prefix) / "peers" / "bin" / "python"
APPLICATION_PATH = Path(__file__).with_name("starlette_app.py")


class SseStarlette(BenchServer):
    name = "sse-starlette"
    marker = "event: connected"

    @classmethod
    def unavailable_reason(cls) -> str | None:
        if shutil.which("redis-server") is None:
            return "no redis-server on the PATH (Debian: redis-server)"
        return None if PEER_PYTHON.exists() else "not installed: make bench-peers"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._pipes: list[HttpPipeline] = []

    async def start(self) -> None:
        redis, self.port = free_port(), free_port()
        broker = self._start_process(
            [
                *("redis-server", "--port", str(redis), "--bind", "127.0.0.1"),
                *("--save", "", "--appendonly", "no", "--dir", str(self.folder)),
            ],
            is_measured=False,
        )
        await wait_until_accepting(redis, broker, self._log_tail)
        serving = self._start_process(
            [str(PEER_PYTHON), "-P", str(APPLICATION_PATH), str(self.port), str(redis)],
            is_measured=True,
        )
        await wait_until_accepting(self.port, serving, self._log_tail)
        self._pipes = [await HttpPipeline.connect(redis)]

    async def stop(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        await super().stop()

    async def request(self, user: str | None, *, gzip: bool = False, last_id: str = "") -> str:  # noqa: ARG002
        return f"GET /events/{user or 'all'} HTTP/1.1\r\nHost: bench\r\n\r\n"

    async def publish_to_all(self, number: int) -> None:
        await self._publish_to_channel("all", b"price:update " + events.streamed_quote(number))

    async def publish_to_user(self, user: str, number: int) -> None:
        await self._publish_to_channel(
            user, b"order:update " + events.streamed_order(f"o-{number}")
        )

    async def _publish_to_channel(self, channel: str, data: bytes) -> None:
        parts = (b"PUBLISH", channel.encode(), data)
        await self._pipes[0].write(
            b"*3\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        )
