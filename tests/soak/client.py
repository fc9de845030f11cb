"""A client over a bare protocol, as cheap as can be, that leaves in every way there is."""

import asyncio
import contextlib
import random
import socket
import struct
from typing import cast

ANSWER_SECONDS = 60.0
SOURCES = tuple(f"127.0.0.{number}" for number in range(1, 17))
"""A port that was closed is not used again for a minute: one address has too few of them."""
NO_LINGER = struct.pack("ii", 1, 0)
LEAST_BUFFER_BYTES = 2048
HEAD_BYTES = 2048
TAIL_BYTES = 1024


class Caller(asyncio.Protocol):
    """One connection. `status` is that of the answer, 0 while there is none; `received` are the
    bytes of its body, `text` the first and `tail` the last of them."""

    def __init__(self) -> None:
        self._head = b""
        self._moved = asyncio.Event()
        self.status = 0
        self.received = 0
        self.text = self.tail = b""
        self.ended = False
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
        self.received += len(data)
        if len(self.text) < HEAD_BYTES:
            self.text += data
        self.tail = (self.tail + data)[-TAIL_BYTES:]
        self._moved.set()

    def eof_received(self) -> None:
        self._over()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._over()

    def _over(self) -> None:
        self.ended = True
        self._moved.set()

    def header(self, name: bytes) -> bytes:
        """A header of the answer, in lower case; empty without it."""
        for line in self._head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b": ")
            if key.lower() == name:
                return value
        return b""

    async def answered(self) -> int:
        """The status; 0 when the connection ended without one. Raises TimeoutError."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while not (self.status or self.ended):
                await self.move()
        return self.status

    async def body(self) -> bytes:
        """The whole short body of an answer with a length."""
        length = int(self.header(b"content-length") or 0)
        async with asyncio.timeout(ANSWER_SECONDS):
            while len(self.text) < length and not self.ended:
                await self.move()
        return self.text[:length]

    async def some(self, size: int, seconds: float) -> None:
        """Until so many bytes came, or for so long, or to the end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.received < size and not self.ended:
                    await self.move()

    async def end(self) -> None:
        """Until the edge ends the stream. Raises TimeoutError."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while not self.ended and not self.tail.endswith(b"0\r\n\r\n"):
                await self.move()

    async def move(self) -> None:
        """Until something came, or the end."""
        self._moved.clear()
        await self._moved.wait()

    def send(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def stall(self) -> None:
        """Read no more."""
        assert self.transport is not None
        if not self.ended:
            self.transport.pause_reading()

    def leave(self, rng: random.Random) -> None:
        """Close, or reset, or say that nothing more is sent and close after that."""
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


async def call(
    port: int, request: bytes, rng: random.Random, *, receive_buffer: int | None = None
) -> Caller:
    """A connection on which `request` was sent. `receive_buffer` is what the kernel may hold
    unread, in bytes."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    try:
        if receive_buffer is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if hasattr(socket, "IP_BIND_ADDRESS_NO_PORT"):
            made.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
        made.bind((rng.choice(SOURCES), 0))
        loop = asyncio.get_running_loop()
        await loop.sock_connect(made, ("127.0.0.1", port))
    except BaseException:
        made.close()
        raise
    transport, caller = await loop.create_connection(Caller, sock=made)
    caller.transport = transport
    if request:
        transport.write(request)
    return caller
