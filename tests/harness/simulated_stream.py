"""The bytes of one stream: ASGI on the edge's side, a strict parser on the client's side.

A `SimulatedStream` replaces uvicorn and a TCP connection. It buffers a limited number of bytes and
makes the edge wait for room. It may break after any byte; the edge's writes are then discarded
until the edge is notified. `StrictSseParser` accepts exactly what the edge writes.
"""

import asyncio
import random
import re
from typing import Any

from tests.harness.history import ReceivedEvent


class MalformedStream(AssertionError):
    """The received bytes are not a stream of frames."""


_EVENT_FRAME = re.compile(
    rb"event: ([a-z]+(?::[a-z]+)?)\n"
    rb"data: ([^\n\r\0]+)\n"
    rb"(?:id: ([a-z][a-z0-9]*-(?:0|[1-9][0-9]*))\n)?"
    rb"retry: [0-9]+"
)
_COMMENT_OR_RETRY = re.compile(rb": [a-z]+|retry: [0-9]+")


class StrictSseParser:
    """Parses bytes in pieces of any size into frames; comments and bare `retry` lines yield
    none."""

    def __init__(self) -> None:
        self._buffer = b""
        self.comment_count = 0

    @property
    def is_inside_frame(self) -> bool:
        """Whether an incomplete frame was received."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[ReceivedEvent]:
        """Return the frames that `data` completes. Raises MalformedStream."""
        *blocks, self._buffer = (self._buffer + data).split(b"\n\n")
        frames = []
        for block in blocks:
            found = _EVENT_FRAME.fullmatch(block)
            if found is not None:
                name, payload, id_ = found.groups()
                frames.append(ReceivedEvent(name.decode(), payload, id_.decode() if id_ else None))
            elif _COMMENT_OR_RETRY.fullmatch(block):
                self.comment_count += 1
            else:
                raise MalformedStream(f"no frame: {block!r}")
        return frames


class SimulatedStream:
    """One request and its stream. The edge uses `send`, `receive` and `abort`."""

    def __init__(self, buffer_bytes: int, max_notice_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer_bytes = buffer_bytes
        self._max_notice_seconds = max_notice_seconds
        self._buffer = bytearray()
        self._status: asyncio.Future[int] = self._loop.create_future()
        self._peer_left: asyncio.Future[None] = self._loop.create_future()
        self._readable: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._ended = False

    # The edge's side.

    async def send(self, message: Any) -> None:
        """The ASGI `send`. After the client has disconnected it does nothing, as in uvicorn."""
        if message["type"] == "http.response.start":
            if not self._status.done():
                self._status.set_result(message["status"])
            return
        while len(self._buffer) >= self._buffer_bytes and not self._ended:
            self._writable = self._loop.create_future()
            await self._writable
        if self._ended:
            return
        self._buffer += message.get("body", b"")
        self._ended = not message.get("more_body", False)
        _resolve(self._readable)

    async def receive(self) -> Any:
        await self._peer_left
        return {"type": "http.disconnect"}

    def abort(self) -> None:
        """The edge aborts the connection; unread bytes are lost."""
        self._buffer.clear()
        self._end(0.0)

    # The client's side.

    async def wait_for_status(self) -> int:
        """Return the status, or 0 if the connection broke before the response."""
        return await self._status

    async def read(self, max_bytes: int) -> bytes:
        """Return the next 1 to `max_bytes` bytes, or none at the end."""
        while not self._buffer:
            if self._ended:
                return b""
            self._readable = self._loop.create_future()
            await self._readable
        data = bytes(self._buffer[:max_bytes])
        del self._buffer[:max_bytes]
        if len(self._buffer) < self._buffer_bytes:
            _resolve(self._writable)
        return data

    def sever(self, rng: random.Random) -> None:
        """Break the connection after any of the bytes in transit."""
        del self._buffer[rng.randint(0, len(self._buffer)) :]
        self._end(self._max_notice_seconds * rng.random())

    def _end(self, notice_delay_seconds: float) -> None:
        self._ended = True
        if not self._status.done():
            self._status.set_result(0)
        _resolve(self._readable)
        _resolve(self._writable)
        self._loop.call_later(notice_delay_seconds, _resolve, self._peer_left)


def _resolve(future: "asyncio.Future[None] | None") -> None:
    if future is not None and not future.done():
        future.set_result(None)
