"""Sockets.

uvicorn serves; what it lacks for streams is here: connections that can be cut, small socket buffers
so that a stalled client is noticed, and listeners that close before the streams do. How the streams
end is in `drain`.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

import uvicorn
from litestar.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from services.edge.http.streams import ABORT, LINE
from services.edge.hub import Hub
from tapewire.runtime import Settings

BACKLOG = 4096
SEND_BUFFER_BYTES = 96 * 1024
"""What the kernel may hold for a client that does not read; its default hides up to 4 MB."""
USER_TIMEOUT_WRITES = 2
"""How many times as long as a write may take the kernel waits for a peer's acknowledgement: the
edge finds a slow reader first, and the kernel a peer that is gone."""
MOST_WAITING_REQUESTS = 16
"""Of one connection, behind the one that is being answered; with more, it is not read from."""
GRACE_SECONDS = 2.0
"""How long ordinary requests may take after the last stream ended."""
UNUSED_SECONDS = 5
"""A connection that waits so long for its next request is closed."""
LOOK_SECONDS = 0.05


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


class StreamProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose connections the application can cut, and write to without a task.

    A client may send further requests behind one that is being answered. uvicorn tells only the
    newest of them that the client left, and stops reading for the time of the answer, which for a
    stream is for ever: here the one under way is told, and a few wait without that.
    """

    served: RequestResponseCycle | None = None
    """The request that is being answered, or was last."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pipeline = cast("Any", Waiting())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extensions = {ABORT: self.transport.abort, LINE: self}
        self.scope["extensions"] = cast("dict[str, Any]", extensions)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if 0 < len(self.pipeline) <= MOST_WAITING_REQUESTS:
            self.flow.resume_reading()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.served = cycle
        cycle.transport = cast("asyncio.Transport", Way(self.transport))
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """The extensions refer to this protocol, which has them: memory comes back at once only
        when that circle is broken."""
        super().connection_lost(exc)
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


class EdgeServer(uvicorn.Server):
    """A uvicorn server that leaves signals and drain to the edge.

    After `close_listeners`, connections that proxies keep for further requests are not closed under
    a request on its way, which they may not send again if it is a POST: each is answered once more,
    with ``Connection: close``, or let wait until its owner closes it, `unused_seconds` at the most.
    """

    def __init__(self, app: ASGIApp, listening: socket.socket, unused_seconds: float = 0.0) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=StreamProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                # It would believe X-Forwarded-For of whoever connects from this machine; which
                # proxies are believed is a setting of ours.
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=UNUSED_SECONDS,
                timeout_graceful_shutdown=int(GRACE_SECONDS),
            )
        )
        self._listening = listening
        self._unused_seconds = min(unused_seconds, UNUSED_SECONDS)
        self._closed_at = 0.0

    async def start(self) -> None:
        """Accept connections."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup([self._listening])

    async def run_ticks(self) -> None:
        """uvicorn's own housekeeping, until cancelled."""
        await self.main_loop()

    def close_listeners(self) -> None:
        """Accept no more but who stands at the door, and answer each connection once more; what is
        under way is the last of its connection."""
        loop = asyncio.get_running_loop()
        self._closed_at = loop.time()
        # The list in use, and the one that uvicorn makes it of again each second.
        for headers in (self.server_state.default_headers, self.config.encoded_headers):
            headers.append((b"connection", b"close"))
        # Closing resets connections that are made and not yet accepted, and what was sent on them:
        # two turns of the loop are one look at the listeners, whatever was going on before it.
        loop.call_soon(loop.call_soon, self._close_listeners)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Return when the last connection is gone."""
        await self._until_unused()
        await super().shutdown(sockets)

    async def _until_unused(self) -> None:
        clock = asyncio.get_running_loop().time
        until = self._closed_at + self._unused_seconds
        while clock() < until:
            if not self._waiting():
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _close_listeners(self) -> None:
        for server in self.servers:
            server.close()
        for connection in self.server_state.connections:
            if isinstance(connection, StreamProtocol) and not connection.waits():
                connection.cycle.keep_alive = False

    def _waiting(self) -> bool:
        return any(
            isinstance(connection, StreamProtocol) and connection.waits()
            for connection in self.server_state.connections
        )


def listening_socket(settings: Settings) -> socket.socket:
    """The socket to accept on: inherited, or bound here.

    Raises:
        OSError: the address is taken or not ours.
    """
    if settings.listen_fd >= 0:
        listening = socket.socket(fileno=settings.listen_fd)
    else:
        listening = socket.create_server((settings.host, settings.port), backlog=BACKLOG)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        patience = int(USER_TIMEOUT_WRITES * settings.write_seconds * 1000)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)
    listening.setblocking(False)
    return listening


async def regularly(act: Callable[[], None], seconds: float) -> None:
    """`act` every `seconds`, until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        act()


async def look_after(hub: Hub, wall: Callable[[], Any], seconds: float) -> None:
    """The hub's tick, every `seconds`, until cancelled."""
    clock = asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(seconds)
        hub.tick(clock(), wall())
