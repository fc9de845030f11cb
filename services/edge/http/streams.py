"""The stream routes: raw ASGI, one for each row of the table.

Everything that can refuse a stream is decided before its first byte; then the headers leave, and
the rest is `follow`, compressed for readers that accept it. The peer's going is heard by `receive`,
which ends the connection's task.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, cast

import structlog
from litestar.types import Receive, Scope, Send

from services.edge.access import PREFLIGHT, Session, Sessions, cookie_token, cors
from services.edge.feeds import Access, Delivery, Feed
from services.edge.follow import Followers
from services.edge.gzip import Gzip, accepts
from services.edge.http.asking import Ask, owner_of, wants_of
from services.edge.http.errors import Failure, of, unauthorized, unavailable
from services.edge.hub import Connection, Hub, Opening, Reason
from services.edge.lanes import FlushClock, Outbox, Sink, Wants
from tapewire.log import LogError
from tapewire.runtime import Settings, correlated, correlation_id, telemetry

HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"connection", b"keep-alive"),
    (b"x-accel-buffering", b"no"),
)

ABORT = "tapewire.abort"
"""The ASGI extension by which our server lets a connection be cut."""

LINE = "tapewire.line"
"""The ASGI extension by which our server lets a chunk be written at once, without `send`."""

logger = structlog.get_logger("edge.streams")


class Line(Protocol):
    """What `LINE` is."""

    def has_room(self) -> bool: ...

    def write_body(self, body: bytes) -> None: ...


class Streams:
    """What all stream routes of a process share."""

    def __init__(
        self,
        *,
        followers: Followers,
        hub: Hub,
        sessions: Sessions,
        settings: Settings,
        now: Callable[[], datetime],
    ) -> None:
        self._followers = followers
        self._hub = hub
        self._sessions = sessions
        self._settings = settings
        self._now = now
        self._flush = FlushClock(settings.flush_ms / 1000)
        self._last_stamp = 0
        self._compressing: set[Gzip] = set()
        self.draining = False

    def rest(self) -> None:
        """Take back the compressors of streams that were silent since the last call."""
        for gzip in self._compressing:
            gzip.rest()

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
                opening, wants = await self._admit(feed, ask, correlation)
            except Exception as error:
                await _refuse(send, headers, error)
                return
            await self._stream(opening, wants, ask, headers, scope, receive, send)

    async def _admit(self, feed: Feed, ask: Ask, correlation: str) -> tuple[Opening, Wants | None]:
        """Decide on everything that has a status. Raises Failure."""
        if ask.method != "GET":
            raise Failure(
                405, f"{ask.method} is not for streams", headers={"Allow": "GET, OPTIONS"}
            )
        if self.draining:
            raise unavailable("This process is stopping; connect again")
        session = await self._session(ask)
        if feed.access is Access.USER and session is None:
            raise unauthorized()
        owner = owner_of(feed, ask, session)
        wants = wants_of(ask) if feed.delivery is Delivery.NEWEST_WINS else None
        if feed.delivery is Delivery.LOSSLESS and not self._followers.tape.ready.is_set():
            raise unavailable("The event log is away; connect again")
        return (
            Opening(
                client=self._client(owner, feed),
                feed=feed,
                owner=owner,
                correlation=correlation,
                session=session.key if session else None,
                expires_at=session.expires_at if session else None,
            ),
            wants,
        )

    async def _session(self, ask: Ask) -> Session | None:
        token = cookie_token(ask.headers.get("cookie"))
        if token is None:
            return None
        try:
            return await self._sessions.find(token)
        except LogError as error:
            raise unavailable("Sessions cannot be looked up now; connect again") from error

    def _client(self, owner: str | None, feed: Feed) -> str:
        """``{userId}-{stream}-{timestamp}``: in microseconds, and never given twice."""
        self._last_stamp = max(self._last_stamp + 1, time.time_ns() // 1000)
        return f"{owner or 'anonymous'}-{feed.name}-{self._last_stamp}"

    async def _stream(
        self,
        opening: Opening,
        wants: Wants | None,
        ask: Ask,
        headers: list[tuple[bytes, bytes]],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        settings = self._settings
        outbox = Outbox(self._flush, settings.outbox_events, settings.outbox_bytes)
        extensions = cast("dict[str, Any]", scope.get("extensions") or {})
        abort: Callable[[], None] = extensions.get(ABORT, _no_abort)
        loop = asyncio.get_running_loop()
        connection = Connection(opening, outbox, loop.time(), abort)
        started = loop.time()
        gzip = self._gzip(scope)
        coding = [] if gzip is None else [(b"content-encoding", b"gzip")]
        if LINE in extensions:
            outbox.sink = _sink(connection, extensions[LINE], gzip, loop.time)
        self._hub.add(connection)
        logger.info("stream opened", client=opening.client, resumes=ask.last_event_id is not None)
        try:
            with telemetry.span("stream open", attributes={"tapewire.client": opening.client}):
                await _start(send, 200, [*HEADERS, *self._varying(headers), *coding])
            await self._follow(connection, ask, wants, gzip, receive, send)
        finally:
            self._hub.remove(connection)
            if gzip is not None:
                self._compressing.discard(gzip)
            logger.info(
                "stream closed",
                client=opening.client,
                reason=(connection.reason or Reason.GONE).value,
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
        ask: Ask,
        wants: Wants | None,
        gzip: Gzip | None,
        receive: Receive,
        send: Send,
    ) -> None:
        async def write(chunk: bytes) -> None:
            body = chunk if gzip is None else gzip.write(chunk)
            await send({"type": "http.response.body", "body": body, "more_body": True})

        following = asyncio.create_task(
            self._followers.serve(connection, ask.last_event_id, wants, write)
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
        return True

    return write


async def _peer_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


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
    if failure.status == 500:
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
