"""uvicorn, adapted to event streams: the only module that touches its private parts.

`StreamProtocol` lets the application cut a connection and write to it without a task, serves
requests that are pipelined behind an open stream, and limits the time for a request to arrive.
`EdgeServer` closes its listeners before its streams, and leaves signals and draining to the edge.

pyproject.toml bounds uvicorn's version by `TESTED_BELOW`. To raise it, read the diff of uvicorn's
`server.py` and `protocols/http/`, and run the edge's tests.
"""

import asyncio
import socket
from typing import Any, cast

import uvicorn
from litestar.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from tapewire_services.edge.http.errors import HttpError
from tapewire_services.edge.http.streams import ABORT_EXTENSION, DIRECT_WRITER_EXTENSION
from tapewire_services.edge.light_event import LightEvent

TESTED_BELOW = "0.55"
"""The overrides hold for versions below this one."""

BACKLOG = 4096
SHUTDOWN_GRACE_SECONDS = 2.0
"""How long ordinary requests may take after the last stream ended."""
KEEP_ALIVE_SECONDS = 5
"""A connection that waits so long for its next request is closed."""
POLL_INTERVAL_SECONDS = 0.05
MAX_PIPELINED_REQUESTS = 16
"""Requests of a connection behind the one that is being answered; beyond it, reading pauses."""
MAX_HEAD_BYTES = 64 * 1024
"""Bytes of a request's head that may arrive before it is complete."""
ERROR_RESPONSE_HEADERS = (
    b"content-type: application/json\r\ncontent-length: %d\r\n"
    b"cache-control: no-store\r\nconnection: close\r\n\r\n"
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
    """

    active_cycle: RequestResponseCycle | None = None
    """The request that is being answered, or was answered last."""
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
        """Write a chunk of the active response, as the ASGI `send` does."""
        self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))

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


class EdgeServer(uvicorn.Server):
    """A uvicorn server that leaves signals and draining to the edge.

    Reasons for the overrides: uvicorn stops accepting only when it shuts down, waits for open
    streams without end, and closes idle keep-alive connections at once. A proxy may be sending a
    request on such a connection, and may not repeat it if it is a POST. After `close_listeners`,
    each kept connection is therefore answered once more, with ``Connection: close``, or stays idle
    until its owner closes it, at most `idle_seconds`.
    """

    def __init__(
        self,
        app: ASGIApp,
        listening_socket: socket.socket,
        idle_seconds: float = 0.0,
        request_seconds: float = 20.0,
    ) -> None:
        config = EdgeConfig(
            app,
            http=StreamProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            # uvicorn trusts every client on this machine; the edge has a setting instead.
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(SHUTDOWN_GRACE_SECONDS),
        )
        config.request_seconds = request_seconds
        super().__init__(config)
        self._listening_socket = listening_socket
        self._idle_seconds = min(idle_seconds, KEEP_ALIVE_SECONDS)
        self._listeners_closed_at = 0.0

    async def start(self) -> None:
        """Start to accept connections."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup([self._listening_socket])

    async def run_ticks(self) -> None:
        """Run uvicorn's periodic work, until cancelled."""
        await self.main_loop()

    def close_listeners(self) -> None:
        """Stop accepting connections, except those already in the backlog. Each connection is
        answered once more, and a request that is being answered is the last of its connection."""
        loop = asyncio.get_running_loop()
        self._listeners_closed_at = loop.time()
        # uvicorn rebuilds the first list from the second one each second.
        for headers in (self.server_state.default_headers, self.config.encoded_headers):
            headers.append((b"connection", b"close"))
        # Closing a listener resets its backlog; within two iterations the loop accepts it.
        loop.call_soon(loop.call_soon, self._close_listeners)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Return when the last connection is closed."""
        await self._wait_until_idle()
        await super().shutdown(sockets)

    async def _wait_until_idle(self) -> None:
        clock = asyncio.get_running_loop().time
        deadline = self._listeners_closed_at + self._idle_seconds
        while clock() < deadline:
            if not self._has_idle_connections():
                return
            await asyncio.sleep(POLL_INTERVAL_SECONDS)

    def _close_listeners(self) -> None:
        for server in self.servers:
            server.close()
        for connection in self.server_state.connections:
            if isinstance(connection, StreamProtocol) and not connection.is_waiting_for_request():
                connection.cycle.keep_alive = False

    def _has_idle_connections(self) -> bool:
        return any(
            isinstance(connection, StreamProtocol) and connection.is_waiting_for_request()
            for connection in self.server_state.connections
        )
