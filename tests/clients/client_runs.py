"""Runs the clients of docs/clients.md as it describes, and records what they received.

`CLIENTS` is the table of clients. `DocumentedClient.start` runs one on any number of streams. A
`ClientRun` holds the received events in order, and `wait_until` waits for a condition on it. The
browser page calls a function of the test; every other client is a process that prints a line for
each event.
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

from tests.clients.doc_snippets import write_program
from tests.harness.pages import find_node
from tests.harness.waiting import wait_until

RunClient = Callable[..., contextlib.AbstractAsyncContextManager[None]]
"""Runs one client on the requests until the block ends."""
WAIT_TIMEOUT_SECONDS = 60.0
PAGE_PAUSE_MS = 1000
"""How long the page waits after a response that it cannot see."""
EVENT_NAMES = (
    "connected", "CONNECTED", "order:update", "order:fill", "position:update", "checkpoint",
    "stream:reset", "connection:limit", "initial_state", "ORDER_PLACED", "metrics", "new_item",
    "notification", "notification:unread",
)  # fmt: skip
"""The event names that an EventSource listens to."""


@dataclass(frozen=True)
class ReceivedSseEvent:
    """An event that a client reported. Some clients repeat the last id for an event without one."""

    path: str
    event: str
    data: Any
    last_event_id: str


@dataclass(frozen=True)
class DriverStreamRequest:
    """A stream to follow: the server, the path, the credentials, and the id to start after."""

    base: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""
    last_event_id: str = ""

    def as_driver_argument(self) -> dict[str, Any]:
        url = f"{self.base}{self.path}{self.query}"
        return {
            "path": self.path,
            "url": url,
            "headers": self.headers,
            "id": self.last_event_id,
            "types": EVENT_NAMES,
        }


class ClientRun:
    """The events that a running client has reported."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.events: list[ReceivedSseEvent] = []
        self.is_over = ""
        """Why the client stopped: a status, or "limit"."""
        self.end_reason = ""
        """The full reason, or how the client failed."""

    def receive_line(self, line: dict[str, Any]) -> None:
        """Record one line of the client's output."""
        if "over" in line:
            self.is_over = line["over"]
            self.end_reason = f"it gave up: {self.is_over}"
        else:
            data = json.loads(line["data"])
            self.events.append(
                ReceivedSseEvent(line["path"], line["event"], data, line["id"] or "")
            )

    def events_of(self, path: str, event: str | None = None) -> list[ReceivedSseEvent]:
        return [one for one in self.events if one.path == path and event in (None, one.event)]

    def order_events(self, path: str) -> list[tuple[str, str]]:
        """The order id and the event id of each order event, as (event id, order id)."""
        updates = self.events_of(path, "order:update")
        return [
            (one.last_event_id, one.data["orderId"]) for one in updates if "orderId" in one.data
        ]

    async def wait_until(
        self, description: str, condition: Callable[["ClientRun"], object]
    ) -> None:
        """Wait until `condition` holds for this run."""

        def holds() -> object:
            assert not self.end_reason, f"{self.name} ended before {description}: {self.end_reason}"
            return condition(self)

        await wait_until(
            f"{self.name}: {description}",
            holds,
            describe_last=lambda: self.events[-3:],
            timeout_seconds=WAIT_TIMEOUT_SECONDS,
        )

    async def wait_until_over(self) -> str:
        """Wait until the client stops; return the reason."""
        await wait_until(
            f"{self.name} gives up",
            lambda: self.is_over,
            describe_last=lambda: (self.end_reason, self.events[-3:]),
            timeout_seconds=WAIT_TIMEOUT_SECONDS,
        )
        return self.is_over

    async def wait_for_event(self, path: str, event: str) -> ReceivedSseEvent:
        await self.wait_until(f"{event} of {path}", lambda reader: reader.events_of(path, event))
        return self.events_of(path, event)[0]

    async def wait_for_order(self, path: str, order_id: str) -> None:
        def has(reader: ClientRun) -> bool:
            order_events = reader.order_events(path)
            return bool(order_events) and order_events[-1][1] == order_id

        await self.wait_until(f"order {order_id} is the last on {path}", has)


@dataclass(frozen=True)
class DocumentedClient:
    """A row of the table: `auth_methods` are the ways in which it can sign in, `command` is its
    interpreter."""

    name: str
    driver: str
    auth_methods: tuple[str, ...]
    command: tuple[str, ...] = ()
    required_fixture: str | None = None
    """The fixture that the client needs."""
    reports_checkpoints: bool = True
    """Whether it returns checkpoints, or only moves its position."""

    @contextlib.asynccontextmanager
    async def start(
        self, fixture_value: Any, folder: Path, *requests: DriverStreamRequest
    ) -> AsyncIterator[ClientRun]:
        """Run the client on all `requests` until the block ends. `fixture_value` is the value of
        its required fixture."""
        reader = ClientRun(self.name)
        runs: dict[str, RunClient] = {"curl": _run_shells, "EventSource": _run_page}
        run = runs.get(self.name, _run_driver)
        async with run(self, reader, fixture_value, folder, requests):
            yield reader


_PYTHON = (sys.executable,)
_NODE = ("node",)
CLIENTS = (
    DocumentedClient(
        "Python", "with_tapewire.py", ("bearer", "cookie"), _PYTHON, reports_checkpoints=False
    ),
    DocumentedClient(
        "Python without asyncio",
        "with_tapewire_sync.py",
        ("cookie", "bearer"),
        _PYTHON,
        reports_checkpoints=False,
    ),
    DocumentedClient("curl", "curl.sh", ("cookie", "bearer"), ("bash",), "curl"),
    DocumentedClient("httpx-sse", "with_httpx_sse.py", ("bearer", "cookie"), _PYTHON),
    DocumentedClient("sseclient-py", "with_sseclient.py", ("cookie", "bearer"), _PYTHON),
    DocumentedClient("eventsource", "eventsource.mjs", ("bearer",), _NODE, "node_modules"),
    DocumentedClient(
        "fetch-event-source", "fetch_event_source.mjs", ("bearer",), _NODE, "node_modules"
    ),
    DocumentedClient(
        "EventSource", "chromium.js", ("ticket", "cookie"), required_fixture="browser"
    ),
)


@contextlib.asynccontextmanager
async def _run_driver(
    client: DocumentedClient,
    reader: ClientRun,
    fixture_value: Path | None,
    folder: Path,
    requests: Sequence[DriverStreamRequest],
) -> AsyncIterator[None]:
    """Run a program in a file that prints JSON."""
    file = write_program(client.name, client.driver, folder)
    if fixture_value is not None:
        link = folder / "node_modules"
        if not link.exists():
            link.symlink_to(fixture_value)
    streams = json.dumps([one.as_driver_argument() for one in requests])
    command = find_node() if client.command == _NODE else client.command
    async with _read_lines(reader, [*command, str(file), streams], folder) as lines:
        task = asyncio.create_task(_parse_json(reader, lines))
        yield
    await task


async def _parse_json(reader: ClientRun, lines: AsyncIterator[str]) -> None:
    async for line in lines:
        reader.receive_line(json.loads(line))


@contextlib.asynccontextmanager
async def _run_shells(
    client: DocumentedClient,
    reader: ClientRun,
    fixture_value: str,
    folder: Path,
    requests: Sequence[DriverStreamRequest],
) -> AsyncIterator[None]:
    """Run one shell per stream, which prints the received lines unchanged."""
    assert fixture_value, "where curl is"
    file = write_program(client.name, client.driver, folder)
    async with contextlib.AsyncExitStack() as stack:
        tasks = []
        for one in requests:
            options: list[str] = []
            for name, value in one.headers.items():
                options += ["-H", f"{name}: {value}"]
            url = str(one.as_driver_argument()["url"])
            command = [*client.command, str(file), url, one.last_event_id, *options]
            lines = await stack.enter_async_context(_read_lines(reader, command, folder))
            tasks.append(asyncio.create_task(_parse_blocks(reader, one.path, lines)))
        yield
    await asyncio.gather(*tasks)


async def _parse_blocks(reader: ClientRun, path: str, lines: AsyncIterator[str]) -> None:
    block: dict[str, str] = {}
    async for line in lines:
        if line:
            name, _, value = line.partition(": ")
            block[name] = value
            continue
        if "data" in block:
            reader.receive_line({"path": path, "id": "", **block})
        block = {}


@contextlib.asynccontextmanager
async def _read_lines(
    reader: ClientRun, command: Sequence[str], folder: Path
) -> AsyncIterator[AsyncIterator[str]]:
    """Yield the lines that `command` prints. The end of the block kills it and all processes that
    it started."""
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
            error_output = errors.read_text()[-2000:]
            if reader.name == "curl" and code in (1, 22):
                reader.is_over = (
                    error_output.split("returned error: ")[-1].split()[0] if code == 22 else "limit"
                )
            reader.end_reason = reader.end_reason or f"it ended with {code}: {error_output}"

    try:
        yield lines(process.stdout)
    finally:
        stopping = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@contextlib.asynccontextmanager
async def _run_page(
    client: DocumentedClient,
    reader: ClientRun,
    browser: Browser,
    folder: Path,
    requests: Sequence[DriverStreamRequest],
) -> AsyncIterator[None]:
    """Run a page of the first stream's origin, in its own browser session."""
    file = write_program(client.name, client.driver, folder)
    where = urlsplit(requests[0].base)
    origin = f"{where.scheme}://{where.netloc}"
    context = await browser.new_context()

    async def serve(route: Route) -> None:
        """Serve the page and its scripts from the test, and pass streams to the edge."""
        name = route.request.url.rpartition("/")[2]
        if name == "page":
            await route.fulfill(body="<!doctype html>", content_type="text/html")
        else:
            await route.fulfill(path=file.with_name(name), content_type="text/javascript")

    try:
        for one in requests:
            if "Cookie" in one.headers:
                value = one.headers["Cookie"].removeprefix("session=")
                await context.add_cookies([{"name": "session", "value": value, "url": origin}])
        page = await context.new_page()
        await page.route(f"{origin}/own/*", serve)
        await page.expose_function("say", reader.receive_line)
        page.on("pageerror", lambda error: setattr(reader, "end_reason", str(error)))
        await page.goto(f"{origin}/own/page")
        await page.evaluate(
            "async ([file, ...how]) => (await import(`/own/${file}`)).start(...how)",
            [file.name, [one.as_driver_argument() for one in requests], EVENT_NAMES, PAGE_PAUSE_MS],
        )
        yield
    finally:
        await context.close()
