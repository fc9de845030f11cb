"""Clients that other people made, used as docs/clients.md says, and what they were shown.

`CLIENTS` is the table of them. `Client.start` runs one, on any number of streams; a `Reader` holds
what it showed, in order, and `until` waits for something in it. All but the browser are processes
of their own that print a line for each event; the browser's page calls a function of the test.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, Route

from tests.clients.snippets import lay_out
from tests.waiting import until

WAIT_SECONDS = 60.0
PAGE_PAUSE_MS = 1000
"""What a page waits after an answer that it cannot see."""
TYPES = (
    "connected", "CONNECTED", "order:update", "order:fill", "position:update", "checkpoint",
    "stream:reset", "connection:limit", "initial_state", "ORDER_PLACED", "metrics", "new_item",
    "notification", "notification:unread",
)  # fmt: skip
"""What an EventSource is told to listen to."""


@dataclass(frozen=True)
class Seen:
    """An event as a client showed it. `id`: what the client takes for it; some say the last one
    again for an event without."""

    path: str
    event: str
    data: Any
    id: str


@dataclass(frozen=True)
class Wanted:
    """A stream to follow: the server, the path, how to sign in, the id to begin after."""

    base: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""
    id: str = ""

    def told(self) -> dict[str, Any]:
        url = f"{self.base}{self.path}{self.query}"
        return {
            "path": self.path,
            "url": url,
            "headers": self.headers,
            "id": self.id,
            "types": TYPES,
        }


class Reader:
    """What a running client has shown so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[Seen] = []
        self.over = ""
        """Why it gave up: a status, or "limit"."""
        self.ended = ""
        """The same in full, or how it failed."""

    def say(self, said: dict[str, Any]) -> None:
        """A line of a client."""
        if "over" in said:
            self.over = said["over"]
            self.ended = f"it gave up: {self.over}"
        else:
            data = json.loads(said["data"])
            self.seen.append(Seen(said["path"], said["event"], data, said["id"] or ""))

    def of(self, path: str, event: str | None = None) -> list[Seen]:
        return [one for one in self.seen if one.path == path and event in (None, one.event)]

    def orders(self, path: str) -> list[tuple[str, str]]:
        """Each order that came as an event, with the event's id."""
        shown = self.of(path, "order:update")
        return [(one.id, one.data["orderId"]) for one in shown if "orderId" in one.data]

    async def until(self, what: str, condition: Callable[["Reader"], object]) -> None:
        """Wait until `condition` holds of it."""

        def holds() -> object:
            assert not self.ended, f"{self.name} ended before {what}: {self.ended}"
            return condition(self)

        await until(
            f"{self.name}: {what}", holds, seen=lambda: self.seen[-3:], seconds=WAIT_SECONDS
        )

    async def until_over(self) -> str:
        """Wait until it gives up; why."""
        await until(
            f"{self.name} gives up",
            lambda: self.over,
            seen=lambda: (self.ended, self.seen[-3:]),
            seconds=WAIT_SECONDS,
        )
        return self.over

    async def until_event(self, path: str, event: str) -> Seen:
        await self.until(f"{event} of {path}", lambda reader: reader.of(path, event))
        return self.of(path, event)[0]

    async def until_order(self, path: str, order_id: str) -> None:
        def has(reader: Reader) -> bool:
            shown = reader.orders(path)
            return bool(shown) and shown[-1][1] == order_id

        await self.until(f"order {order_id} is the last on {path}", has)


@dataclass(frozen=True)
class Client:
    """A row of the table: `ways` are how it can sign in, `command` what runs a program."""

    name: str
    driver: str
    ways: tuple[str, ...]
    command: tuple[str, ...] = ()
    needs: str | None = None
    """The fixture that it needs."""

    @contextlib.asynccontextmanager
    async def start(self, needed: Any, folder: Path, *wanted: Wanted) -> AsyncIterator[Reader]:
        """Run it on all of `wanted` until the block ends. `needed` is what its fixture gave."""
        reader = Reader(self.name)
        runs = {"curl": _shells, "EventSource": _page}.get(self.name, _process)
        async with runs(self, reader, needed, folder, wanted):
            yield reader


_PYTHON = (sys.executable,)
_NODE = ("node",)
CLIENTS = (
    Client("curl", "curl.sh", ("cookie", "bearer"), ("bash",), "curl"),
    Client("httpx-sse", "with_httpx_sse.py", ("bearer", "cookie"), _PYTHON),
    Client("sseclient-py", "with_sseclient.py", ("cookie", "bearer"), _PYTHON),
    Client("eventsource", "eventsource.mjs", ("bearer",), _NODE, "node_modules"),
    Client("fetch-event-source", "fetch_event_source.mjs", ("bearer",), _NODE, "node_modules"),
    Client("EventSource", "chromium.js", ("ticket", "cookie"), needs="browser"),
)


@contextlib.asynccontextmanager
async def _process(
    client: Client, reader: Reader, needed: Path | None, folder: Path, wanted: Sequence[Wanted]
) -> AsyncIterator[None]:
    """A program in a file, which prints JSON."""
    file = lay_out(client.name, client.driver, folder)
    if needed is not None:
        link = folder / "node_modules"
        link.exists() or link.symlink_to(needed)
    streams = json.dumps([one.told() for one in wanted])
    async with _lines(reader, [*client.command, str(file), streams], folder) as lines:
        task = asyncio.create_task(_parse_json(reader, lines))
        yield
    await task


async def _parse_json(reader: Reader, lines: AsyncIterator[str]) -> None:
    async for line in lines:
        reader.say(json.loads(line))


@contextlib.asynccontextmanager
async def _shells(
    client: Client, reader: Reader, needed: str, folder: Path, wanted: Sequence[Wanted]
) -> AsyncIterator[None]:
    """A shell a stream, which prints what came as it came."""
    assert needed, "where curl is"
    file = lay_out(client.name, client.driver, folder)
    async with contextlib.AsyncExitStack() as stack:
        tasks = []
        for one in wanted:
            options: list[str] = []
            for name, value in one.headers.items():
                options += ["-H", f"{name}: {value}"]
            url = str(one.told()["url"])
            command = [*client.command, str(file), url, one.id, *options]
            lines = await stack.enter_async_context(_lines(reader, command, folder))
            tasks.append(asyncio.create_task(_parse_blocks(reader, one.path, lines)))
        yield
    await asyncio.gather(*tasks)


async def _parse_blocks(reader: Reader, path: str, lines: AsyncIterator[str]) -> None:
    block: dict[str, str] = {}
    async for line in lines:
        if line:
            name, _, value = line.partition(": ")
            block[name] = value
            continue
        if "data" in block:
            reader.say({"path": path, "id": "", **block})
        block = {}


@contextlib.asynccontextmanager
async def _lines(
    reader: Reader, command: Sequence[str], folder: Path
) -> AsyncIterator[AsyncIterator[str]]:
    """The lines that `command` prints; with the block it dies, and all that it started."""
    errors = folder / f"{reader.name}.err"
    with errors.open("ab") as err:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=err,
            cwd=folder,
            env={k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")},
            start_new_session=True,
            limit=1 << 24,
        )
    assert process.stdout is not None
    stopping = False

    async def lines(output: asyncio.StreamReader) -> AsyncIterator[str]:
        while line := await output.readline():
            yield line.decode().rstrip("\n")
        code = await process.wait()
        if not stopping:
            said = errors.read_text()[-2000:]
            if reader.name == "curl" and code in (1, 22):
                reader.over = (
                    said.split("returned error: ")[-1].split()[0] if code == 22 else "limit"
                )
            reader.ended = reader.ended or f"it ended with {code}: {said}"

    try:
        yield lines(process.stdout)
    finally:
        stopping = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@contextlib.asynccontextmanager
async def _page(
    client: Client, reader: Reader, browser: Browser, folder: Path, wanted: Sequence[Wanted]
) -> AsyncIterator[None]:
    """A page of the first stream's origin, in a session of its own."""
    file = lay_out(client.name, client.driver, folder)
    where = urlsplit(wanted[0].base)
    origin = f"{where.scheme}://{where.netloc}"
    context = await browser.new_context()

    async def serve(route: Route) -> None:
        """Its page and scripts come from here, its streams from the edge."""
        name = route.request.url.rpartition("/")[2]
        if name == "page":
            await route.fulfill(body="<!doctype html>", content_type="text/html")
        else:
            await route.fulfill(path=file.with_name(name), content_type="text/javascript")

    try:
        for one in wanted:
            if "Cookie" in one.headers:
                value = one.headers["Cookie"].removeprefix("session=")
                await context.add_cookies([{"name": "session", "value": value, "url": origin}])
        page = await context.new_page()
        await page.route(f"{origin}/own/*", serve)
        await page.expose_function("say", reader.say)
        page.on("pageerror", lambda error: setattr(reader, "ended", str(error)))
        await page.goto(f"{origin}/own/page")
        await page.evaluate(
            "async ([file, ...how]) => (await import(`/own/${file}`)).start(...how)",
            [file.name, [one.told() for one in wanted], TYPES, PAGE_PAUSE_MS],
        )
        yield
    finally:
        await context.close()
