"""HTTP/1.1, as streams need it.

uvicorn's protocol, and what it lacks: connections that the application can cut and write to without
a task, requests behind one that is being answered, and an end to requests that never come whole.
"""

import asyncio
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from tapewire_services.edge.http.errors import HttpError
from tapewire_services.edge.http.streams import ABORT_EXTENSION, DIRECT_WRITER_EXTENSION
from tapewire_services.edge.light_event import LightEvent

MAX_PIPELINED_REQUESTS = 16
"""Of one connection, behind the one that is being answered; with more, it is not read from."""
MAX_HEAD_BYTES = 64 * 1024
"""Of a request's head, as long as it is not whole."""
ERROR_RESPONSE_HEADERS = (
    b"content-type: application/json\r\ncontent-length: %d\r\n"
    b"cache-control: no-store\r\nconnection: close\r\n\r\n"
)


class GuardedTransport:
    """A transport as a response sees it: what is written when the peer was cut off, and nobody
    has been told yet, goes nowhere. uvloop's own raises then."""

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
    """What uvicorn wants of the deque that it gives every connection, without the 600 bytes."""

    __slots__ = ()

    def appendleft(self, item: Any) -> None:
        self.insert(0, item)


class IncomingRequest:
    """A request on its way. `head_bytes` is what came of a head that is not whole yet, with what
    came before it at once; None before the first of it, and when it is whole."""

    __slots__ = ("head_bytes", "timeout_handle")

    def __init__(self, timeout_handle: asyncio.TimerHandle | None) -> None:
        self.timeout_handle = timeout_handle
        self.head_bytes: int | None = None


class EdgeConfig(uvicorn.Config):
    """uvicorn's, and how long a client may take to send a request whole."""

    request_seconds = 20.0


class StreamProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose connections the application can cut, and write to without a task.

    A client may send further requests behind one that is being answered. uvicorn tells only the
    newest of them that the client left, and stops reading for the time of the answer, which for a
    stream is for ever: here the one under way is told, and a few wait without that.
    """

    active_cycle: RequestResponseCycle | None = None
    """The request that is being answered, or was last."""
    timed_out = False
    """Whether the kernel gave the peer up: for too long it took nothing of what was written."""
    _incoming: IncomingRequest | None = None
    """While a request is to come whole. With more attributes than a few, an instance would have a
    dictionary with keys of its own, a kilobyte."""

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
        arriving = self._incoming
        if arriving is not None and arriving.head_bytes is not None:
            arriving.head_bytes += len(data)
            if arriving.head_bytes > MAX_HEAD_BYTES:
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
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """The extensions refer to this protocol, which has them: memory comes back at once only
        when that circle is broken."""
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
        """Whether a write would neither wait nor be lost."""
        return not self.flow.write_paused and not self.transport.is_closing()

    def is_waiting_for_request(self) -> bool:
        """Whether no request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def write_body(self, body: bytes) -> None:
        """A chunk of the response under way, as the ASGI `send` would write it."""
        self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))

    def send_400_response(self, msg: str) -> None:
        """What uvicorn answers to what is no HTTP."""
        self._respond_and_close(400, msg)

    def _start_request_timeout(self) -> None:
        """Have a request whole in time, or close."""
        seconds = cast("EdgeConfig", self.config).request_seconds
        self._incoming = IncomingRequest(
            self.loop.call_later(seconds, self._on_request_timeout, seconds)
        )

    def _cancel_request_timeout(self) -> None:
        arriving, self._incoming = self._incoming, None
        if arriving is not None and arriving.timeout_handle is not None:
            arriving.timeout_handle.cancel()

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
        """Answer with an error, unless an answer is under way, and close."""
        self._cancel_request_timeout()
        served = self.active_cycle
        if served is None or served.response_complete or not served.response_started:
            body = HttpError(status, message).body()
            self.transport.write(STATUS_LINE[status] + ERROR_RESPONSE_HEADERS % len(body) + body)
        self.transport.close()
