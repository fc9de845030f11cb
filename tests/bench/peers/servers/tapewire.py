"""Tapewire: an edge process over an embedded message server, and nothing else."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import psutil

from tapewire.events import CATALOGUE, OrderPlaced
from tapewire.log import new_id, token
from tapewire.log.jetstream import JetStreamLog, Wire, connect
from tests.bench.peers import events
from tests.bench.peers.cores import LOAD, SERVER
from tests.bench.peers.servers.port import Server
from tests.integration.edge.house import House

UNLIMITED = 1_000_000


class Tapewire(Server):
    name = "tapewire"
    marker = '"timestamp"'
    """Of the snapshot."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._stack = AsyncExitStack()
        self._cookies: dict[str, str] = {}
        self._wire: Wire | None = None
        self._last = self._told = 0

    async def start(self) -> None:
        house = House(self.folder)
        self._stack.callback(house.close)
        edge = house.edge(
            TAPEWIRE_LOG_LEVEL="warning",
            SSE_MAX_CONNECTIONS=UNLIMITED,
            SSE_MAX_CONNECTIONS_PER_USER=UNLIMITED,
            SSE_CONNECT_RATE=UNLIMITED,
            **self.settings,
        )
        self.port = edge.port
        self._http = await self._stack.enter_async_context(edge.client())
        self._measured = psutil.Process(edge.pid)
        self._measured.cpu_affinity(sorted(SERVER))
        self._wire = await connect(house.broker.url, "bench")
        self._stack.push_async_callback(self._wire.close)
        for process in psutil.Process().children():
            if process.pid != edge.pid and "nats-server" in process.name():
                process.cpu_affinity(sorted(LOAD))
        for number in range(len(events.SYMBOLS)):
            await self.broadcast(number)

    async def stop(self) -> None:
        await self._stack.aclose()

    async def request(self, user: str | None, *, gzip: bool = False, last_id: str = "") -> str:
        lines = ["Host: bench", "Accept: text/event-stream"]
        if user is not None:
            lines.append(f"Cookie: session={await self._cookie(user)}")
        if gzip:
            lines.append("Accept-Encoding: gzip")
        if last_id:
            lines.append(f"Last-Event-ID: {last_id}")
        path = "/api/stream/prices" if user is None else "/api/stream/orders"
        return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""])

    async def broadcast(self, number: int) -> None:
        assert self._wire is not None
        symbol = events.SYMBOLS[number % len(events.SYMBOLS)]
        await self._wire.publish(f"px.{token(symbol)}", events.stored_quote(number), {})

    async def tell(self, user: str, number: int) -> None:
        assert self._wire is not None
        self._told += 1
        order = f"o-{number}"
        headers = {
            "Nats-Msg-Id": new_id(),
            "Tw-Type": CATALOGUE.tag(OrderPlaced),
            "Tw-Correlation": "bench",
        }
        await self._wire.publish(f"ev.{user}.orders.{order}", events.stored_order(order), headers)

    async def position(self) -> str | None:
        assert self._wire is not None
        bounds = await JetStreamLog(self._wire).bounds()
        self._last, self._told = bounds.last, 0
        return f"{bounds.epoch}-{bounds.last}"

    async def settled(self) -> None:
        assert self._wire is not None
        log, end = JetStreamLog(self._wire), self._last + self._told
        while (await log.bounds()).last < end:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)

    async def _cookie(self, user: str) -> str:
        if user not in self._cookies:
            answer: httpx.Response = await self._http.post("/api/session", json={"userId": user})
            self._cookies[user] = answer.cookies["session"]
        return self._cookies[user]
