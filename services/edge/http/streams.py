"""The stream routes: raw ASGI, one for each row of the table.

Everything that can refuse a stream is decided before its first byte; then the headers leave, and
the rest is `follow`. The peer's going is heard by `receive`, which ends the connection's task.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

import structlog
from litestar.types import Receive, Scope, Send

from services.edge.access import PREFLIGHT, Arrival, Entrance, cors, listed_networks
from services.edge.feeds import Access, Delivery, Feed
from services.edge.follow import Followers
from services.edge.http.asking import Ask, owner_of, wants_of
from services.edge.http.errors import Failure, of, unauthorized, unavailable
from services.edge.hub import Connection, Hub, Opening, Reason
from services.edge.lanes import FlushClock, Outbox, Wants
from services.edge.limits import Attempts, Full, Room, client_address, counted_as
from tapewire.log import LogError
from tapewire.runtime import Settings, correlated, correlation_id, telemetry

HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"connection", b"keep-alive"),
    (b"x-accel-buffering", b"no"),
)

FULL_SECONDS = 5
"""When to try again at a process that has no room."""

ABORT = "tapewire.abort"
"""The ASGI extension by which our server lets a connection be cut."""

logger = structlog.get_logger("edge.streams")


class Streams:
    """What all stream routes of a process share."""

    def __init__(
        self,
        *,
        followers: Followers,
        hub: Hub,
        entrance: Entrance,
        settings: Settings,
        now: Callable[[], datetime],
    ) -> None:
        self._followers = followers
        self._hub = hub
        self._entrance = entrance
        self._settings = settings
        self._room = Room(settings.max_connections, hub.__len__)
        self._attempts = Attempts(settings.connect_rate)
        self._proxies = listed_networks(settings.trusted_proxies, "TAPEWIRE_TRUSTED_PROXIES")
        self._now = now
        self._flush = FlushClock(settings.flush_ms / 1000)
        self._last_stamp = 0
        self.draining = False

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
                with self._room.place():
                    opening, wants, cookie = await self._admit(feed, ask, correlation)
            except Exception as error:
                await _refuse(send, headers, error)
                return
            if cookie is not None:
                headers.append((b"set-cookie", cookie.encode()))
            await self._stream(opening, wants, ask, headers, scope, receive, send)

    async def _admit(
        self, feed: Feed, ask: Ask, correlation: str
    ) -> tuple[Opening, Wants | None, str | None]:
        """Decide on everything that has a status; last on who it is, since that spends tickets.

        Raises:
            Failure, LogError, KeysAway: there will be no stream.
        """
        if ask.method != "GET":
            raise Failure(
                405, f"{ask.method} is not for streams", headers={"Allow": "GET, OPTIONS"}
            )
        if self.draining:
            raise unavailable("This process is stopping; connect again")
        self._count(ask)
        wants = wants_of(ask) if feed.delivery is Delivery.NEWEST_WINS else None
        if feed.delivery is Delivery.LOSSLESS and not self._followers.tape.ready.is_set():
            raise unavailable("The event log is away; connect again")
        arrival = await self._arrive(ask)
        session = arrival.session
        if feed.access is Access.USER and session is None:
            raise unauthorized()
        owner = owner_of(feed, ask, session)
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
            arrival.cookie,
        )

    def _count(self, ask: Ask) -> None:
        """Count an attempt of the client's address. Raises Failure (429)."""
        forwarded = ",".join(ask.shown.headers.get("x-forwarded-for", ()))
        address = counted_as(client_address(ask.shown.peer, forwarded, self._proxies))
        wait = self._attempts.take(address, asyncio.get_running_loop().time())
        if wait is None:
            return
        if wait.first:
            # An address for everybody is what a proxy looks like that is not listed.
            logger.warning("too many streams", address=address, through_proxy=bool(forwarded))
        raise Failure(
            429,
            f"More than {self._settings.connect_rate} new streams a minute from one address",
            headers={"Retry-After": str(wait.seconds)},
        )

    async def _arrive(self, ask: Ask) -> Arrival:
        try:
            return await self._entrance.arrive(ask.shown)
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
        abort: Callable[[], None] = cast("dict[str, Any]", scope.get("extensions") or {}).get(
            ABORT, _no_abort
        )
        loop = asyncio.get_running_loop()
        connection = Connection(opening, outbox, loop.time(), abort)
        started = loop.time()
        self._hub.add(connection)
        logger.info("stream opened", client=opening.client, resumes=ask.last_event_id is not None)
        try:
            with telemetry.span("stream open", attributes={"tapewire.client": opening.client}):
                await _start(send, 200, [*HEADERS, *headers])
            await self._follow(connection, ask, wants, receive, send)
        finally:
            self._hub.remove(connection)
            logger.info(
                "stream closed",
                client=opening.client,
                reason=(connection.reason or Reason.GONE).value,
                position=connection.position,
                seconds=round(loop.time() - started, 3),
            )

    async def _follow(
        self,
        connection: Connection,
        ask: Ask,
        wants: Wants | None,
        receive: Receive,
        send: Send,
    ) -> None:
        async def write(chunk: bytes) -> None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

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
        await send({"type": "http.response.body", "body": b"", "more_body": False})


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
