"""A network cable between the browser and the edge, to be pulled and plugged in again.

Chromium's own offline mode leaves open streams alone, so it proves nothing about them.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

CHUNK_BYTES = 65_536


class Cable:
    """Forwards connections to `port`; start with `plugged_into`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._whole = True
        self._ends: set[asyncio.StreamWriter] = set()

    def pull(self) -> None:
        """Every connection breaks, and new ones break at once."""
        self._whole = False
        for end in self._ends:
            end.transport.abort()

    def plug_in(self) -> None:
        self._whole = True

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of the browser until either side is done with it."""
        if not self._whole:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        ends = {writer, far_writer}
        self._ends |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, far_writer))
                group.create_task(_copy(far_reader, writer))
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await source.read(CHUNK_BYTES):
            sink.write(chunk)
            await sink.drain()
    sink.transport.abort()


@contextlib.asynccontextmanager
async def plugged_into(port: int) -> AsyncIterator[tuple[Cable, str]]:
    """A cable to `port` on this machine, and the address of its other end."""
    cable = Cable(port)
    server = await asyncio.start_server(cable.carry, "127.0.0.1", 0)
    near_port = server.sockets[0].getsockname()[1]
    try:
        yield cable, f"http://127.0.0.1:{near_port}"
    finally:
        cable.pull()
        server.close()
        await server.wait_closed()
