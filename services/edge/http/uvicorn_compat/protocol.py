"""The HTTP protocol of one connection. Start reading at `StreamProtocol`."""

import asyncio
from functools import partial
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from tapewire.log.light_objects import LightEvent
from tapewire_services.edge.http.errors import HttpError
from tapewire_services.edge.http.security_middleware import OVERLOAD_EXTENSION
from tapewire_services.edge.http.streams import ABORT_EXTENSION, DIRECT_WRITER_EXTENSION

MAX_PIPELINED_REQUESTS = 16
"""Requests of a connection behind the one that is being answered; beyond it, reading pauses."""
MAX_HEAD_BYTES = 64 * 1024
"""Bytes of a request's head that may arrive before it is complete."""
ERROR_RESPONSE_HEADERS = (
    b"content-type: application/json\r\ncontent-length: %d\r\n"
    b"cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
)


class GuardedTransport:
    """A transport that drops writes after it was closed. Reason: between an abort and
    `connection_lost` uvicorn still writes, and uvloop's transport raises RuntimeError then."""

    __slots__ = ("_transport",)

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()


class RequestQueue(list[Any]):
    """The pipelined requests. Reason: uvicorn's deque takes 600 bytes even when it is empty."""

    __slots__ = ()

    def appendleft(self, item: Any) -> None:
        self.insert(0, item)


class IncomingRequest:
    """A request that has not arrived completely. `head_bytes` counts the bytes of an incomplete
    head; it is None before the first byte, and when the head is complete."""

    __slots__ = ("head_bytes", "timeout_handle")

    def __init__(self, timeout_handle: asyncio.TimerHandle | None) -> None:
        self.timeout_handle = timeout_handle
        self.head_bytes: int | None = None


class EdgeConfig(uvicorn.Config):
    """uvicorn's configuration, with the time in which a request must arrive completely."""

    request_seconds = 20.0


class StreamProtocol(HttpToolsProtocol):
    """HTTP/1.1 for streams.

    Reasons for the overrides:
    - uvicorn has no timeout for requests that arrive slowly or never, and its httptools protocol no
      limit of a head's size (Kludex/uvicorn#157): `data_received`, `on_message_*`.
    - With pipelined requests, uvicorn notifies only the newest of them when the client disconnects,
      and pauses reading until the current response ends, which a stream does not
      (`on_headers_complete`, `_start_asgi_task`, `connection_lost`).
    - ASGI has no way to cut a connection, and a write through `send` wakes a task, which is half of
      its cost (the two extensions, `has_room`, `write_body`).
    - uvicorn answers malformed HTTP with plain text (`send_400_response`).
    - uvicorn answers HTTP/1.0 in chunks, which RFC 9112 (6.1) forbids, and adds a second
      ``Connection`` to a response that has one (`_answer_last_request`, `write_body`).
    """

    active_cycle: RequestResponseCycle | None = None
    """The request that is being answered, or was answered last."""
    is_overloaded = False
    """Whether the connection is to be answered 503, because the process has none left to spare."""
    timed_out = False
    """Whether the kernel closed the connection because the peer stopped reading."""
    _incoming: IncomingRequest | None = None
    """The request that is incoming. These attributes are defaults of the class because an instance
    with more than a few attributes of its own gets an unshared dictionary, which takes 1 KB."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pipeline = cast("Any", RequestQueue())

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_request_timeout()

    def data_received(self, data: bytes) -> None:
        if self._incoming is None and self.is_waiting_for_request():
            self._start_request_timeout()
        super().data_received(data)
        incoming = self._incoming
        if incoming is not None and incoming.head_bytes is not None:
            incoming.head_bytes += len(data)
            if incoming.head_bytes > MAX_HEAD_BYTES:
                self._respond_and_close(431, f"more than {MAX_HEAD_BYTES} bytes of headers")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._incoming is None:
            self._incoming = IncomingRequest(None)
        self._incoming.head_bytes = 0
        extensions = {ABORT_EXTENSION: self.transport.abort, DIRECT_WRITER_EXTENSION: self}
        self.scope["extensions"] = cast("dict[str, Any]", extensions)

    def on_headers_complete(self) -> None:
        if self._incoming is not None:
            self._incoming.head_bytes = None
        # RFC 9110, 10.1.1: HTTP/1.0 knows no response 100.
        self.expect_100_continue &= self.parser.get_http_version() != "1.0"
        super().on_headers_complete()
        self.cycle.message_event = cast("asyncio.Event", LightEvent())
        if 0 < len(self.pipeline) <= MAX_PIPELINED_REQUESTS:
            self.flow.resume_reading()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._cancel_request_timeout()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.active_cycle = cycle
        cycle.transport = cast("asyncio.Transport", GuardedTransport(self.transport))
        if self.is_overloaded:
            cycle.keep_alive = False
            cast("dict[str, Any]", cycle.scope["extensions"])[OVERLOAD_EXTENSION] = True
        if not cycle.keep_alive:
            app = partial(_answer_last_request, app, cycle)
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """Also notify the active request, and break the reference cycle with the extensions."""
        self.timed_out = isinstance(exc, TimeoutError)
        super().connection_lost(exc)
        self._cancel_request_timeout()
        self.pipeline.clear()
        if self.active_cycle is not None and not self.active_cycle.response_complete:
            self.active_cycle.disconnected = True
            self.active_cycle.message_event.set()
            (self.active_cycle.scope.get("extensions") or {}).clear()
        if self.scope is not None:
            (self.scope.get("extensions") or {}).clear()

    def has_room(self) -> bool:
        """Whether a write neither waits nor gets lost."""
        return not self.flow.write_paused and not self.transport.is_closing()

    def is_waiting_for_request(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def write_body(self, body: bytes) -> None:
        """Write a part of the active response, as the ASGI `send` does."""
        is_chunked = self.active_cycle is None or self.active_cycle.chunked_encoding
        self.transport.write(b"%x\r\n%b\r\n" % (len(body), body) if is_chunked else body)

    def send_400_response(self, msg: str) -> None:
        """Answer malformed HTTP."""
        self._respond_and_close(400, msg)

    def _start_request_timeout(self) -> None:
        """Start the time in which a request must arrive completely."""
        seconds = cast("EdgeConfig", self.config).request_seconds
        self._incoming = IncomingRequest(
            self.loop.call_later(seconds, self._on_request_timeout, seconds)
        )

    def _cancel_request_timeout(self) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is not None and incoming.timeout_handle is not None:
            incoming.timeout_handle.cancel()

    def _on_request_timeout(self, timeout_seconds: float) -> None:
        if (
            self._incoming is not None
            and self._incoming.head_bytes is None
            and self.is_waiting_for_request()
        ):
            self.transport.close()
        else:
            self._respond_and_close(408, f"no whole request within {timeout_seconds:g} seconds")

    def _respond_and_close(self, status: int, message: str) -> None:
        """Answer with an error, unless a response has started, and close."""
        self._cancel_request_timeout()
        active = self.active_cycle
        if active is None or active.response_complete or not active.response_started:
            body = HttpError(status, message).body()
            self.transport.write(STATUS_LINE[status] + ERROR_RESPONSE_HEADERS % len(body) + body)
        self.transport.close()


async def _answer_last_request(
    app: Any, cycle: RequestResponseCycle, scope: Any, receive: Any, send: Any
) -> None:
    """Serve the last request of a connection: its response has one ``Connection``, which uvicorn
    adds. Over HTTP/1.0 a body of unknown length is sent plain, and ends with the connection."""
    is_unframed = False

    async def send_last_response(message: Any) -> None:
        nonlocal is_unframed
        if message["type"] == "http.response.start":
            headers = [item for item in message.get("headers", ()) if item[0] != b"connection"]
            message = {**message, "headers": headers}
            if scope["http_version"] == "1.0" and b"content-length" not in dict(headers):
                is_unframed, cycle.chunked_encoding = True, False
        elif is_unframed:
            # uvicorn sends exactly what it expects.
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    await app(scope, receive, send_last_response)
