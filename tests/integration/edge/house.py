"""Services as processes over a real NATS, and the ways in that a client has.

A `House` is a message server with services on it: any number of edges, each with settings of its
own, and the orders service. There is no price service: tests say themselves what the market is
(`market.Market`). `Edge` is an edge from outside: its URL, its log lines, its memory, and clients.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

from tapewire.log.jetstream import connect
from tests import sse
from tests.broker import LocalBroker, _die_with_parent
from tests.integration.edge.market import Journal, Market

START_SECONDS = 30.0
STOP_SECONDS = 15.0
SETTINGS = {
    "TAPEWIRE_LOG_FORMAT": "json",
    "TAPEWIRE_SIGN_IN": "on",
    "TAPEWIRE_COOKIE_SECURE": "off",
    "TAPEWIRE_DRAIN_SECONDS": "0",
    # All clients of all tests come from one address, and a test has few users.
    "SSE_CONNECT_RATE": "1000000",
    "SSE_MAX_CONNECTIONS_PER_USER": "1000",
    # Nothing happens in the log but what tests say: they know its sequences.
    "TAPEWIRE_AGENT_HEARTBEAT": "0",
}


class Service:
    """A running service; made ready, or a failure that shows its log."""

    def __init__(self, name: str, settings: dict[str, str], folder: Path, fds: Sequence[int] = ()):
        self.name = name
        self.log = folder / f"{name}-{time.monotonic_ns()}.log"
        reading, writing = os.pipe()
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("TAPEWIRE_", "SSE_"))}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(  # noqa: PLW1509, RUF100
                [sys.executable, "-m", f"services.{name}"],
                env={**plain, **SETTINGS, **settings, "TAPEWIRE_READY_FD": str(writing)},
                pass_fds=(writing, *fds),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
            )
        os.close(writing)
        self._reading = reading

    def wait_ready(self) -> None:
        ready, _, _ = select.select([self._reading], [], [], START_SECONDS)
        said = os.read(self._reading, 100) if ready else b""
        os.close(self._reading)
        if not said:
            self.kill()
            raise AssertionError(f"{self.name} did not start: {self.log.read_text()[-3000:]}")

    @property
    def pid(self) -> int:
        return self.process.pid

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged, parsed; a line under way is left out."""
        complete = self.log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in complete.split("\n") if line]

    def logged(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """The lines of that event with those fields."""
        wanted = {"event": event, **fields}
        return [line for line in self.lines() if wanted.items() <= line.items()]

    def terminate(self) -> None:
        self.process.terminate()

    def stop(self) -> int:
        """End it in order; its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            last = self.log.read_text()[-3000:]
            raise AssertionError(f"{self.name} ignored SIGTERM: {last}") from None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class Edge(Service):
    """An edge from outside."""

    def __init__(self, settings: dict[str, str], folder: Path, port: int = 0) -> None:
        with socket.create_server(("127.0.0.1", port), backlog=1024) as listening:
            self.port = listening.getsockname()[1]
            self.url = f"http://127.0.0.1:{self.port}"
            fd = listening.fileno()
            super().__init__("edge", {**settings, "TAPEWIRE_LISTEN_FD": str(fd)}, folder, [fd])

    async def sign_in(self, user: str, roles: Sequence[str] = ()) -> str:
        """The cookie's value."""
        async with self.client() as http:
            answer = await http.post("/api/session", json={"userId": user, "roles": [*roles]})
        assert answer.status_code == 201, answer.text
        return str(answer.cookies["session"])

    def client(self, cookie: str | None = None) -> httpx.AsyncClient:
        """Ordinary requests, signed in by `cookie`."""
        cookies = {"session": cookie} if cookie is not None else None
        return httpx.AsyncClient(base_url=self.url, cookies=cookies, trust_env=False)

    async def follow(self, path: str, cookie: str | None = None, **how: Any) -> sse.Stream:
        """An open stream, its opening read."""
        return await sse.follow(self.url, path, cookie=cookie, **how)

    async def connect(self, path: str, cookie: str | None = None, **how: Any) -> sse.Stream:
        """An answer, whatever it is."""
        return await sse.connect(self.url, path, cookie=cookie, **how)

    async def health(self) -> dict[str, Any]:
        async with self.client() as http:
            return dict((await http.get("/health")).json())

    def memory(self) -> int:
        """Resident bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def descriptors(self) -> int:
        return int(psutil.Process(self.pid).num_fds())


class House:
    """A message server and what runs on it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._services: list[Service] = []
        self._shared: dict[tuple[tuple[str, str], ...], Edge] = {}
        self.broker = LocalBroker(folder, monitored=True)
        self.broker.start()

    def edge(self, port: int = 0, **settings: object) -> Edge:
        """A new edge; `settings` are environment variables."""
        made = Edge(self._settings(settings), self._folder, port)
        return self._ready(made)

    def shared_edge(self, **settings: object) -> Edge:
        """An edge of these settings for tests that leave it as they found it."""
        key = tuple(sorted(self._settings(settings).items()))
        if key not in self._shared:
            self._shared[key] = self.edge(**settings)
        return self._shared[key]

    def orders(self) -> Service:
        return self.service("orders")

    def service(self, name: str) -> Service:
        """A service other than the edge."""
        return self._ready(Service(name, self._settings({}), self._folder))

    @contextlib.asynccontextmanager
    async def journal(self) -> AsyncIterator[Journal]:
        """The log; start an edge first, which makes the streams."""
        wire = await connect(self.broker.url, "test")
        yield Journal(wire)
        await wire.close()

    @contextlib.asynccontextmanager
    async def market(self) -> AsyncIterator[Market]:
        """The quotes; start an edge first, which makes the streams."""
        wire = await connect(self.broker.url, "test")
        yield Market(wire)
        await wire.close()

    def _settings(self, settings: dict[str, Any]) -> dict[str, str]:
        given = {name: str(value) for name, value in settings.items()}
        return {"TAPEWIRE_NATS_URL": self.broker.url, **given}

    def _ready(self, service: Any) -> Any:
        self._services.append(service)
        service.wait_ready()
        return service

    def close(self) -> None:
        for service in self._services:
            if service.process.poll() is None:
                service.kill()
        self.broker.close()
