"""Sockets.

uvicorn serves; what it lacks for streams is here: small socket buffers so that a stalled client is
noticed, and listeners that close before the streams do. What a connection can do is in `protocol`,
how the streams end in `drain`.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from litestar.types import ASGIApp

from tapewire.runtime import Settings
from tapewire_services.edge.delivery.hub import Hub
from tapewire_services.edge.http.protocol import EdgeConfig, StreamProtocol

BACKLOG = 4096
SEND_BUFFER_BYTES = 96 * 1024
"""What the kernel may hold for a client that does not read; its default hides up to 4 MB."""
SHUTDOWN_GRACE_SECONDS = 2.0
"""How long ordinary requests may take after the last stream ended."""
KEEP_ALIVE_SECONDS = 5
"""A connection that waits so long for its next request is closed."""
POLL_INTERVAL_SECONDS = 0.05


class EdgeServer(uvicorn.Server):
    """A uvicorn server that leaves signals and drain to the edge.

    After `close_listeners`, connections that proxies keep for further requests are not closed under
    a request on its way, which they may not send again if it is a POST: each is answered once more,
    with ``Connection: close``, or let wait until its owner closes it, `unused_seconds` at the most.
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
            # It would believe X-Forwarded-For of whoever connects from this machine; which
            # proxies are believed is a setting of ours.
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
        """Accept connections."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup([self._listening_socket])

    async def run_ticks(self) -> None:
        """uvicorn's own housekeeping, until cancelled."""
        await self.main_loop()

    def close_listeners(self) -> None:
        """Accept no more but who stands at the door, and answer each connection once more; what is
        under way is the last of its connection."""
        loop = asyncio.get_running_loop()
        self._listeners_closed_at = loop.time()
        # The list in use, and the one that uvicorn makes it of again each second.
        for headers in (self.server_state.default_headers, self.config.encoded_headers):
            headers.append((b"connection", b"close"))
        # Closing resets connections that are made and not yet accepted, and what was sent on them:
        # two turns of the loop are one look at the listeners, whatever was going on before it.
        loop.call_soon(loop.call_soon, self._close_listeners)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Return when the last connection is gone."""
        await self._wait_until_idle()
        await super().shutdown(sockets)

    async def _wait_until_idle(self) -> None:
        clock = asyncio.get_running_loop().time
        until = self._listeners_closed_at + self._idle_seconds
        while clock() < until:
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


def open_listening_socket(settings: Settings) -> socket.socket:
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
        # What is little enough for the kernel's buffer never waits here: that its reader takes
        # nothing of it, or fell silent, only the kernel sees.
        patience = max(1, int(settings.write_seconds * 1000))  # 0 would be its own, minutes
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)
    listening.setblocking(False)
    return listening


async def run_periodically(action: Callable[[], None], interval_seconds: float) -> None:
    """`act` every `seconds`, until cancelled."""
    while True:
        await asyncio.sleep(interval_seconds)
        action()


async def run_hub_ticks(hub: Hub, wall_clock: Callable[[], Any], interval_seconds: float) -> None:
    """The hub's tick, every `seconds`, until cancelled."""
    clock = asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(interval_seconds)
        hub.tick(clock(), wall_clock())
