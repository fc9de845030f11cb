"""Accepts the connections of the listening socket, also when file descriptors run out.

The servers of asyncio and uvloop are not used for this: when a process has no descriptor left,
uvloop resets waiting connections without any notice. Here the last free descriptors are reserved. A
connection that takes one of them is marked, to be answered 503, and when none is left, connections
wait until some are closed. Either is logged, at most once a minute, with the remedy.
"""

import asyncio
import errno
import resource
import socket
from collections.abc import Callable
from functools import partial

import structlog

RESERVED_DESCRIPTORS = 16
"""Descriptors kept for connections to NATS, for files, and to answer clients with 503."""
OTHER_DESCRIPTORS = 64
"""Descriptors of a process that are no streams: the reserved ones, its own, and requests."""
PAUSE_SECONDS = 0.5
"""How long connections wait when no descriptor is left."""
LOG_INTERVAL_SECONDS = 60.0
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_REMEDY = "raise the limit of open files (ulimit -n, LimitNOFILE), or lower SSE_MAX_CONNECTIONS"

logger = structlog.get_logger("edge.listener")


class Listener:
    """Accepts connections of `listening_socket`. `create_protocol` makes the protocol of each; its
    argument says whether the connection took a reserved descriptor."""

    def __init__(
        self, listening_socket: socket.socket, create_protocol: Callable[[bool], asyncio.Protocol]
    ) -> None:
        self._socket = listening_socket
        self._create_protocol = create_protocol
        self._loop = asyncio.get_running_loop()
        self._pending_tasks: set[asyncio.Task[None]] = set()
        self._logged_at = float("-inf")
        self._resume_handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accept connections from now on."""
        self._resume_handle = None
        self._loop.add_reader(self._socket.fileno(), self._accept_one)

    def close(self) -> None:
        """Accept the connections that already wait, and no more."""
        if self._resume_handle is not None:
            self._resume_handle.cancel()
        while self._accept_one():
            pass
        self._stop_accepting()
        self._socket.close()

    def _accept_one(self) -> bool:
        """Accept a connection that waits. Returns whether there may be more.

        The event loop calls this once in each iteration, as libuv does since 1.45: requests that
        arrive together are then admitted one after the other, which takes less memory at once.
        """
        limit = descriptor_limit()
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionAbortedError:
            return True
        except OSError as error:
            if error.errno not in _OUT_OF_RESOURCES:
                raise
            self._warn(limit)
            self._pause()
            return False
        takes_reserved = connection.fileno() >= limit - RESERVED_DESCRIPTORS
        if takes_reserved:
            self._warn(limit)
        task = self._loop.create_task(self._open(connection, takes_reserved))
        self._pending_tasks.add(task)
        task.add_done_callback(self._pending_tasks.discard)
        return True

    async def _open(self, connection: socket.socket, takes_reserved: bool) -> None:
        connection.setblocking(False)
        create = partial(self._create_protocol, takes_reserved)
        try:
            await self._loop.connect_accepted_socket(create, connection)
        except OSError:
            # The client has left already.
            connection.close()

    def _stop_accepting(self) -> None:
        self._loop.remove_reader(self._socket.fileno())

    def _pause(self) -> None:
        self._stop_accepting()
        if self._resume_handle is None:
            self._resume_handle = self._loop.call_later(PAUSE_SECONDS, self.start)

    def _warn(self, limit: float) -> None:
        now = self._loop.time()
        if now - self._logged_at >= LOG_INTERVAL_SECONDS:
            self._logged_at = now
            logger.warning("listener.descriptors_exhausted", limit=limit, remedy=_REMEDY)


def descriptor_limit() -> float:
    """The number of descriptors that this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return float("inf") if soft == resource.RLIM_INFINITY else soft


def raise_descriptor_limit(max_connections: int) -> None:
    """Raise the limit of descriptors to what `max_connections` streams need, as far as the system
    allows. Log a warning if that is not far enough."""
    needed = max_connections + OTHER_DESCRIPTORS
    if descriptor_limit() >= needed:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    reachable = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if descriptor_limit() < reachable:
        resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    if reachable < needed:
        logger.warning(
            "listener.descriptors_below_limit",
            limit=reachable,
            needed=needed,
            max_connections=max_connections,
            remedy=_REMEDY,
        )
