"""Clients that record which events they receive, and when."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Protocol
from urllib.parse import quote

import httpx
import msgspec
from playwright.async_api import Page

from tests.harness import sse

ORDERS_PATH = "/api/stream/orders"
RETRY_SECONDS = 0.5
POLL_WAIT_SECONDS = 3
_WATCH_SCRIPT = """
async ([path, kind]) => {
    window.seen = {events: [], openings: 0};
    const note = (id) => window.seen.events.push([id, Date.now() / 1000]);
    const start = () => Date.now() / 1000;
    if (kind === 'EventSource') {
        const startedAt = start();
        const source = new EventSource(path);
        source.addEventListener('connected', () => (window.seen.openings += 1));
        source.addEventListener('order:update', ({lastEventId}) => note(lastEventId));
        return startedAt;
    }
    const { connect } = await import('/client/tapewire.js');
    const startedAt = start();
    connect(path, {
        onEvent: ({type, id}) => {
            if (type === 'connected') window.seen.openings += 1;
            else if (id !== null && type === 'order:update') note(id);
        },
        onState: ({name}) => { if (name === 'closed') note('closed-0'); },
    });
    return startedAt;
}
"""


class ReceivedId(msgspec.Struct, frozen=True):
    """The sequence of an event or a snapshot, and when it arrived, in seconds since 1970."""

    sequence: int
    received_at: float


class Reader(Protocol):
    """A running client. `started_at` is when it asked for the stream, in seconds since 1970."""

    started_at: float

    async def received(self) -> list[ReceivedId]:
        """What has arrived so far, in order."""

    async def opening_count(self) -> int:
        """How often a stream was opened."""


class BrowserReader:
    """The browser client, or an EventSource, in a page of Chromium."""

    def __init__(self, page: Page, started_at: float) -> None:
        self.started_at = started_at
        self._page = page

    @classmethod
    @contextlib.asynccontextmanager
    async def run(cls, page: Page, kind: str) -> AsyncIterator["BrowserReader"]:
        """Read in `page`, which must be at the proxy, until the block ends."""
        yield cls(page, await page.evaluate(_WATCH_SCRIPT, [ORDERS_PATH, kind]))

    async def received(self) -> list[ReceivedId]:
        events: list[tuple[str, float]] = await self._page.evaluate("() => window.seen.events")
        return [ReceivedId(int(id_.rpartition("-")[2]), at) for id_, at in events]

    async def opening_count(self) -> int:
        return int(await self._page.evaluate("() => window.seen.openings"))


@contextlib.asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `work` beside the block, and cancel it at the end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class CurlReader:
    """curl, started again with the last id in the query whenever it ends."""

    def __init__(self, url: str, cookie: str, options: tuple[str, ...]) -> None:
        self.started_at = time.time()
        self._url = url
        self._cookie = cookie
        self._options = options
        self._received: list[ReceivedId] = []
        self._last_id = ""
        self._opening_count = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def run(
        cls, url: str, cookie: str, options: tuple[str, ...]
    ) -> AsyncIterator["CurlReader"]:
        """Read until the block ends. `cookie` is a name and a value."""
        reader = cls(url, cookie, options)
        async with _running(reader._run()):
            yield reader

    async def received(self) -> list[ReceivedId]:
        return [*self._received]

    async def opening_count(self) -> int:
        return self._opening_count

    async def _run(self) -> None:
        while True:
            query = f"?lastEventId={quote(self._last_id)}" if self._last_id else ""
            process = await asyncio.create_subprocess_exec(
                *("curl", "--silent", "--no-buffer", "--insecure", *self._options),
                *("--header", f"Cookie: {self._cookie}", f"{self._url}{ORDERS_PATH}{query}"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
            )
            try:
                assert process.stdout is not None
                await self._read(process.stdout)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            await asyncio.sleep(RETRY_SECONDS)

    async def _read(self, output: asyncio.StreamReader) -> None:
        """Read frames; one that was cut off is dropped."""
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                self._record_frame(sse.parse_frame((await output.readuntil(b"\n\n"))[:-2]))

    def _record_frame(self, frame: sse.Frame) -> None:
        self._opening_count += frame.event == "connected"
        if frame.id is None:
            return
        self._last_id = frame.id
        if frame.event == "order:update":
            self._received.append(ReceivedId(frame.sequence, time.time()))


class PollReader:
    """A client without streams: it asks for the next events by long-polling."""

    def __init__(self, url: str, cookie: str) -> None:
        self.started_at = time.time()
        self._url = url
        self._cookie = cookie
        self._received: list[ReceivedId] = []
        self._poll_count = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def run(cls, url: str, cookie: str) -> AsyncIterator["PollReader"]:
        """Poll until the block ends. `cookie` is a name and a value."""
        reader = cls(url, cookie)
        async with _running(reader._run()):
            yield reader

    async def received(self) -> list[ReceivedId]:
        return [*self._received]

    async def opening_count(self) -> int:
        return self._poll_count

    async def _run(self) -> None:
        last_id: str | None = None
        headers = {"Accept": "application/json", "Cookie": self._cookie}
        # The certificate is the test's own.
        async with httpx.AsyncClient(base_url=self._url, verify=False, trust_env=False) as http:  # noqa: S501
            while True:
                query = {"wait": str(POLL_WAIT_SECONDS)}
                query |= {"lastEventId": last_id} if last_id is not None else {}
                try:
                    answer = await http.get(
                        ORDERS_PATH, params=query, headers=headers, timeout=4 * POLL_WAIT_SECONDS
                    )
                    answer.raise_for_status()
                except httpx.HTTPError:
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                self._poll_count += 1
                document = answer.json()
                last_id = document["lastEventId"]
                for event in document["events"]:
                    if event["event"] == "order:update":
                        sequence = int(event["id"].rpartition("-")[2])
                        self._received.append(ReceivedId(sequence, time.time()))
                await asyncio.sleep(document["retry"] / 1000)


def session_cookie(headers: Any) -> str:
    """The name and the value of the cookie that a response sets."""
    found = re.match(r"[^=]+=[^;]+", headers["set-cookie"])
    assert found is not None, headers
    return found[0]
