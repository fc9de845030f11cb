"""What stands before several edges: each connection goes to the first one that takes it.

As a load balancer in the way that matters here: an edge that does not listen any more gets no new
connections, and those that it has stay until either side ends them.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

CHUNK_BYTES = 65_536


class Balancer:
    """`ports` may be changed at any time; start with `before`."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.ports = [*ports]
        self._ends: set[asyncio.StreamWriter] = set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until both sides are done."""
        far = await self._edge()
        if far is None:
            writer.transport.abort()
            return
        far_reader, far_writer = far
        ends = {writer, far_writer}
        self._ends |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, far_writer))
                group.create_task(_copy(far_reader, writer))
        finally:
            self._ends -= ends

    async def _edge(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for port in [*self.ports]:
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        return None

    def cut(self) -> None:
        for end in self._ends:
            end.transport.abort()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """What comes, and then the end, in order: an edge's last bytes reach the client."""
    with contextlib.suppress(ConnectionError):
        while chunk := await source.read(CHUNK_BYTES):
            sink.write(chunk)
            await sink.drain()
    sink.close()


@contextlib.asynccontextmanager
async def listening(balancer: Balancer) -> AsyncIterator[str]:
    """The address that `balancer` is at."""
    server = await asyncio.start_server(balancer.carry, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        balancer.ports = []
        server.close()
        balancer.cut()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def before(*ports: int) -> AsyncIterator[tuple[Balancer, str]]:
    """A balancer before those ports on this machine, and its address."""
    balancer = Balancer(ports)
    async with listening(balancer) as address:
        yield balancer, address
