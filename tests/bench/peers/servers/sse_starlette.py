"""What a Python team would write: Starlette, sse-starlette, Redis pub/sub, uvicorn with uvloop.

It has an environment of its own (`make bench-peers`), for Tapewire needs none of it.
"""

import shutil
import sys
from pathlib import Path

from tests.bench.peers import events
from tests.bench.peers.servers.port import Pipe, Server, answers, free_port

PYTHON = Path(sys.prefix) / "peers" / "bin" / "python"
APPLICATION = Path(__file__).with_name("starlette_app.py")


class SseStarlette(Server):
    name = "sse-starlette"
    marker = "event: connected"

    @classmethod
    def missing(cls) -> str | None:
        if shutil.which("redis-server") is None:
            return "no redis-server on the PATH (Debian: redis-server)"
        return None if PYTHON.exists() else "not installed: make bench-peers"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._pipes: list[Pipe] = []

    async def start(self) -> None:
        redis, self.port = free_port(), free_port()
        broker = self._spawn(
            [
                *("redis-server", "--port", str(redis), "--bind", "127.0.0.1"),
                *("--save", "", "--appendonly", "no", "--dir", str(self.folder)),
            ],
            measured=False,
        )
        await answers(redis, broker, self._log)
        serving = self._spawn(
            [str(PYTHON), "-P", str(APPLICATION), str(self.port), str(redis)], measured=True
        )
        await answers(self.port, serving, self._log)
        self._pipes = [await Pipe.to(redis)]

    async def stop(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        await super().stop()

    async def request(self, user: str | None, *, gzip: bool = False, last_id: str = "") -> str:  # noqa: ARG002
        return f"GET /events/{user or 'all'} HTTP/1.1\r\nHost: bench\r\n\r\n"

    async def broadcast(self, number: int) -> None:
        await self._publish("all", b"price:update " + events.shown_quote(number))

    async def tell(self, user: str, number: int) -> None:
        await self._publish(user, b"order:update " + events.shown_order(f"o-{number}"))

    async def _publish(self, channel: str, data: bytes) -> None:
        parts = (b"PUBLISH", channel.encode(), data)
        await self._pipes[0].write(
            b"*3\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        )
