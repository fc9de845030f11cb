"""A strict client of the edge's streams for tests. It rejects bytes that any parser would read
otherwise.

`SseStream` speaks HTTP/1.1 on its own socket and reads only on request, so a test controls how slow
a reader is. `parse_frame` parses every block. It accepts exactly the format that FEATURES.md (C7)
promises, and fails on anything else. `read` returns one frame, `read_until` waits for one by name
or condition, and `read_to_end` reads on to a clean end. A stream that ends raises `StreamEnded`,
which says whether the end was clean.
"""

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

READ_TIMEOUT_SECONDS = 60.0
"""Allows for a slow or busy machine."""
READ_BUFFER_BYTES = 16 * 1024
"""The bytes that a `SseStream` buffers unread; further bytes wait in the kernel."""

_EVENT_ID = re.compile(r"[a-z][a-z0-9]*-(0|[1-9][0-9]*)")
_EVENT_NAME = re.compile(r"[a-z]+([:_][a-z]+)?|[A-Z]+(_[A-Z]+)*")
_FORBIDDEN_LINE_ENDINGS = ("\r", "\u2028", "\u2029", "\u0085", "\x0b", "\x0c")


class InvalidFrame(AssertionError):
    """Bytes that are not a frame, or that some parser would read otherwise."""


class StreamEnded(Exception):
    """The stream has ended: cleanly (the last chunk arrived), or cut."""

    def __init__(self, *, is_clean: bool) -> None:
        super().__init__("a clean end" if is_clean else "the connection was cut")
        self.is_clean = is_clean


@dataclass(frozen=True)
class Frame:
    """One block. A comment has no `event`; a block with only a `retry` has no `data`."""

    raw: bytes
    event: str | None = None
    data: Any = None
    id: str | None = None
    retry: int | None = None
    comment: str | None = None

    @property
    def sequence(self) -> int:
        """The sequence in the id."""
        assert self.id is not None, f"{self.raw!r} has no id"
        return int(self.id.rpartition("-")[2])


def is_event_at(frame: Frame, sequence: int, name: str | None = None) -> bool:
    """Whether the frame is the event with that sequence, and has that event name."""
    is_there = frame.id is not None and frame.sequence == sequence
    return is_there and name in (None, frame.event)


def has_price(frame: Frame, price: object, symbol: str | None = None) -> bool:
    """Whether the frame is a quote with that price, of that symbol."""
    is_quote = frame.event == "price:update" and frame.data.get("price") == price
    return is_quote and symbol in (None, frame.data.get("symbol"))


def parse_frame(raw: bytes) -> Frame:
    """Parse one block, without its blank line. Raises InvalidFrame."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidFrame(f"not UTF-8: {raw!r}") from error
    for end in (*_FORBIDDEN_LINE_ENDINGS, "\0"):
        if end in text:
            raise InvalidFrame(f"a raw {end!r} in {text!r}")
    lines = text.split("\n")
    if lines[0].startswith(":"):
        if len(lines) != 1 or not lines[0].startswith(": "):
            raise InvalidFrame(f"not a comment of one line: {text!r}")
        return Frame(raw, comment=lines[0][2:])
    return _parse_fields(raw, lines)


def _parse_fields(raw: bytes, lines: list[str]) -> Frame:
    pairs = [line.partition(": ")[::2] for line in lines]
    names = [name for name, _ in pairs]
    values = dict(pairs)
    if names == ["retry"]:
        return Frame(raw, retry=_parse_retry(values["retry"]))
    if names not in (["event", "data", "retry"], ["event", "data", "id", "retry"]):
        raise InvalidFrame(f"not event, data, id, retry: {names} in {raw!r}")
    if not _EVENT_NAME.fullmatch(values["event"]):
        raise InvalidFrame(f"not an event name: {values['event']!r}")
    if "id" in values and not _EVENT_ID.fullmatch(values["id"]):
        raise InvalidFrame(f"not an event id: {values['id']!r}")
    try:
        data = json.loads(values["data"], parse_float=Decimal, parse_constant=_reject_constant)
    except ValueError as error:
        raise InvalidFrame(f"not JSON: {values['data']!r}") from error
    return Frame(raw, values["event"], data, values.get("id"), _parse_retry(values["retry"]))


def _parse_retry(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise InvalidFrame(f"not milliseconds: {text!r}")
    return int(text)


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


@dataclass
class SseStream:
    """An open response, made by `connect`. `frames` holds everything that was read."""

    status: int
    headers: list[tuple[str, str]]
    _reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    frames: list[Frame] = field(default_factory=list)
    _buffer: bytes = b""
    _chunk_length: int | None = None
    _end: StreamEnded | None = None

    def header(self, name: str) -> str | None:
        """The value of a header that occurs at most once; None if it is missing."""
        found = [value for key, value in self.headers if key == name.lower()]
        assert len(found) < 2, f"{name} occurs {len(found)} times: {found}"
        return found[0] if found else None

    @property
    def last_id(self) -> str | None:
        """The last event id that a browser would send: the id of the last frame that had one."""
        return next((frame.id for frame in reversed(self.frames) if frame.id), None)

    @property
    def sequences(self) -> list[int]:
        """The sequences of all frames with an id, in order."""
        return [frame.sequence for frame in self.frames if frame.id]

    async def body(self) -> bytes:
        """The whole body of a response that is not a stream."""
        length = self.header("content-length")
        async with asyncio.timeout(READ_TIMEOUT_SECONDS):
            if length is not None:
                return await self._reader.readexactly(int(length))
            parts = []
            with contextlib.suppress(StreamEnded):
                while True:
                    parts.append(await self._chunk())
        return b"".join(parts)

    async def read(self, *, seconds: float = READ_TIMEOUT_SECONDS) -> Frame:
        """The next frame. Raises StreamEnded, and TimeoutError if none arrives."""
        while b"\n\n" not in self._buffer:
            async with asyncio.timeout(seconds):
                try:
                    self._buffer += await self._chunk()
                except StreamEnded as end:
                    if self._buffer:
                        why = f"the stream ends ({end}) within a frame: {self._buffer[-200:]!r}"
                        if end.is_clean:
                            raise InvalidFrame(why) from None
                    raise
        raw, _, self._buffer = self._buffer.partition(b"\n\n")
        frame = parse_frame(raw)
        self.frames.append(frame)
        return frame

    async def read_numbered(self) -> Frame:
        """The next frame with an id: a value without one may arrive at any time."""
        return await self.read_until("a frame with an id", lambda frame: frame.id)

    async def read_until(
        self,
        description: str,
        condition: Callable[[Frame], object] | None = None,
        *,
        seconds: float = READ_TIMEOUT_SECONDS,
    ) -> Frame:
        """The next frame that satisfies `condition`, or whose event is `description`."""
        fits = condition or (lambda frame: frame.event == description)
        seen: Frame | None = None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    seen = await self.read(seconds=seconds + 1)
                    if fits(seen):
                        return seen
        except TimeoutError:
            last = seen.raw[:500] if seen else "nothing"
            raise AssertionError(
                f"not within {seconds:g} s: {description}; last seen: {last!r}"
            ) from None

    async def read_to_end(self, *, seconds: float = READ_TIMEOUT_SECONDS) -> list[Frame]:
        """All frames up to the end, which must be clean and arrive within `seconds`."""
        frames = []
        try:
            async with asyncio.timeout(seconds):
                while True:
                    frames.append(await self.read(seconds=seconds + 1))
        except StreamEnded as end:
            if not end.is_clean:
                raise AssertionError(f"cut after {frames[-3:]!r}") from None
            return frames
        except TimeoutError:
            why = f"no end within {seconds:g} s; last seen: {frames[-1:]!r}"
            raise AssertionError(why) from None

    def pause(self) -> None:
        """Stop reading from the socket, as a client that stalls."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """Read from the socket again."""
        self._transport.resume_reading()

    @property
    def _transport(self) -> asyncio.Transport:
        transport = self.writer.transport
        assert isinstance(transport, asyncio.Transport)
        return transport

    async def close(self) -> None:
        """Close the connection, as a browser does that leaves the page."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def __aenter__(self) -> "SseStream":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[Frame]:
        with contextlib.suppress(StreamEnded):
            while True:
                yield await self.read()

    async def _chunk(self) -> bytes:
        """One chunk of a chunked body. Raises StreamEnded on every call after the end."""
        if self._end is not None:
            raise self._end
        try:
            if self._chunk_length is None:
                self._chunk_length = int(await self._reader.readuntil(b"\r\n"), 16)
            data = await self._reader.readexactly(self._chunk_length + 2)
        except (asyncio.IncompleteReadError, OSError):
            self._end = StreamEnded(is_clean=False)
            raise self._end from None
        assert data.endswith(b"\r\n"), f"a chunk without its end: {data[-20:]!r}"
        if not self._chunk_length:
            self._end = StreamEnded(is_clean=True)
            raise self._end
        self._chunk_length = None
        return data[:-2]


async def connect(
    url: str,
    path: str,
    *,
    cookie: str | None = None,
    last_event_id: str | None = None,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    content: bytes = b"",
    receive_buffer: int | None = None,
    source: str | None = None,
) -> SseStream:
    """Request `path` from the edge at `url`; return once the headers have arrived, whatever the
    status.

    `receive_buffer` is how many unread bytes the kernel may hold (at least about 2 KiB). `source`
    is the local address to connect from, such as 127.0.0.2.
    """
    where = urlsplit(url)
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.setblocking(False)
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        if source is not None:
            connection.bind((source, 0))
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, (where.hostname, where.port))
    except BaseException:
        connection.close()
        raise
    reader, writer = await asyncio.open_connection(sock=connection, limit=READ_BUFFER_BYTES)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {where.netloc}", "Accept: text/event-stream"]
    if cookie is not None:
        lines.append(f"Cookie: session={cookie}")
    if last_event_id is not None:
        lines.append(f"Last-Event-ID: {last_event_id}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if content:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + content)
    try:
        async with asyncio.timeout(READ_TIMEOUT_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
    except BaseException:
        writer.close()
        raise
    first, *fields = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    pairs = [line.partition(": ") for line in fields]
    return SseStream(
        int(first.split(" ")[1]),
        [(name.lower(), value) for name, _, value in pairs],
        reader,
        writer,
    )


async def open_stream(url: str, path: str, **how: Any) -> SseStream:
    """Open a stream and check its opening (C1): retry, then `connected`."""
    stream = await connect(url, path, **how)
    if stream.status != 200:
        body = await stream.body()
        await stream.close()
        raise AssertionError(f"{path} answers {stream.status}: {body!r}")
    try:
        first, second = await stream.read(), await stream.read()
        assert first.retry is not None, first.raw
        assert (first.event, second.event) == (None, "connected"), (first.raw, second.raw)
    except BaseException:
        await stream.close()
        raise
    return stream
