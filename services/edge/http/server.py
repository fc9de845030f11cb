"""The listening socket of the edge, and its periodic work.

The socket has a small send buffer, which makes a stalled client noticeable within seconds. What
uvicorn does with the socket is in `uvicorn_compat`; how streams end is in `drain`.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any

from tapewire.runtime import Settings
from tapewire_services.edge.delivery.hub import Hub
from tapewire_services.edge.http.uvicorn_compat import BACKLOG

SEND_BUFFER_BYTES = 96 * 1024
"""What the kernel may hold for a client that does not read; its default hides up to 4 MB."""


def open_listening_socket(settings: Settings) -> socket.socket:
    """The socket to accept connections on: a copy of the inherited one (TAPEWIRE_LISTEN_FD), or one
    that is bound here. An edge that holds opens it again; see `close_inherited_socket`.

    Raises:
        OSError: the address is in use, or not one of this machine.
    """
    if settings.listen_fd >= 0:
        listening = socket.socket(fileno=os.dup(settings.listen_fd))
    else:
        listening = socket.create_server((settings.host, settings.port), backlog=BACKLOG)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Data that fits into the kernel's buffer never waits in this process, therefore only the
        # kernel can detect that the client does not read or has disconnected.
        timeout_ms = max(1, int(settings.write_seconds * 1000))  # 0 means the default of minutes
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
    listening.setblocking(False)
    return listening


def close_inherited_socket(settings: Settings) -> None:
    """Close the inherited socket before the process stops; copies of it stay open."""
    if settings.listen_fd >= 0:
        with contextlib.suppress(OSError):
            os.close(settings.listen_fd)


async def run_periodically(action: Callable[[], None], interval_seconds: float) -> None:
    """Call `action` every `interval_seconds`, until cancelled."""
    while True:
        await asyncio.sleep(interval_seconds)
        action()


async def run_hub_ticks(hub: Hub, wall_clock: Callable[[], Any], interval_seconds: float) -> None:
    """Tick the hub every `interval_seconds`, until cancelled."""
    clock = asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(interval_seconds)
        hub.tick(clock(), wall_clock())
