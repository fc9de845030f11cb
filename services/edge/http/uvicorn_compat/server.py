"""The HTTP server of an edge process."""

import asyncio
import socket

import uvicorn
from litestar.types import ASGIApp

from tapewire_services.edge.http.listener import Listener
from tapewire_services.edge.http.uvicorn_compat.protocol import EdgeConfig, StreamProtocol

BACKLOG = 4096
SHUTDOWN_GRACE_SECONDS = 2.0
"""How long ordinary requests may take after the last stream ended."""
KEEP_ALIVE_SECONDS = 5
"""A connection that waits so long for its next request is closed."""
POLL_INTERVAL_SECONDS = 0.05


class EdgeServer(uvicorn.Server):
    """A uvicorn server that leaves signals and draining to the edge.

    Reasons for the overrides: uvicorn leaves accepting to the event loop (see `listener`), stops
    accepting only when it shuts down, waits for open streams without end, and closes idle
    keep-alive connections at once. A proxy may be sending a
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
        self._listener: Listener | None = None
        self._idle_seconds = min(idle_seconds, KEEP_ALIVE_SECONDS)
        self._listeners_closed_at = 0.0

    async def start(self) -> None:
        """Start to accept connections."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        self.servers = []
        self._listener = Listener(self._listening_socket, self._create_protocol)
        self._listener.start()
        self.started = True

    async def run_ticks(self) -> None:
        """Run uvicorn's periodic work, until cancelled."""
        await self.main_loop()

    def close_listeners(self) -> None:
        """Stop accepting connections, except those already in the backlog. Each connection is
        answered once more, and a request that is being answered is the last of its connection."""
        self._listeners_closed_at = asyncio.get_running_loop().time()
        # uvicorn rebuilds the first list from the second one each second.
        for headers in (self.server_state.default_headers, self.config.encoded_headers):
            headers.append((b"connection", b"close"))
        for connection in self.server_state.connections:
            if isinstance(connection, StreamProtocol) and not connection.is_waiting_for_request():
                connection.cycle.keep_alive = False
        if self._listener is not None:
            self._listener.close()

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

    def _create_protocol(self, takes_reserved_descriptor: bool) -> StreamProtocol:
        protocol = StreamProtocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        protocol.is_overloaded = takes_reserved_descriptor
        return protocol

    def _has_idle_connections(self) -> bool:
        return any(
            isinstance(connection, StreamProtocol) and connection.is_waiting_for_request()
            for connection in self.server_state.connections
        )
