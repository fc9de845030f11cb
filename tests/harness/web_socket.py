"""A small WebSocket client (RFC 6455) for tests that control a browser.

Text messages in both directions, without extensions. `connect` opens one, and `WebSocket` sends and
receives until either side closes.
"""

import asyncio
import base64
import contextlib
import hashlib
import os
import struct
from urllib.parse import urlsplit

_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x8, 0x9, 0xA


class WebSocketClosed(Exception):
    """The connection has ended."""


async def connect(url: str) -> "WebSocket":
    """Open a connection to a `ws://` URL. Raises WebSocketClosed if the server refuses it."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    key = base64.b64encode(os.urandom(16))
    lines = (
        f"GET {address.path or '/'} HTTP/1.1",
        f"Host: {address.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key.decode()}",
        "Sec-WebSocket-Version: 13",
    )
    writer.write("\r\n".join((*lines, "", "")).encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    accept = base64.b64encode(hashlib.sha1(key + _ACCEPT_GUID, usedforsecurity=False).digest())
    if b" 101 " not in answer.split(b"\r\n", 1)[0] or accept not in answer:
        writer.close()
        raise WebSocketClosed(f"{url} answered {answer!r}")
    return WebSocket(reader, writer)


class WebSocket:
    """An open connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, text: str) -> None:
        await self._send_frame(_TEXT, text.encode())

    async def receive(self) -> str:
        """The next message. Raises WebSocketClosed at the end of the connection."""
        parts: list[bytes] = []
        while True:
            is_last, opcode, payload = await self._read_frame()
            if opcode == _PING:
                await self._send_frame(_PONG, payload)
            elif opcode == _CLOSE:
                raise WebSocketClosed(repr(payload))
            elif opcode in {_TEXT, _CONTINUATION}:
                parts.append(payload)
                if is_last:
                    return b"".join(parts).decode()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _send_frame(self, opcode: int, payload: bytes) -> None:
        mask = os.urandom(4)
        size = len(payload)
        if size < 126:
            head = bytes((0x80 | opcode, 0x80 | size))
        elif size < 1 << 16:
            head = struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, 0x80 | 127, size)
        repeated = (mask * (size // 4 + 1))[:size]
        masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
        self._writer.write(head + mask + masked.to_bytes(size, "big"))
        await self._writer.drain()

    async def _read_frame(self) -> tuple[bool, int, bytes]:
        try:
            first, second = await self._reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack(">H", await self._reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", await self._reader.readexactly(8))
            payload = await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise WebSocketClosed(str(error)) from error
        return bool(first & 0x80), first & 0x0F, payload
