"""Proxies that nginx cannot be: they cut, hold back or slice what passes through them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from tests.harness.connections import serve_connections

CHUNK_BYTES = 65_536
HELD_BYTES = 4096
SLICE_BYTES = 7

Relay = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
"""Passes on what the edge sends to a client, until either ends."""


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while chunk := await source.read(CHUNK_BYTES):
        sink.write(chunk)
        await sink.drain()


def cut_after(seconds: float) -> Relay:
    """Cut each connection that long after it was opened."""

    async def relay(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _pass_on(source, sink)
                return
        sink.transport.abort()

    return relay


async def hold_back(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass on only pieces of 4 KiB, and what remains at the end of the response."""
    held = bytearray()
    while chunk := await source.read(CHUNK_BYTES):
        held += chunk
        passed = len(held) - len(held) % HELD_BYTES
        sink.write(held[:passed])
        await sink.drain()
        del held[:passed]
    sink.write(held)


async def pass_calls_only(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass on responses, and of streams nothing but their heads."""
    head = await source.readuntil(b"\r\n\r\n")
    sink.write(head)
    if b"text/event-stream" not in head.lower():
        await _pass_on(source, sink)
    while await source.read(CHUNK_BYTES):
        pass


async def slice_up(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass on a few bytes at a time, which splits lines and characters."""
    while chunk := await source.read(CHUNK_BYTES):
        for start in range(0, len(chunk), SLICE_BYTES):
            sink.write(chunk[start : start + SLICE_BYTES])
            await sink.drain()
            await asyncio.sleep(0)


class RelayProxy:
    """A proxy before the edge at `port`, which sends one request on each connection. Start it with
    `run_relay`."""

    def __init__(self, port: int, relay: Relay) -> None:
        self._port = port
        self._relay = relay

    async def serve_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        # The end of a response is then the end of its connection.
        lines = [
            line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")
        ]
        far_writer.write(b"\r\n".join([lines[0], b"Connection: close", *lines[1:]]))
        sending = asyncio.create_task(_pass_on(reader, far_writer))
        try:
            receiving = asyncio.create_task(self._relay(far_reader, writer))
            # A client that has gone ends its request, and so does the edge.
            await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
            if receiving.done():
                await writer.drain()
            receiving.cancel()
        finally:
            sending.cancel()
            far_writer.transport.abort()


@contextlib.asynccontextmanager
async def run_relay(port: int, relay: Relay) -> AsyncIterator[str]:
    """Run a proxy before the edge at `port`; yield its URL."""
    async with serve_connections(RelayProxy(port, relay).serve_connection) as proxy_port:
        yield f"http://127.0.0.1:{proxy_port}"
