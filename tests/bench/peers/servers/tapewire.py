"""Tapewire: an edge process over an embedded message server, and nothing else."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import psutil

from tapewire.events import CATALOGUE, OrderPlaced
from tapewire.log import encode_token, new_id
from tapewire.log.jetstream import JetStreamEventLog, NatsConnection, connect
from tests.bench.peers import events
from tests.bench.peers.cpu_affinity import LOAD_CORES, SERVER_CORES
from tests.bench.peers.servers.base import BenchServer
from tests.harness.edge import Harness

UNLIMITED = 1_000_000


class TapewireServer(BenchServer):
    name = "tapewire"
    marker = '"timestamp"'
    """Of the snapshot."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._stack = AsyncExitStack()
        self._cookies: dict[str, str] = {}
        self._connection: NatsConnection | None = None
        self._last_sequence = self._published_count = 0

    async def start(self) -> None:
        harness = Harness(self.folder)
        self._stack.callback(harness.close)
        edge = harness.start_edge(
            TAPEWIRE_LOG_LEVEL="warning",
            SSE_MAX_CONNECTIONS=UNLIMITED,
            SSE_MAX_CONNECTIONS_PER_USER=UNLIMITED,
            SSE_CONNECT_RATE=UNLIMITED,
            TAPEWIRE_CALL_RATE=UNLIMITED,
            **self.settings,
        )
        self.port = edge.port
        self._http = await self._stack.enter_async_context(edge.client())
        self._measured_process = psutil.Process(edge.pid)
        self._measured_process.cpu_affinity(sorted(SERVER_CORES))
        self._connection = await connect(harness.broker.url, "bench")
        self._stack.push_async_callback(self._connection.close)
        for process in psutil.Process().children():
            if process.pid != edge.pid and "nats-server" in process.name():
                process.cpu_affinity(sorted(LOAD_CORES))
        for number in range(len(events.SYMBOLS)):
            await self.publish_to_all(number)

    async def stop(self) -> None:
        await self._stack.aclose()

    async def request(self, user: str | None, *, gzip: bool = False, last_id: str = "") -> str:
        lines = ["Host: localhost", "Accept: text/event-stream"]
        if user is not None:
            lines.append(f"Cookie: session={await self._cookie_of(user)}")
        if gzip:
            lines.append("Accept-Encoding: gzip")
        if last_id:
            lines.append(f"Last-Event-ID: {last_id}")
        path = "/api/stream/prices" if user is None else "/api/stream/orders"
        return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""])

    async def publish_to_all(self, number: int) -> None:
        assert self._connection is not None
        symbol = events.SYMBOLS[number % len(events.SYMBOLS)]
        await self._connection.publish(
            f"px.{encode_token(symbol)}", events.stored_quote(number), {}
        )

    async def publish_to_user(self, user: str, number: int) -> None:
        assert self._connection is not None
        self._published_count += 1
        order = f"o-{number}"
        headers = {
            "Nats-Msg-Id": new_id(),
            "Tw-Type": CATALOGUE.tag_of(OrderPlaced),
            "Tw-Correlation": "bench",
        }
        await self._connection.publish(
            f"ev.{user}.orders.{order}", events.stored_order(order), headers
        )

    async def last_event_id(self) -> str | None:
        assert self._connection is not None
        bounds = await JetStreamEventLog(self._connection).bounds()
        self._last_sequence, self._published_count = bounds.last, 0
        return f"{bounds.epoch}-{bounds.last}"

    async def wait_stored(self) -> None:
        assert self._connection is not None
        log, end = JetStreamEventLog(self._connection), self._last_sequence + self._published_count
        while (await log.bounds()).last < end:  # noqa: ASYNC110 - there is no notification
            await asyncio.sleep(0.05)

    async def _cookie_of(self, user: str) -> str:
        if user not in self._cookies:
            answer: httpx.Response = await self._http.post("/api/session", json={"userId": user})
            self._cookies[user] = answer.cookies["session"]
        return self._cookies[user]
