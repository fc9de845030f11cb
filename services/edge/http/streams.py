"""The stream routes: raw ASGI, one for each row of the table.

Everything that can refuse a stream is decided before its first byte; then the headers leave, and
the rest is `follow`, compressed for readers that accept it. The peer's going is heard by `receive`,
which ends the connection's task.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, cast

import structlog
from litestar.types import Receive, Scope, Send

from services.edge.access import PREFLIGHT, cors
from services.edge.connection import Connection, Reason
from services.edge.feeds import Feed
from services.edge.follow import Followers
from services.edge.gzip import Gzip, accepts
from services.edge.http.admission import Admission, Admitted, Over
from services.edge.http.asking import (
    Ask,
)
from services.edge.http.errors import Failure, of, unavailable
from services.edge.hub import Hub
from services.edge.lanes import FlushClock, Outbox, Sink
from services.edge.limits import Full, Room
from services.edge.rollcall import Rollcall
from tapewire.runtime import Settings, correlated, correlation_id, telemetry

HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"connection", b"keep-alive"),
    (b"x-accel-buffering", b"no"),
)

FULL_SECONDS = 5
"""When to try again at a process that has no room."""

DRAINING_SECONDS = 1
"""When to try again after meeting a process that stops: another one is there already, or soon."""

ABORT = "tapewire.abort"
"""The ASGI extension by which our server lets a connection be cut."""

LINE = "tapewire.line"
"""The ASGI extension by which our server lets a chunk be written at once, without `send`."""

logger = structlog.get_logger("edge.streams")


class Line(Protocol):
    """What `LINE` is."""

    timed_out: bool

    def has_room(self) -> bool: ...

    def write_body(self, body: bytes) -> None: ...


class Streams:
    """What all stream routes of a process share."""

    def __init__(
        self,
        *,
        followers: Followers,
        hub: Hub,
        admission: Admission,
        settings: Settings,
        now: Callable[[], datetime],
        rollcall: Rollcall | None = None,
    ) -> None:
        self._followers = followers
        self._hub = hub
        self._admission = admission
        self._rollcall = rollcall
        self._settings = settings
        self._room = Room(settings.max_connections, hub.__len__)
        self._now = now
        self._flush = FlushClock(settings.flush_ms / 1000)
        self._compressing: set[Gzip] = set()
        self.draining = False

    def rest(self) -> None:
        """Take back the compressors of streams that were silent since the last call."""
        for gzip in self._compressing:
            gzip.rest()

    async def tell_of_leaving(self) -> None:
        """Let the other processes know that this one's streams are about to be others'."""
        if self._rollcall is not None:
            await self._rollcall.leaves()

    async def handle(self, feed: Feed, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request to the route of `feed`."""
        ask = Ask.of(scope)
        correlation = correlation_id(ask.headers.get("x-correlation-id"))
        headers = [
            (b"x-correlation-id", correlation.encode()),
            *cors(ask.headers.get("origin"), self._settings.origins),
        ]
        with correlated(correlation):
            if ask.method == "OPTIONS":
                await _answer(send, 200, [*headers, *PREFLIGHT])
                return
            try:
                if self.draining:
                    # A browser's EventSource gives up for good when it is refused; when its
                    # connection breaks it comes back, and a proxy asks another process.
                    _cutter(scope)()
                    raise unavailable("This process is stopping; connect again", DRAINING_SECONDS)
                with self._room.place():
                    admitted = await self._admission.admit(feed, ask, correlation)
            except Over:
                await _answer(send, 204, headers)
                return
            except Exception as error:
                await _refuse(send, headers, error)
                return
            if admitted.cookie is not None:
                headers.append((b"set-cookie", admitted.cookie.encode()))
            await self._stream(admitted, headers, scope, receive, send)

    async def _stream(
        self,
        admitted: Admitted,
        headers: list[tuple[bytes, bytes]],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        settings, opening = self._settings, admitted.opening
        outbox = Outbox(self._flush, settings.outbox_events, settings.outbox_bytes)
        extensions = cast("dict[str, Any]", scope.get("extensions") or {})
        loop = asyncio.get_running_loop()
        connection = Connection(opening, outbox, loop.time(), _cutter(scope))
        started = loop.time()
        gzip = self._gzip(scope)
        coding = [] if gzip is None else [(b"content-encoding", b"gzip")]
        line: Line | None = extensions.get(LINE)
        if line is not None:
            outbox.sink = _sink(connection, line, gzip, loop.time)
        self._hub.add(connection)
        if self._rollcall is not None:
            self._rollcall.opened(opening.client, opening.user, self._now().timestamp())
        resumes = admitted.requested is not None
        logger.info("stream opened", client=opening.client, resumes=resumes)
        try:
            with telemetry.span("stream open", attributes={"tapewire.client": opening.client}):
                await _start(send, 200, [*HEADERS, *self._varying(headers), *coding])
            await self._follow(connection, admitted, gzip, receive, send)
        finally:
            if connection.reason is None:
                connection.reason = _why(connection, line)
            self._hub.remove(connection)
            if gzip is not None:
                self._compressing.discard(gzip)
            if self._rollcall is not None:
                self._rollcall.closed(opening.client)
            logger.info(
                "stream closed",
                client=opening.client,
                reason=connection.reason.value,
                position=connection.position,
                seconds=round(loop.time() - started, 3),
            )

    def _gzip(self, scope: Scope) -> Gzip | None:
        """The compressor of a stream whose reader wants one."""
        wishes = (v.decode("latin-1") for k, v in scope["headers"] if k == b"accept-encoding")
        if not self._settings.gzip or not accepts(wishes):
            return None
        gzip = Gzip()
        self._compressing.add(gzip)
        return gzip

    def _varying(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """`headers` with one ``Vary``: a cache that kept what one reader was answered must not
        give it to a reader of another coding, or of another origin."""
        varies = [b"Accept-Encoding", *(value for name, value in headers if name == b"vary")]
        if self._settings.origins and b"Origin" not in varies:
            varies.append(b"Origin")
        others = [(name, value) for name, value in headers if name != b"vary"]
        return [*others, (b"vary", b", ".join(varies))]

    async def _follow(
        self,
        connection: Connection,
        admitted: Admitted,
        gzip: Gzip | None,
        receive: Receive,
        send: Send,
    ) -> None:
        async def write(chunk: bytes) -> None:
            body = chunk if gzip is None else gzip.write(chunk)
            await send({"type": "http.response.body", "body": body, "more_body": True})

        following = asyncio.create_task(
            self._followers.serve(connection, admitted.requested, admitted.wants, write)
        )
        leaving = asyncio.create_task(_peer_gone(receive))
        try:
            await asyncio.wait({following, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (following, leaving):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({task})
        if following.cancelled():
            return
        if following.exception() is not None:
            connection.reason = Reason.FAILED
            logger.error("a stream failed", exc_info=following.exception())
        last = b"" if gzip is None else gzip.end()
        await send({"type": "http.response.body", "body": last, "more_body": False})


def _sink(
    connection: Connection, line: Line, gzip: Gzip | None, clock: Callable[[], float]
) -> Sink:
    """Live events leave through it as they come: half of what a write cost was waking a task."""

    def write(take: Callable[[], bytes]) -> bool:
        if not line.has_room():
            return False
        chunk = take()
        line.write_body(chunk if gzip is None else gzip.write(chunk))
        connection.written_at = clock()
        if connection.urgent:
            connection.log_urgent(connection.take_urgent())
        return True

    return write


def _why(connection: Connection, line: Line | None) -> Reason:
    """Why a connection is over that nobody here ended."""
    if line is not None and line.timed_out:
        return Reason.SLOW
    return Reason.DRAIN if connection.leaves else Reason.GONE


async def _peer_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _cutter(scope: Scope) -> Callable[[], None]:
    """What cuts the connection of a request."""
    extensions = cast("dict[str, Any]", scope.get("extensions") or {})
    return cast("Callable[[], None]", extensions.get(ABORT, _no_abort))


def _no_abort() -> None:
    """A server that lets nobody cut a connection waits for the kernel to give it up."""


async def _start(send: Send, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _answer(
    send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes = b""
) -> None:
    await _start(send, status, headers)
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _refuse(send: Send, headers: list[tuple[bytes, bytes]], error: Exception) -> None:
    failure = of(error)
    if isinstance(error, Full):
        failure = unavailable("This process holds all the streams it can", FULL_SECONDS)
    elif failure.status == 500:
        logger.error("a stream could not be opened", exc_info=error)
        failure = Failure(500, "Failed to establish SSE connection")
    body = failure.body()
    headers = [
        *headers,
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in failure.headers.items()),
    ]
    await _answer(send, failure.status, headers, body)
