"""Serves event streams over raw ASGI.

A request is admitted or rejected before the first byte of its response (`admission`). Then the
headers are sent, and the connection follows its events (`delivery.catch_up`), compressed for
clients that accept gzip, until one side closes it. A long-poll is answered with a document instead
(`long_poll`). Start reading at `StreamHandler.handle`.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, cast

import structlog
from litestar.types import Receive, Scope, Send

from tapewire.runtime import Settings, correlated, ensure_correlation_id, telemetry
from tapewire_services.edge.auth import STREAM_PREFLIGHT_HEADERS, cors_headers
from tapewire_services.edge.cluster.limits import ConnectionLimiter
from tapewire_services.edge.cluster.presence_sync import PresenceSync
from tapewire_services.edge.delivery.close_reason import CloseReason
from tapewire_services.edge.delivery.compression import GzipStream, accepts_gzip
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.hub import Hub
from tapewire_services.edge.delivery.outbox import FlushClock, Outbox, Sink
from tapewire_services.edge.delivery.stream_routes import StreamRoute
from tapewire_services.edge.delivery.stream_service import StreamService
from tapewire_services.edge.http.admission import (
    AdmittedStream,
    ReplayFinished,
    RetryLater,
    StreamAdmission,
)
from tapewire_services.edge.http.client_disconnect import run_until_disconnect
from tapewire_services.edge.http.errors import stream_error, unavailable
from tapewire_services.edge.http.long_poll import PollResponse, delay_resume
from tapewire_services.edge.http.raw_responses import (
    STREAM_HEADERS,
    Headers,
    send_error,
    send_headers,
    send_response,
    with_vary,
)
from tapewire_services.edge.http.stream_request import StreamRequest

DRAINING_RETRY_AFTER_SECONDS = 1
"""When to retry after a process that stops: another one is ready, or will be soon."""

ABORT_EXTENSION = "tapewire.abort"
"""The ASGI extension that cuts the connection of a request."""

DIRECT_WRITER_EXTENSION = "tapewire.line"
"""The ASGI extension that writes a chunk of the response at once, without `send`."""

logger = structlog.get_logger("edge.streams")


class DirectWriter(Protocol):
    """The value of `DIRECT_WRITER_EXTENSION`."""

    timed_out: bool

    def has_room(self) -> bool: ...

    def write_body(self, body: bytes) -> None: ...


class StreamHandler:
    """Answers requests for streams, of all routes."""

    def __init__(
        self,
        *,
        stream_service: StreamService,
        hub: Hub,
        admission: StreamAdmission,
        settings: Settings,
        now: Callable[[], datetime],
        presence_sync: PresenceSync | None = None,
    ) -> None:
        self._stream_service = stream_service
        self._hub = hub
        self._admission = admission
        self._presence_sync = presence_sync
        self._settings = settings
        self._capacity = ConnectionLimiter(settings.max_connections, hub.__len__)
        self._now = now
        self._flush_clock = FlushClock(settings.flush_ms / 1000)
        self._compressors: set[GzipStream] = set()
        self._is_draining = False

    @property
    def is_draining(self) -> bool:
        """Whether this process stops and refuses new streams."""
        return self._is_draining

    def start_draining(self) -> None:
        """Refuse new streams from now on."""
        self._is_draining = True

    def release_idle_compressors(self) -> None:
        """Release the compressors of streams that were silent since the last call."""
        for gzip in self._compressors:
            gzip.release_if_idle()

    async def announce_departure(self) -> None:
        """Notify the other processes that this one is about to close its streams."""
        if self._presence_sync is not None:
            await self._presence_sync.announce_draining()

    async def handle(self, route: StreamRoute, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request to `route`."""
        request = StreamRequest.from_scope(scope)
        correlation = ensure_correlation_id(request.headers.get("x-correlation-id"))
        headers = [
            (b"x-correlation-id", correlation.encode()),
            *cors_headers(request.headers.get("origin"), self._settings.origins),
        ]
        with correlated(correlation):
            if request.method == "OPTIONS":
                await send_response(send, 200, [*headers, *STREAM_PREFLIGHT_HEADERS])
                return
            try:
                if self.is_draining:
                    # An EventSource gives up for good on a status but reconnects when its
                    # connection breaks, and a proxy then tries another process.
                    _abort_callback(scope)()
                    raise unavailable(
                        "This process is stopping; connect again", DRAINING_RETRY_AFTER_SECONDS
                    )
                with self._capacity.reserve():
                    admitted = await self._admission.admit(route, request, correlation)
            except ReplayFinished:
                await send_response(send, 204, headers)
                return
            except RetryLater as later:
                await delay_resume(send, headers, request, later.seconds)
                return
            except Exception as error:
                await send_error(send, headers, stream_error(error))
                return
            del request  # its headers are not needed any more, and the stream may last for hours
            if admitted.set_cookie is not None:
                headers.append((b"set-cookie", admitted.set_cookie.encode()))
            await self._open_stream(admitted, headers, scope, receive, send)

    async def _open_stream(
        self,
        admitted: AdmittedStream,
        headers: Headers,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        settings, info = self._settings, admitted.connection_info
        outbox = Outbox(self._flush_clock, settings.outbox_events, settings.outbox_bytes)
        extensions = cast("dict[str, Any]", scope.get("extensions") or {})
        loop = asyncio.get_running_loop()
        connection = Connection(info, outbox, loop.time(), _abort_callback(scope))
        started = loop.time()
        gzip = self._create_compressor(scope)
        writer: DirectWriter | None = extensions.get(DIRECT_WRITER_EXTENSION)
        if writer is not None and info.poll is None:
            outbox.write_through(_direct_sink(connection, writer, gzip, loop.time))
        poll = PollResponse(connection, admitted, self._stream_service) if info.poll else None
        self._hub.add(connection)
        if self._presence_sync is not None:
            self._presence_sync.connection_opened(
                info.client_id, info.user_id, self._now().timestamp()
            )
        resumes = admitted.last_event_id is not None
        logger.info("stream.opened", client_id=info.client_id, resumes=resumes)
        try:
            if poll is not None:
                await poll.serve(receive)
            else:
                coding = [] if gzip is None else [(b"content-encoding", b"gzip")]
                with telemetry.span("stream open", attributes={"tapewire.client": info.client_id}):
                    varied = with_vary(headers, b"Accept-Encoding", *self._vary_names())
                    await send_headers(send, 200, [*STREAM_HEADERS, *varied, *coding])
                await self._serve_until_closed(connection, admitted, gzip, receive, send)
        finally:
            reason = connection.close_reason or _close_reason(connection, writer)
            connection.record_end(reason)
            self._hub.remove(connection)
            if gzip is not None:
                self._compressors.discard(gzip)
            if self._presence_sync is not None:
                self._presence_sync.connection_closed(info.client_id)
            logger.info(
                "stream.closed",
                client_id=info.client_id,
                reason=reason.value,
                sequence=connection.position,
                seconds=round(loop.time() - started, 3),
            )

        if poll is not None:
            # The hub no longer watches over it: its client may take its time to read the answer.
            names = (b"Accept", b"Accept-Encoding", *self._vary_names())
            await poll.send(send, with_vary(headers, *names), gzip)

    def _create_compressor(self, scope: Scope) -> GzipStream | None:
        """The compressor of a stream whose client accepts gzip."""
        wishes = (v.decode("latin-1") for k, v in scope["headers"] if k == b"accept-encoding")
        if not self._settings.gzip or not accepts_gzip(wishes):
            return None
        gzip = GzipStream()
        self._compressors.add(gzip)
        return gzip

    def _vary_names(self) -> list[bytes]:
        return [b"Origin"] if self._settings.origins else []

    async def _serve_until_closed(
        self,
        connection: Connection,
        admitted: AdmittedStream,
        gzip: GzipStream | None,
        receive: Receive,
        send: Send,
    ) -> None:
        async def write(chunk: bytes) -> None:
            body = chunk if gzip is None else gzip.write(chunk)
            await send({"type": "http.response.body", "body": body, "more_body": True})

        serving = self._stream_service.serve(connection, admitted.last_event_id, write)
        following = await run_until_disconnect(serving, receive)
        if following.cancelled():
            return
        if following.exception() is not None:
            connection.record_end(CloseReason.FAILED)
            logger.error(
                "stream.failed",
                client_id=connection.info.client_id,
                exc_info=following.exception(),
            )
        last = b"" if gzip is None else gzip.end()
        await send({"type": "http.response.body", "body": last, "more_body": False})


def _direct_sink(
    connection: Connection,
    writer: DirectWriter,
    gzip: GzipStream | None,
    clock: Callable[[], float],
) -> Sink:
    """A sink that writes live events at once. Waking a task is half of what a write through `send`
    costs."""

    def write(take_chunk: Callable[[], bytes]) -> bool:
        if not writer.has_room():
            return False
        chunk = take_chunk()
        writer.write_body(chunk if gzip is None else gzip.write(chunk))
        connection.write_finished(clock())
        connection.log_urgent_writes(connection.pop_urgent_events())
        return True

    return write


def _close_reason(connection: Connection, writer: DirectWriter | None) -> CloseReason:
    """The reason of a connection that was not closed by this process."""
    if writer is not None and writer.timed_out:
        return CloseReason.SLOW
    return CloseReason.DRAIN if connection.is_draining else CloseReason.GONE


def _abort_callback(scope: Scope) -> Callable[[], None]:
    """The function that cuts the connection of a request."""
    extensions = cast("dict[str, Any]", scope.get("extensions") or {})
    return cast("Callable[[], None]", extensions.get(ABORT_EXTENSION, _abort_unsupported))


def _abort_unsupported() -> None:
    """Do nothing: without the extension, the connection lasts until the kernel closes it."""
