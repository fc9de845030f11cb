"""A relay between a client and the edge. It can cut connections, end them early, and send errors
first.

`StreamRelay` accepts connections and handles each with the next of its `plans`; without a plan it
forwards everything. It keeps the head and the time of every request, so a test can see what a
client asked for.
"""

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from tests.harness.connections import serve_connections

CHUNK_BYTES = 65_536

RelayPlan = Callable[["RelayedRequest", asyncio.StreamWriter], Awaitable[None]]
"""Answers one request, on a connection that is closed afterwards."""


@dataclass
class RelayedRequest:
    """A stream request, received at `received_at` on the loop's clock, and its response so far."""

    received_at: float
    request_head: str
    response_head: str = ""
    response_body: bytearray = field(default_factory=bytearray)

    @property
    def last_id(self) -> str:
        """The last event id that the client sent, in the header or otherwise in the query."""
        header = re.search(
            r"^last-event-id: *(\S+)", self.request_head, re.MULTILINE | re.IGNORECASE
        )
        query = re.search(r"[?&]lastEventId=([^& ]+)", self.request_head.splitlines()[0])
        found = header or query
        return found[1] if found else ""

    @property
    def is_compressed(self) -> bool:
        return "content-encoding: gzip" in self.response_head.lower()


class StreamRelay:
    """Forwards to the edge at `port`; start it with `run_relay`. Requests for other paths pass
    through and are not recorded."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = ""
        self.plans: deque[RelayPlan] = deque()
        self.requests: list[RelayedRequest] = []
        self._writers: set[asyncio.StreamWriter] = set()

    def cut_all(self) -> None:
        """Abort every open connection."""
        for end in self._writers:
            end.transport.abort()

    async def serve_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one connection."""
        self._writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                await self._relay_response(head.decode("latin-1"), writer)
                await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _relay_response(self, head: str, writer: asyncio.StreamWriter) -> None:
        request = RelayedRequest(asyncio.get_running_loop().time(), head)
        if "/stream" not in head.splitlines()[0]:
            await self.forward_all()(request, writer)
            return
        self.requests.append(request)
        plan = self.plans.popleft() if self.plans else self.forward_all()
        await plan(request, writer)

    def forward_all(self) -> RelayPlan:
        """Return a plan that forwards the whole response of the edge."""

        async def plan(request: RelayedRequest, writer: asyncio.StreamWriter) -> None:
            async with self._connect_edge(self.port, request) as far:
                writer.write(request.response_head.encode("latin-1"))
                while chunk := await far.read(CHUNK_BYTES):
                    request.response_body += chunk
                    writer.write(chunk)
                    await writer.drain()

        return plan

    def cut_after(self, mark: bytes, *, ends_cleanly: bool) -> RelayPlan:
        """Return a plan that forwards the response up to and including `mark` and then ends the
        connection. With `ends_cleanly` the client sees a complete response, as from a proxy that
        does not use chunked encoding, where the end of the connection ends the body."""

        async def plan(request: RelayedRequest, writer: asyncio.StreamWriter) -> None:
            async with self._connect_edge(self.port, request) as far:
                answer = request.response_head
                if ends_cleanly:
                    answer = re.sub(r"transfer-encoding:.*?\r\n", "", answer, flags=re.IGNORECASE)
                writer.write(answer.encode("latin-1"))
                while mark not in request.response_body:
                    size = await far.readuntil(b"\r\n")
                    chunk = (await far.readexactly(int(size, 16) + 2))[:-2]
                    assert chunk, (
                        f"it ended before {mark!r}: {bytes(request.response_body[-300:])!r}"
                    )
                    before = len(request.response_body)
                    request.response_body += chunk
                    at = request.response_body.find(mark)
                    part = chunk if at < 0 else chunk[: at + len(mark) - before]
                    writer.write(
                        part if ends_cleanly else size + part + (b"\r\n" if at < 0 else b"")
                    )
                    await writer.drain()

        return plan

    def answer_from(self, port: int) -> RelayPlan:
        """Return a plan that forwards the error response of the edge at `port` with a Retry-After
        of two seconds. It asks twice, because an edge that admits one stream a minute may admit the
        first request."""

        async def plan(request: RelayedRequest, writer: asyncio.StreamWriter) -> None:
            async with self._connect_edge(port, request):
                pass
            async with self._connect_edge(port, request) as far:
                length = re.search(
                    r"content-length: *([0-9]+)", request.response_head, re.IGNORECASE
                )
                assert length, f"no refusal: {request.response_head}"
                body = await far.readexactly(int(length[1]))
                answer, times = re.subn(
                    r"(?i)(retry-after: *)[0-9]+", r"\g<1>2", request.response_head
                )
                assert times == 1, f"no Retry-After: {request.response_head}"
                writer.write(answer.encode("latin-1") + body)

        return plan

    @contextlib.asynccontextmanager
    async def _connect_edge(
        self, port: int, request: RelayedRequest
    ) -> AsyncIterator[asyncio.StreamReader]:
        """Send the request to the edge on a new connection; yield the reader after the response
        head."""
        head = re.sub(r"\r\nconnection:[^\r]*", "", request.request_head, flags=re.IGNORECASE)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self._writers.add(writer)
        try:
            writer.write(head[:-2].encode("latin-1") + b"Connection: close\r\n\r\n")
            request.response_head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            yield reader
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


@contextlib.asynccontextmanager
async def run_relay(port: int) -> AsyncIterator[StreamRelay]:
    """Run a relay to `port`; its `url` is where clients connect."""
    made = StreamRelay(port)
    async with serve_connections(made.serve_connection) as own_port:
        made.url = f"http://127.0.0.1:{own_port}"
        yield made
