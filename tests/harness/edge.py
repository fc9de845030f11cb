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
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tapewire.log.jetstream import connect
from tests.harness import fork_server, sse
from tests.harness.fork_server import ForkedProcess
from tests.harness.nats_servers import LocalNatsServer, _set_parent_death_signal
from tests.harness.publishers import EventLogDriver, QuoteDriver
from tests.harness.waiting import wait_until_async

START_TIMEOUT_SECONDS = 90.0
STOP_TIMEOUT_SECONDS = 60.0
RESPONSE_TIMEOUT_SECONDS = 60.0
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

USE_DEFAULT = ""
"""A setting of that value is left at its default."""


def _start_process(
    name: str, environment: dict[str, str], output_fd: int, fds: Mapping[str, int]
) -> "ForkedProcess | subprocess.Popen[bytes]":
    """Start a service; one with modules of its own needs a new interpreter."""
    if "PYTHONPATH" not in environment or environment["PYTHONPATH"] == os.environ.get("PYTHONPATH"):
        return fork_server.start(name, environment, output_fd, fds)
    return subprocess.Popen(  # noqa: PLW1509, RUF100
        [sys.executable, "-m", f"tapewire_services.{name}"],
        env={**environment, **{variable: str(fd) for variable, fd in fds.items()}},
        pass_fds=[*fds.values()],
        stdin=subprocess.DEVNULL,
        stdout=output_fd,
        stderr=output_fd,
        preexec_fn=_set_parent_death_signal,
    )


class ManagedService:
    """A running service; made ready, or a failure that shows its log."""

    def __init__(
        self,
        name: str,
        settings: dict[str, str],
        folder: Path,
        fds: Mapping[str, int] | None = None,
    ) -> None:
        self.name = name
        self.log_file = folder / f"{name}-{time.monotonic_ns()}.log"
        reading, writing = os.pipe()
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("TAPEWIRE_", "SSE_"))}
        stated = {k: v for k, v in {**SETTINGS, **settings}.items() if v != USE_DEFAULT}
        with self.log_file.open("wb") as log:
            inherited = {**(fds or {}), "TAPEWIRE_READY_FD": writing}
            self.process = _start_process(name, {**plain, **stated}, log.fileno(), inherited)
        os.close(writing)
        self._ready_fd = reading

    def wait_ready(self) -> None:
        ready, _, _ = select.select([self._ready_fd], [], [], START_TIMEOUT_SECONDS)
        said = os.read(self._ready_fd, 100) if ready else b""
        os.close(self._ready_fd)
        if not said:
            self.kill()
            raise AssertionError(f"{self.name} did not start: {self.log_file.read_text()[-3000:]}")

    @property
    def pid(self) -> int:
        return self.process.pid

    def log_lines(self) -> list[dict[str, Any]]:
        """What it has logged, parsed; a line under way is left out."""
        complete = self.log_file.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in complete.split("\n") if line]

    def find_log_lines(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """The lines of that event with those fields."""
        wanted = {"event": event, **fields}
        return [line for line in self.log_lines() if wanted.items() <= line.items()]

    def terminate(self) -> None:
        self.process.terminate()

    def stop(self) -> int:
        """End it in order; its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            last = self.log_file.read_text()[-3000:]
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


class EdgeClient:
    """The ways in that a client has at `url`: an edge, or what stands before several."""

    url: str
    last_appended_sequence: Callable[[], int] = staticmethod(lambda: 0)
    """The last sequence that a test appended to the log of the house."""
    _followed_sequence = 0

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
            base_url=self.url, cookies=cookies, trust_env=False, timeout=RESPONSE_TIMEOUT_SECONDS
        )

    async def wait_until_followed(self, sequence: int) -> None:
        """Wait until the edge has heard of the log up to `sequence`."""
        if self._followed_sequence >= sequence:
            return
        async with self.client() as http:

            async def heard() -> bool:
                told = (await http.get("/metrics")).text
                self._followed_sequence = int(told.partition("\ntapewire_tape_head ")[2].split()[0])
                return self._followed_sequence >= sequence

            await wait_until_async(f"{self.url} has heard of the log up to {sequence}", heard)

    async def wait_for_quotes(self, *symbols: str) -> None:
        """Wait until the edge has heard of a quote of each of `symbols`."""
        params = {"symbols": ",".join(symbols)}
        async with self.client() as http:

            async def known() -> bool:
                prices = (await http.get("/api/prices", params=params)).json()["prices"]
                return len(prices) == len(symbols)

            await wait_until_async(f"{self.url} knows {symbols}", known)

    async def open_stream(self, path: str, cookie: str | None = None, **how: Any) -> sse.SseStream:
        """An open stream, its opening read. Without an id it begins with what the edge has heard:
        that is all that was appended before."""
        if how.get("last_event_id") is None:
            await self.wait_until_followed(self.last_appended_sequence())
        return await sse.open_stream(self.url, path, cookie=cookie, **how)

    async def connect(self, path: str, cookie: str | None = None, **how: Any) -> sse.SseStream:
        """An answer, whatever it is."""
        return await sse.connect(self.url, path, cookie=cookie, **how)


class EdgeProcess(EdgeClient, ManagedService):
    """An edge from outside."""

    def __init__(self, settings: dict[str, str], folder: Path, port: int = 0) -> None:
        with socket.create_server(("127.0.0.1", port), backlog=1024) as listening:
            self.port = listening.getsockname()[1]
            self.url = f"http://127.0.0.1:{self.port}"
            fd = listening.fileno()
            ManagedService.__init__(self, "edge", settings, folder, {"TAPEWIRE_LISTEN_FD": fd})

    async def health(self) -> dict[str, Any]:
        async with self.client() as http:
            return dict((await http.get("/health")).json())

    def resident_bytes(self) -> int:
        """Resident bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def open_descriptors(self) -> int:
        return int(psutil.Process(self.pid).num_fds())


class Harness:
    """A message server and what runs on it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._services: list[ManagedService] = []
        self._shared_edges: dict[tuple[tuple[str, str], ...], EdgeProcess] = {}
        self._last_appended_sequence = 0
        self.broker = LocalNatsServer(folder, with_monitoring=True)
        self.broker.start()

    def start_edge(self, port: int = 0, **settings: Any) -> EdgeProcess:
        """A new edge; `settings` are environment variables."""
        made: EdgeProcess = self.start_process(
            lambda environment, folder: EdgeProcess(environment, folder, port), **settings
        )
        made.last_appended_sequence = lambda: self._last_appended_sequence
        self._wait_ready(made)
        return made

    def start_process(self, factory: Callable[[dict[str, str], Path], Any], **settings: Any) -> Any:
        """What `make` makes of settings and a folder, without waiting until it is ready."""
        made = factory(self._with_nats_url(settings), self._folder)
        self._services.append(made)
        return made

    def shared_edge(self, **settings: Any) -> EdgeProcess:
        """An edge of these settings for tests that leave it as they found it."""
        key = tuple(sorted(self._with_nats_url(settings).items()))
        if key not in self._shared_edges:
            self._shared_edges[key] = self.start_edge(**settings)
        return self._shared_edges[key]

    def start_orders(self) -> ManagedService:
        return self.start_service("orders")

    def start_service(self, name: str, **settings: Any) -> ManagedService:
        """A new process of the service `name`."""
        return self._wait_ready(
            self.start_process(lambda *of: ManagedService(name, *of), **settings)
        )

    def log_text(self) -> str:
        """What all services ever said."""
        return "".join(service.log_file.read_text(errors="replace") for service in self._services)

    @contextlib.asynccontextmanager
    async def journal(self) -> AsyncIterator[EventLogDriver]:
        """The log; start an edge first, which makes the streams."""
        wire = await connect(self.broker.url, "test")
        yield EventLogDriver(wire, self._record_appended)
        await wire.close()

    @contextlib.asynccontextmanager
    async def market(self) -> AsyncIterator[QuoteDriver]:
        """The quotes; start an edge first, which makes the streams."""
        wire = await connect(self.broker.url, "test")
        yield QuoteDriver(wire)
        await wire.close()

    def _record_appended(self, sequence: int) -> None:
        """Tests append side by side; 0 says that the log was made anew."""
        self._last_appended_sequence = (
            max(self._last_appended_sequence, sequence) if sequence else 0
        )

    def _with_nats_url(self, settings: dict[str, Any]) -> dict[str, str]:
        given = {name: str(value) for name, value in settings.items()}
        return {"TAPEWIRE_NATS_URL": self.broker.url, **given}

    def _wait_ready(self, service: Any) -> Any:
        service.wait_ready()
        return service

    def close(self) -> None:
        for service in self._services:
            if service.process.poll() is None:
                service.kill()
        self.broker.close()


@pytest.fixture
def isolated_harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """A harness of the test's own, without any service yet."""
    made = Harness(tmp_path_factory.mktemp("lone"))
    yield made
    made.close()
