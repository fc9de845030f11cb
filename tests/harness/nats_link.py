"""A link between services and a NATS server that can stall or cut single connections by name.

`NatsLink` forwards each connection. A connection is known by the name in its `CONNECT` command,
such as ``tapewire orders``.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from tests.harness.connections import serve_connections

CHUNK_BYTES = 1 << 16
_NAME = re.compile(rb'"name": ?"([^"]*)"')


class NatsLink:
    """Forwards to the server at `server_url`; open it with `run_nats_link`."""

    def __init__(self, server_url: str) -> None:
        server = urlsplit(server_url)
        self._address = server.hostname, server.port
        self.url = ""
        self.names: set[str] = set()
        """The names of all connections so far."""
        self._cut_names: set[str] = set()
        self._flowing: dict[str, asyncio.Event] = {}
        self._writers: dict[asyncio.StreamWriter, str] = {}

    def stall(self, name: str) -> None:
        """Forward nothing on the connections named `name`, which stay open."""
        self._gate(name).clear()

    def resume(self, name: str) -> None:
        """Forward again, beginning with what waits."""
        self._gate(name).set()

    def cut(self, name: str) -> None:
        """Abort the connections named `name`, and every later one."""
        self._cut_names.add(name)
        for writer, owner in self._writers.items():
            if owner == name:
                writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until one of its two sides ends."""
        with contextlib.suppress(OSError):
            server_reader, server_writer = await asyncio.open_connection(*self._address)
            try:
                writer.write(await server_reader.readline())  # INFO
                hello = await reader.readline()
                found = _NAME.search(hello)
                name = found[1].decode() if found else ""
                await self._forward(name, hello, (reader, writer), (server_reader, server_writer))
            finally:
                server_writer.transport.abort()
        writer.transport.abort()

    async def _forward(
        self,
        name: str,
        hello: bytes,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        if name in self._cut_names:
            return
        self.names.add(name)
        self._writers[client[1]] = name
        server[1].write(hello)
        pumps = {
            asyncio.create_task(self._pump(name, client[0], server[1])),
            asyncio.create_task(self._pump(name, server[0], client[1])),
        }
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._writers[client[1]]
            for pump in pumps:
                pump.cancel()

    async def _pump(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                await self._gate(name).wait()
                writer.write(data)
                await writer.drain()

    def _gate(self, name: str) -> asyncio.Event:
        if name not in self._flowing:
            self._flowing[name] = asyncio.Event()
            self._flowing[name].set()
        return self._flowing[name]


@contextlib.asynccontextmanager
async def run_nats_link(server_url: str) -> AsyncIterator[NatsLink]:
    """A link to the server at `server_url`, for as long as the block lasts."""
    link = NatsLink(server_url)
    async with serve_connections(link.serve) as port:
        link.url = f"nats://127.0.0.1:{port}"
        yield link
