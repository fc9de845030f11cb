"""A minimal client on a bare protocol that disconnects in every possible way."""

import asyncio
import contextlib
import random
import socket
import struct
from typing import cast

RESPONSE_TIMEOUT_SECONDS = 60.0
SOURCE_ADDRESSES = tuple(f"127.0.0.{number}" for number in range(1, 17))
"""A closed port is not reused for a minute, and one address has too few ports for this load."""
NO_LINGER = struct.pack("ii", 1, 0)
MIN_BUFFER_BYTES = 2048
KEPT_HEAD_BYTES = 2048
KEPT_TAIL_BYTES = 1024


class RawHttpConnection(asyncio.Protocol):
    """One connection. `status` is the status of the response, or 0 before there is one.
    `received_bytes` counts the bytes of the body; `body_head` and `body_tail` hold its first and
    last bytes."""

    def __init__(self) -> None:
        self._head = b""
        self._progress = asyncio.Event()
        self.status = 0
        self.received_bytes = 0
        self.body_head = self.body_tail = b""
        self.is_ended = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self.status:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head, self.status = head, int(head.split(b" ", 2)[1])
        self.received_bytes += len(data)
        if len(self.body_head) < KEPT_HEAD_BYTES:
            self.body_head += data
        self.body_tail = (self.body_tail + data)[-KEPT_TAIL_BYTES:]
        self._progress.set()

    def eof_received(self) -> None:
        self._mark_ended()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._mark_ended()

    def _mark_ended(self) -> None:
        self.is_ended = True
        self._progress.set()

    def response_header(self, name: bytes) -> bytes:
        """The value of a response header, in lower case; empty if it is missing."""
        for line in self._head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b": ")
            if key.lower() == name:
                return value
        return b""

    async def wait_for_status(self) -> int:
        """Return the status, or 0 if the connection ended without one. Raises TimeoutError."""
        async with asyncio.timeout(RESPONSE_TIMEOUT_SECONDS):
            while not (self.status or self.is_ended):
                await self.wait_for_progress()
        return self.status

    async def read_body(self) -> bytes:
        """Return the whole body of a short response with a content length."""
        length = int(self.response_header(b"content-length") or 0)
        async with asyncio.timeout(RESPONSE_TIMEOUT_SECONDS):
            while len(self.body_head) < length and not self.is_ended:
                await self.wait_for_progress()
        return self.body_head[:length]

    async def read_some(self, byte_count: int, timeout_seconds: float) -> None:
        """Read until `byte_count` bytes have arrived, the timeout has passed, or the stream has
        ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while self.received_bytes < byte_count and not self.is_ended:
                    await self.wait_for_progress()

    async def wait_for_end(self) -> None:
        """Wait until the edge ends the stream. Raises TimeoutError."""
        async with asyncio.timeout(RESPONSE_TIMEOUT_SECONDS):
            while not self.is_ended and not self.body_tail.endswith(b"0\r\n\r\n"):
                await self.wait_for_progress()

    async def wait_for_progress(self) -> None:
        """Wait until further bytes or the end have arrived."""
        self._progress.clear()
        await self._progress.wait()

    def send(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def pause_reading(self) -> None:
        """Stop reading from the socket."""
        assert self.transport is not None
        if not self.is_ended:
            self.transport.pause_reading()

    def disconnect(self, rng: random.Random) -> None:
        """Close or reset the connection, or shut down sending and close afterwards."""
        assert self.transport is not None
        if self.transport.is_closing():
            return
        how = rng.random()
        if how < 0.4:
            found = self.transport.get_extra_info("socket")
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            self.transport.abort()
            return
        if how < 0.5:
            self.transport.write_eof()
        self.transport.close()


async def open_connection(
    port: int, request: bytes, rng: random.Random, *, receive_buffer: int | None = None
) -> RawHttpConnection:
    """Open a connection and send `request`. `receive_buffer` is how many unread bytes the kernel
    may hold."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    try:
        if receive_buffer is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if hasattr(socket, "IP_BIND_ADDRESS_NO_PORT"):
            made.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
        made.bind((rng.choice(SOURCE_ADDRESSES), 0))
        loop = asyncio.get_running_loop()
        await loop.sock_connect(made, ("127.0.0.1", port))
    except BaseException:
        made.close()
        raise
    transport, caller = await loop.create_connection(RawHttpConnection, sock=made)
    caller.transport = transport
    if request:
        transport.write(request)
    return caller
