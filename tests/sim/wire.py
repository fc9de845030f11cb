"""One stream's bytes: ASGI on the edge's side, a strict parser on the client's.

A `Wire` stands where uvicorn and a TCP connection are: it holds so many bytes and lets the edge
wait for room, it may break after any byte, and after that the edge's writes go nowhere until it
hears of it. `Parser` accepts what the edge writes and nothing else.
"""

import asyncio
import random
import re
from typing import Any

from tests.history import Frame


class BadBytes(AssertionError):
    """What came is no stream of frames."""


_FRAME = re.compile(
    rb"event: ([a-z]+(?::[a-z]+)?)\n"
    rb"data: ([^\n\r\0]+)\n"
    rb"(?:id: ([a-z][a-z0-9]*-(?:0|[1-9][0-9]*))\n)?"
    rb"retry: [0-9]+"
)
_OTHER = re.compile(rb": [a-z]+|retry: [0-9]+")


class Parser:
    """Bytes in pieces of any size to frames; comments and bare `retry` give none."""

    def __init__(self) -> None:
        self._rest = b""
        self.comments = 0

    @property
    def within(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. Raises BadBytes."""
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        frames = []
        for block in blocks:
            found = _FRAME.fullmatch(block)
            if found is not None:
                name, told, id_ = found.groups()
                frames.append(Frame(name.decode(), told, id_.decode() if id_ else None))
            elif _OTHER.fullmatch(block):
                self.comments += 1
            else:
                raise BadBytes(f"no frame: {block!r}")
        return frames


class Wire:
    """One request and its stream. The edge has `send`, `receive` and `abort`."""

    def __init__(self, capacity: int, notice: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._capacity = capacity
        self._notice = notice
        self._pipe = bytearray()
        self._answered: asyncio.Future[int] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._readable: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._over = False

    # The edge's side.

    async def send(self, message: Any) -> None:
        """As ASGI has it; after the peer has gone it does nothing (as uvicorn)."""
        if message["type"] == "http.response.start":
            if not self._answered.done():
                self._answered.set_result(message["status"])
            return
        while len(self._pipe) >= self._capacity and not self._over:
            self._room = self._loop.create_future()
            await self._room
        if self._over:
            return
        self._pipe += message.get("body", b"")
        self._over = not message.get("more_body", False)
        _set(self._readable)

    async def receive(self) -> Any:
        await self._gone
        return {"type": "http.disconnect"}

    def abort(self) -> None:
        """The edge cuts the connection: what was not read yet is lost."""
        self._pipe.clear()
        self._end(0.0)

    # The client's side.

    async def answer(self) -> int:
        """The status; 0 when the connection broke before there was one."""
        return await self._answered

    async def read(self, most: int) -> bytes:
        """The next 1 to `most` bytes; none at the end."""
        while not self._pipe:
            if self._over:
                return b""
            self._readable = self._loop.create_future()
            await self._readable
        data = bytes(self._pipe[:most])
        del self._pipe[:most]
        if len(self._pipe) < self._capacity:
            _set(self._room)
        return data

    def break_(self, chance: random.Random) -> None:
        """The connection breaks after any byte of those on their way."""
        del self._pipe[chance.randint(0, len(self._pipe)) :]
        self._end(self._notice * chance.random())

    def _end(self, noticed_after: float) -> None:
        self._over = True
        if not self._answered.done():
            self._answered.set_result(0)
        _set(self._readable)
        _set(self._room)
        self._loop.call_later(noticed_after, _set, self._gone)


def _set(future: "asyncio.Future[None] | None") -> None:
    if future is not None and not future.done():
        future.set_result(None)
