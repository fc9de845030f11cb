"""The client of the load generator: HTTP and SSE on bare asyncio protocols.

It does as little as possible, so the measurements show the server. It has no HTTP library and one
buffer per connection. It splits frames at blank lines and reads only the fields that a scenario
needs.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any


class BenchStream(asyncio.Protocol):
    """One SSE connection; `on_frame` receives the bytes of each block, without chunk sizes."""

    def __init__(self, request: bytes, on_frame: Callable[[bytes], None]) -> None:
        self._request = request
        self._on_frame = on_frame
        self._response_head = b""
        self._chunk_buffer = b""
        self._buffer = b""
        self.status = 0
        self.received = 0
        self.transport: asyncio.Transport | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if not self.status:
            self._response_head += data
            head, end, data = self._response_head.partition(b"\r\n\r\n")
            if not end:
                return
            self.status = int(head.split(b" ", 2)[1])
        self._chunk_buffer += data
        self._unchunk()

    def _unchunk(self) -> None:
        while True:
            size, end, rest = self._chunk_buffer.partition(b"\r\n")
            if not end:
                return
            length = int(size, 16)
            if len(rest) < length + 2:
                return
            self._buffer += rest[:length]
            self._chunk_buffer = rest[length + 2 :]
            *frames, self._buffer = self._buffer.split(b"\n\n")
            for frame in frames:
                self._on_frame(frame)

    def connection_lost(self, _: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class BenchTarget:
    """The server under test."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self.host, self.port = host, int(port)

    async def open_stream(
        self,
        path: str,
        on_frame: Callable[[bytes], None],
        *,
        cookie: str = "",
        last_event_id: str = "",
    ) -> BenchStream:
        """Open a stream."""
        lines = [f"GET {path} HTTP/1.1", f"Host: {self.host}", "Accept: text/event-stream"]
        if cookie:
            lines.append(f"Cookie: {cookie}")
        if last_event_id:
            lines.append(f"Last-Event-ID: {last_event_id}")
        request = "\r\n".join([*lines, "", ""]).encode()
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(
            lambda: BenchStream(request, on_frame), self.host, self.port
        )
        return protocol

    async def open_json_client(self, cookie: str = "") -> "JsonClient":
        """Open a keep-alive connection for JSON calls."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        return JsonClient(reader, writer, self.host, cookie)

    async def sign_in(self, user: str) -> str:
        """Return the cookie of a new session of `user`."""
        caller = await self.open_json_client()
        await caller.request("POST", "/api/session", {"userId": user})
        cookie = caller.set_cookie.split(";")[0]
        caller.close()
        return cookie


class JsonClient:
    """Sends one call at a time."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, cookie: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._host = host
        self._cookie = cookie
        self.set_cookie = ""

    async def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return the status and the JSON of the response."""
        data = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}", f"Content-Length: {len(data)}"]
        if data:
            lines.append("Content-Type: application/json")
        if self._cookie:
            lines.append(f"Cookie: {self._cookie}")
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + data)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        length = 0
        for line in head.split("\r\n")[1:]:
            name, _, value = line.partition(": ")
            if name.lower() == "content-length":
                length = int(value)
            elif name.lower() == "set-cookie":
                self.set_cookie = value
        answer = await self._reader.readexactly(length)
        return int(head.split(" ", 2)[1]), json.loads(answer) if answer else None

    def close(self) -> None:
        self._writer.close()


def sse_field(frame: bytes, field_name: bytes) -> bytes:
    """The value of a field of a block; empty if it has none."""
    for line in frame.split(b"\n"):
        if line.startswith(field_name + b": "):
            return line[len(field_name) + 2 :]
    return b""
