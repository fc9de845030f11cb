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

from services.edge.flag import Flag
from services.edge.http.errors import Failure
from services.edge.http.streams import ABORT, LINE

MOST_WAITING_REQUESTS = 16
"""Of one connection, behind the one that is being answered; with more, it is not read from."""
HEAD_BYTES = 64 * 1024
"""Of a request's head, as long as it is not whole."""
HEAD = (
    b"content-type: application/json\r\ncontent-length: %d\r\n"
    b"cache-control: no-store\r\nconnection: close\r\n\r\n"
)


class Way:
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


class Waiting(list[Any]):
    """What uvicorn wants of the deque that it gives every connection, without the 600 bytes."""

    __slots__ = ()

    def appendleft(self, one: Any) -> None:
        self.insert(0, one)


class Arriving:
    """A request on its way. `head_bytes` is what came of a head that is not whole yet, with what
    came before it at once; None before the first of it, and when it is whole."""

    __slots__ = ("head_bytes", "overdue")

    def __init__(self, overdue: asyncio.TimerHandle | None) -> None:
        self.overdue = overdue
        self.head_bytes: int | None = None


class Config(uvicorn.Config):
    """uvicorn's, and how long a client may take to send a request whole."""

    request_seconds = 20.0


class StreamProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose connections the application can cut, and write to without a task.

    A client may send further requests behind one that is being answered. uvicorn tells only the
    newest of them that the client left, and stops reading for the time of the answer, which for a
    stream is for ever: here the one under way is told, and a few wait without that.
    """

    served: RequestResponseCycle | None = None
    """The request that is being answered, or was last."""
    timed_out = False
    """Whether the kernel gave the peer up: for too long it took nothing of what was written."""
    _arriving: Arriving | None = None
    """While a request is to come whole. With more attributes than a few, an instance would have a
    dictionary with keys of its own, a kilobyte."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pipeline = cast("Any", Waiting())

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        if self._arriving is None and self.waits():
            self._expect()
        super().data_received(data)
        arriving = self._arriving
        if arriving is not None and arriving.head_bytes is not None:
            arriving.head_bytes += len(data)
            if arriving.head_bytes > HEAD_BYTES:
                self._refuse(431, f"more than {HEAD_BYTES} bytes of headers")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._arriving is None:
            self._arriving = Arriving(None)
        self._arriving.head_bytes = 0
        extensions = {ABORT: self.transport.abort, LINE: self}
        self.scope["extensions"] = cast("dict[str, Any]", extensions)

    def on_headers_complete(self) -> None:
        if self._arriving is not None:
            self._arriving.head_bytes = None
        super().on_headers_complete()
        self.cycle.message_event = cast("asyncio.Event", Flag())
        if 0 < len(self.pipeline) <= MOST_WAITING_REQUESTS:
            self.flow.resume_reading()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._came()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.served = cycle
        cycle.transport = cast("asyncio.Transport", Way(self.transport))
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """The extensions refer to this protocol, which has them: memory comes back at once only
        when that circle is broken."""
        self.timed_out = isinstance(exc, TimeoutError)
        super().connection_lost(exc)
        self._came()
        self.pipeline.clear()
        if self.served is not None and not self.served.response_complete:
            self.served.disconnected = True
            self.served.message_event.set()
            (self.served.scope.get("extensions") or {}).clear()
        if self.scope is not None:
            (self.scope.get("extensions") or {}).clear()

    def has_room(self) -> bool:
        """Whether a write would neither wait nor be lost."""
        return not self.flow.write_paused and not self.transport.is_closing()

    def waits(self) -> bool:
        """Whether no request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def write_body(self, body: bytes) -> None:
        """A chunk of the response under way, as the ASGI `send` would write it."""
        self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))

    def send_400_response(self, msg: str) -> None:
        """What uvicorn answers to what is no HTTP."""
        self._refuse(400, msg)

    def _expect(self) -> None:
        """Have a request whole in time, or close."""
        seconds = cast("Config", self.config).request_seconds
        self._arriving = Arriving(self.loop.call_later(seconds, self._give_up, seconds))

    def _came(self) -> None:
        arriving, self._arriving = self._arriving, None
        if arriving is not None and arriving.overdue is not None:
            arriving.overdue.cancel()

    def _give_up(self, seconds: float) -> None:
        if self._arriving is not None and self._arriving.head_bytes is None and self.waits():
            self.transport.close()
        else:
            self._refuse(408, f"no whole request within {seconds:g} seconds")

    def _refuse(self, status: int, message: str) -> None:
        """Answer with an error, unless an answer is under way, and close."""
        self._came()
        served = self.served
        if served is None or served.response_complete or not served.response_started:
            body = Failure(status, message).body()
            self.transport.write(STATUS_LINE[status] + HEAD % len(body) + body)
        self.transport.close()
