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
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

from tapewire.log.jetstream import connect
from tests import sse
from tests.broker import LocalBroker, _die_with_parent
from tests.integration.edge.market import Journal, Market
from tests.waiting import eventually

START_SECONDS = 90.0
STOP_SECONDS = 60.0
ANSWER_SECONDS = 60.0
"""Patience with a machine that is slow or busy."""
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

UNSET = ""
"""A setting of that value is left at its default."""


class Service:
    """A running service; made ready, or a failure that shows its log."""

    def __init__(
        self, name: str, settings: dict[str, str], folder: Path, fds: Sequence[int] = ()
    ) -> None:
        self.name = name
        self.log = folder / f"{name}-{time.monotonic_ns()}.log"
        reading, writing = os.pipe()
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("TAPEWIRE_", "SSE_"))}
        stated = {k: v for k, v in {**SETTINGS, **settings}.items() if v != UNSET}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(  # noqa: PLW1509, RUF100
                [sys.executable, "-m", f"services.{name}"],
                env={**plain, **stated, "TAPEWIRE_READY_FD": str(writing)},
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
        """Returns when it stands still."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class Door:
    """The ways in that a client has at `url`: an edge, or what stands before several."""

    url: str
    told: Callable[[], int] = staticmethod(lambda: 0)
    """The last sequence that a test appended to the log of the house."""
    _heard = 0

    async def sign_in(self, user: str, roles: Sequence[str] = ()) -> str:
        """The cookie's value."""
        async with self.client() as http:
            answer = await http.post("/api/session", json={"userId": user, "roles": [*roles]})
        assert answer.status_code == 201, answer.text
        return str(answer.cookies["session"])

    def client(self, cookie: str | None = None) -> httpx.AsyncClient:
        """Ordinary requests, signed in by `cookie`."""
        cookies = {"session": cookie} if cookie is not None else None
        return httpx.AsyncClient(
            base_url=self.url, cookies=cookies, trust_env=False, timeout=ANSWER_SECONDS
        )

    async def hears(self, sequence: int) -> None:
        """Wait until the edge has heard of the log up to `sequence`."""
        if self._heard >= sequence:
            return
        async with self.client() as http:

            async def heard() -> bool:
                told = (await http.get("/metrics")).text
                self._heard = int(told.partition("\ntapewire_tape_head ")[2].split()[0])
                return self._heard >= sequence

            await eventually(f"{self.url} has heard of the log up to {sequence}", heard)

    async def knows(self, *symbols: str) -> None:
        """Wait until the edge has heard of a quote of each of `symbols`."""
        params = {"symbols": ",".join(symbols)}
        async with self.client() as http:

            async def known() -> bool:
                prices = (await http.get("/api/prices", params=params)).json()["prices"]
                return len(prices) == len(symbols)

            await eventually(f"{self.url} knows {symbols}", known)

    async def follow(self, path: str, cookie: str | None = None, **how: Any) -> sse.Stream:
        """An open stream, its opening read. Without an id it begins with what the edge has heard:
        that is all that was appended before."""
        if how.get("last_event_id") is None:
            await self.hears(self.told())
        return await sse.follow(self.url, path, cookie=cookie, **how)

    async def connect(self, path: str, cookie: str | None = None, **how: Any) -> sse.Stream:
        """An answer, whatever it is."""
        return await sse.connect(self.url, path, cookie=cookie, **how)


class Edge(Door, Service):
    """An edge from outside."""

    def __init__(self, settings: dict[str, str], folder: Path, port: int = 0) -> None:
        with socket.create_server(("127.0.0.1", port), backlog=1024) as listening:
            self.port = listening.getsockname()[1]
            self.url = f"http://127.0.0.1:{self.port}"
            fd = listening.fileno()
            settings = {**settings, "TAPEWIRE_LISTEN_FD": str(fd)}
            Service.__init__(self, "edge", settings, folder, [fd])

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
        self._appended = 0
        self.broker = LocalBroker(folder, monitored=True)
        self.broker.start()

    def edge(self, port: int = 0, **settings: object) -> Edge:
        """A new edge; `settings` are environment variables."""
        made: Edge = self.begin(lambda *of: Edge(*of, port), **settings)
        made.told = lambda: self._appended
        self._ready(made)
        return made

    def begin(self, make: Callable[[dict[str, str], Path], Any], **settings: object) -> Any:
        """What `make` makes of settings and a folder, without waiting until it is ready."""
        made = make(self._settings(settings), self._folder)
        self._services.append(made)
        return made

    def shared_edge(self, **settings: object) -> Edge:
        """An edge of these settings for tests that leave it as they found it."""
        key = tuple(sorted(self._settings(settings).items()))
        if key not in self._shared:
            self._shared[key] = self.edge(**settings)
        return self._shared[key]

    def orders(self) -> Service:
        return self.service("orders")

    def service(self, name: str, **settings: object) -> Service:
        """A new process of the service `name`."""
        return self._ready(self.begin(lambda *of: Service(name, *of), **settings))

    def log_text(self) -> str:
        """What all services ever said."""
        return "".join(service.log.read_text(errors="replace") for service in self._services)

    @contextlib.asynccontextmanager
    async def journal(self) -> AsyncIterator[Journal]:
        """The log; start an edge first, which makes the streams."""
        wire = await connect(self.broker.url, "test")
        yield Journal(wire, self._note)
        await wire.close()

    @contextlib.asynccontextmanager
    async def market(self) -> AsyncIterator[Market]:
        """The quotes; start an edge first, which makes the streams."""
        wire = await connect(self.broker.url, "test")
        yield Market(wire)
        await wire.close()

    def _note(self, sequence: int) -> None:
        """Tests append side by side; 0 says that the log was made anew."""
        self._appended = max(self._appended, sequence) if sequence else 0

    def _settings(self, settings: dict[str, Any]) -> dict[str, str]:
        given = {name: str(value) for name, value in settings.items()}
        return {"TAPEWIRE_NATS_URL": self.broker.url, **given}

    def _ready(self, service: Any) -> Any:
        service.wait_ready()
        return service

    def close(self) -> None:
        for service in self._services:
            if service.process.poll() is None:
                service.kill()
        self.broker.close()
