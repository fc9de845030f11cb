"""An edge that a test scripts, and a stream that is read from it.

`open_stream` starts a stream in a test of virtual time. Each request gets the next of `answers`;
the last one repeats. The test writes the bodies of streams through `Exchange.send`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Literal

import httpx

import tapewire

PATH = "/api/stream/trading"
URL = f"http://edge:8000{PATH}"
CONNECTED = 'event: connected\ndata: {"clientId":"c"}\n\n'
LIVE = ": live\n\n"
DRAINING = 'event: stream:draining\ndata: {"closesInMs":5000}\n\n'
EVENT_STREAM = {"content-type": "text/event-stream; charset=utf-8"}
RANDOM = 0.5

Answer = Literal["stream", "buffered", "down", "hang"] | Callable[[], httpx.Response]
"""A stream that is live, one of which nothing arrives, no connection, no response, or a
response."""


def order(number: int) -> str:
    """The frame of an order event."""
    return f'event: order:update\nid: e-{number}\ndata: {{"n":{number}}}\n\n'


def refusal(status: int, error: str = "No", **headers: str) -> Callable[[], httpx.Response]:
    """Return an answer with an error of the edge; `_` in the name of a header is a hyphen."""
    body = {"error": error, "message": "not now", "statusCode": status}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: httpx.Response(status, json=body, headers=named)


async def settle() -> None:
    """Wait until every task waits for time or for bytes."""
    for _ in range(40):
        await asyncio.sleep(0)


class Exchange(httpx.AsyncByteStream):
    """A request, and the body of its response, which the test writes."""

    def __init__(self, request: httpx.Request) -> None:
        self.url = request.url.raw_path.decode()
        self.headers = request.headers
        self.is_aborted = False
        self._chunks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._accepted = asyncio.Event()

    @property
    def last_event_id(self) -> str | None:
        found: str | None = self.headers.get("last-event-id")
        return found

    @property
    def unread_count(self) -> int:
        """How many chunks the stream has not read."""
        return self._chunks.qsize()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) is not None:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def aclose(self) -> None:
        self.is_aborted = True

    async def wait_until_accepted(self) -> None:
        try:
            await self._accepted.wait()
        except asyncio.CancelledError:
            self.is_aborted = True
            raise

    async def accept(self) -> None:
        """Answer a request that hangs with its stream."""
        self.put(LIVE)
        self._accepted.set()
        await settle()

    def put(self, text: str) -> None:
        self._chunks.put_nowait(text.encode())

    async def send(self, text: str) -> None:
        self.put(text)
        await settle()

    async def end(self) -> None:
        """End the response cleanly."""
        self._chunks.put_nowait(None)
        await settle()

    async def fail(self) -> None:
        """Break the connection."""
        self._chunks.put_nowait(httpx.ReadError("broken"))
        await settle()


class ScriptedEdge(httpx.AsyncBaseTransport):
    """Answers requests with `answers`; see the module."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = list(answers)
        self.exchanges: list[Exchange] = []
        self.request_count = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = self.answers[min(self.request_count, len(self.answers) - 1)]
        self.request_count += 1
        if answer == "down":
            raise httpx.ConnectError("refused", request=request)
        exchange = Exchange(request)
        self.exchanges.append(exchange)
        if callable(answer):
            return answer()
        if answer == "hang":
            await exchange.wait_until_accepted()
        elif answer == "stream":
            exchange.put(LIVE)
        return httpx.Response(200, headers=EVENT_STREAM, stream=exchange)


class ScriptedStream:
    """A stream of a scripted edge, and what it has delivered so far."""

    def __init__(self, answers: Sequence[Answer], **options: Any) -> None:
        self.edge = ScriptedEdge(answers)
        self.states: list[tapewire.StreamState] = []
        self.events: list[tapewire.StreamEvent] = []
        self.error: BaseException | None = None
        self.is_over = False
        url = options.pop("url", URL)
        options = {"on_state": self.states.append, "trust_env": False, **options}
        self.stream = tapewire.stream(url, transport=self.edge, **options)
        self.stream._reader._random = lambda: RANDOM

    @property
    def exchanges(self) -> list[Exchange]:
        return self.edge.exchanges

    @property
    def last(self) -> Exchange:
        return self.edge.exchanges[-1]

    @property
    def state_names(self) -> list[str]:
        return [state.name for state in self.states]

    @property
    def event_ids(self) -> list[str | None]:
        return [event.id for event in self.events]

    @property
    def event_types(self) -> list[str]:
        return [event.type for event in self.events]

    @property
    def numbers(self) -> list[int]:
        """The numbers of the orders that were delivered."""
        return [event.data["n"] for event in self.events if event.id]

    async def read(self) -> None:
        """Read all events."""
        try:
            async for event in self.stream:
                self.events.append(event)
        except tapewire.StreamEnded as error:
            self.error = error
        self.is_over = True

    async def advance(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await settle()


@contextlib.asynccontextmanager
async def open_stream(*answers: Answer, **options: Any) -> AsyncIterator[ScriptedStream]:
    """Read a stream in a task of its own for the duration of the block. Nothing is left behind."""
    scripted = ScriptedStream(answers, **options)
    reading = asyncio.create_task(scripted.read())
    await settle()
    try:
        yield scripted
    finally:
        await scripted.stream.close()
        await reading
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks left behind: {left}"
