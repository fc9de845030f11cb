"""Services as processes on a real NATS server, and the ways in which a client reaches them.

A `Harness` is a message server with services on it: any number of edges, each with its own
settings, and the orders service. There is no price service; tests publish the quotes themselves
(`publishers.QuoteDriver`). An `EdgeProcess` is an edge seen from outside: its URL, its log lines,
its memory, and clients.
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
from typing import Any, TypeVar

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
"""Allows for a slow or busy machine."""
KEEPALIVE_SECONDS = 1.0
"""How long clients keep an idle connection. The edge closes one after 5 s. So would httpx, and then
it sometimes sends a request on a connection that is being closed."""
SETTINGS = {
    "TAPEWIRE_LOG_FORMAT": "json",
    "TAPEWIRE_SIGN_IN": "on",
    "TAPEWIRE_COOKIE_SECURE": "off",
    "TAPEWIRE_DRAIN_SECONDS": "0",
    # All clients of all tests connect from one address, and a test has few users.
    "SSE_CONNECT_RATE": "1000000",
    "TAPEWIRE_CALL_RATE": "1000000",
    "SSE_MAX_CONNECTIONS_PER_USER": "1000",
    # Only tests append to the log, so they know its sequences.
    "TAPEWIRE_AGENT_HEARTBEAT": "0",
}

USE_DEFAULT = ""
"""A setting with this value keeps its default."""


def _start_process(
    name: str, environment: dict[str, str], output_fd: int, fds: Mapping[str, int]
) -> "ForkedProcess | subprocess.Popen[bytes]":
    """Start a service. A service with its own modules needs a new interpreter."""
    if "PYTHONPATH" not in environment or environment["PYTHONPATH"] == os.environ.get("PYTHONPATH"):
        return fork_server.start_service(name, environment, output_fd, fds)
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
    """A running service. `wait_ready` waits until it is ready, and shows its log if it fails."""

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
        message = os.read(self._ready_fd, 100) if ready else b""
        os.close(self._ready_fd)
        if not message:
            self.kill()
            raise AssertionError(f"{self.name} did not start: {self.log_file.read_text()[-3000:]}")

    @property
    def pid(self) -> int:
        return self.process.pid

    def log_lines(self) -> list[dict[str, Any]]:
        """The parsed lines of its log, without an incomplete last line."""
        complete = self.log_file.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in complete.split("\n") if line]

    def find_log_lines(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """The log lines of that event with those fields."""
        wanted = {"event": event, **fields}
        return [line for line in self.log_lines() if wanted.items() <= line.items()]

    def terminate(self) -> None:
        self.process.terminate()

    def stop(self) -> int:
        """Stop the service with SIGTERM; return its exit code."""
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
        """Stop the process with SIGSTOP; return once it has stopped."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


ServiceT = TypeVar("ServiceT", bound=ManagedService)


class EdgeClient:
    """The client's view of `url`: an edge, or a balancer in front of several.

    Args:
        last_appended_sequence: returns the last sequence that tests appended to the log.
    """

    def __init__(self, url: str, last_appended_sequence: Callable[[], int] = lambda: 0) -> None:
        self.url = url
        self._last_appended_sequence = last_appended_sequence
        self._followed_sequence = 0

    async def sign_in(self, user: str, roles: Sequence[str] = ()) -> str:
        """Return the value of the session cookie."""
        async with self.client() as http:
            answer = await http.post("/api/session", json={"userId": user, "roles": [*roles]})
        assert answer.status_code == 201, answer.text
        return str(answer.cookies["session"])

    def client(self, cookie: str | None = None) -> httpx.AsyncClient:
        """A client for ordinary requests, signed in by `cookie`."""
        cookies = {"session": cookie} if cookie is not None else None
        return httpx.AsyncClient(
            base_url=self.url,
            cookies=cookies,
            trust_env=False,
            timeout=RESPONSE_TIMEOUT_SECONDS,
            limits=httpx.Limits(max_connections=100, keepalive_expiry=KEEPALIVE_SECONDS),
        )

    async def wait_until_followed(self, sequence: int) -> None:
        """Wait until the edge's log tail has reached `sequence`."""
        if self._followed_sequence >= sequence:
            return
        async with self.client() as http:

            async def has_followed() -> bool:
                metrics = (await http.get("/metrics")).text
                self._followed_sequence = int(
                    metrics.partition("\ntapewire_tape_head ")[2].split()[0]
                )
                return self._followed_sequence >= sequence

            await wait_until_async(
                f"{self.url} has received the log up to {sequence}", has_followed
            )

    async def wait_for_quotes(self, *symbols: str) -> None:
        """Wait until the edge has received a quote of each of `symbols`."""
        params = {"symbols": ",".join(symbols)}
        async with self.client() as http:

            async def has_quotes() -> bool:
                prices = (await http.get("/api/prices", params=params)).json()["prices"]
                return len(prices) == len(symbols)

            await wait_until_async(f"{self.url} has quotes of {symbols}", has_quotes)

    async def open_stream(self, path: str, cookie: str | None = None, **how: Any) -> sse.SseStream:
        """Open a stream and read its opening. Without an id, first wait until the edge has received
        all events that tests appended so far, so the snapshot includes them."""
        if how.get("last_event_id") is None:
            await self.wait_until_followed(self._last_appended_sequence())
        return await sse.open_stream(self.url, path, cookie=cookie, **how)

    async def connect(self, path: str, cookie: str | None = None, **how: Any) -> sse.SseStream:
        """Return the response, whatever its status."""
        return await sse.connect(self.url, path, cookie=cookie, **how)


class EdgeProcess(EdgeClient, ManagedService):
    """An edge process, seen from outside."""

    def __init__(
        self,
        settings: dict[str, str],
        folder: Path,
        port: int = 0,
        last_appended_sequence: Callable[[], int] = lambda: 0,
    ) -> None:
        with socket.create_server(("127.0.0.1", port), backlog=1024) as listening:
            self.port: int = listening.getsockname()[1]
            EdgeClient.__init__(self, f"http://127.0.0.1:{self.port}", last_appended_sequence)
            fd = listening.fileno()
            ManagedService.__init__(self, "edge", settings, folder, {"TAPEWIRE_LISTEN_FD": fd})

    async def health(self) -> dict[str, Any]:
        async with self.client() as http:
            return dict((await http.get("/health")).json())

    def resident_bytes(self) -> int:
        """The resident memory in bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def open_descriptors(self) -> int:
        return int(psutil.Process(self.pid).num_fds())


class Harness:
    """A message server and the services that run on it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._services: list[ManagedService] = []
        self._shared_edges: dict[tuple[tuple[str, str], ...], EdgeProcess] = {}
        self._last_appended_sequence = 0
        self.broker = LocalNatsServer(folder, with_monitoring=True, provisioned=True)
        self.broker.start()

    def start_edge(self, port: int = 0, /, **settings: Any) -> EdgeProcess:
        """Start a new edge; `settings` are environment variables."""
        return self._wait_ready(
            self.start_process(
                lambda environment, folder: EdgeProcess(
                    environment, folder, port, lambda: self._last_appended_sequence
                ),
                **settings,
            )
        )

    def start_process(
        self, factory: Callable[[dict[str, str], Path], ServiceT], **settings: Any
    ) -> ServiceT:
        """Start what `factory` makes of the settings and a folder, without waiting until it is
        ready."""
        made = factory(self._with_nats_url(settings), self._folder)
        self._services.append(made)
        return made

    def shared_edge(self, **settings: Any) -> EdgeProcess:
        """An edge with these settings, for tests that leave it unchanged."""
        key = tuple(sorted(self._with_nats_url(settings).items()))
        if key not in self._shared_edges:
            self._shared_edges[key] = self.start_edge(**settings)
        return self._shared_edges[key]

    def start_orders(self, **settings: Any) -> ManagedService:
        """Start the orders service. A quote that a test publishes once stays fresh for a while."""
        return self.start_service("orders", **{"TAPEWIRE_STALE_SECONDS": "60", **settings})

    def start_service(self, name: str, **settings: Any) -> ManagedService:
        """Start a new process of the service `name`."""
        return self._wait_ready(
            self.start_process(
                lambda environment, folder: ManagedService(name, environment, folder), **settings
            )
        )

    def log_text(self) -> str:
        """The log output of all services so far."""
        return "".join(service.log_file.read_text(errors="replace") for service in self._services)

    @contextlib.asynccontextmanager
    async def journal(self) -> AsyncIterator[EventLogDriver]:
        """The event log."""
        connection = await connect(self.broker.url, "test")
        yield EventLogDriver(connection, self._record_appended)
        await connection.close()

    @contextlib.asynccontextmanager
    async def market(self) -> AsyncIterator[QuoteDriver]:
        """The quotes."""
        connection = await connect(self.broker.url, "test")
        yield QuoteDriver(connection)
        await connection.close()

    def _record_appended(self, sequence: int) -> None:
        """Record the highest sequence, because tests append concurrently; 0 means that the log was
        recreated."""
        self._last_appended_sequence = (
            max(self._last_appended_sequence, sequence) if sequence else 0
        )

    def _with_nats_url(self, settings: dict[str, Any]) -> dict[str, str]:
        given = {name: str(value) for name, value in settings.items()}
        return {"TAPEWIRE_NATS_URL": self.broker.url, **given}

    def _wait_ready(self, service: ServiceT) -> ServiceT:
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
