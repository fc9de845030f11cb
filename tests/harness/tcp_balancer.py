"""A TCP balancer in front of several edges. It passes each connection to the first edge that
accepts.

An edge that no longer listens gets no new connections. Its open connections stay until either side
ends them. In these respects it behaves as a load balancer does.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from tests.harness.connections import serve_connections

CHUNK_BYTES = 65_536


class TcpBalancer:
    """Balances over `ports`, which may change at any time. Start it with `run_balancer`."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.ports = [*ports]
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one connection until both sides are done."""
        far = await self._connect_edge()
        if far is None:
            writer.transport.abort()
            return
        far_reader, far_writer = far
        ends = {writer, far_writer}
        self._writers |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy_stream(reader, far_writer))
                group.create_task(_copy_stream(far_reader, writer))
        except asyncio.CancelledError:
            far_writer.transport.abort()
            raise
        finally:
            self._writers -= ends

    async def _connect_edge(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for port in [*self.ports]:
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        return None

    def cut_all(self) -> None:
        for end in self._writers:
            end.transport.abort()


async def _copy_stream(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy all bytes and then the end of the stream, in order, so the client receives an edge's
    last bytes."""
    with contextlib.suppress(ConnectionError):
        while chunk := await source.read(CHUNK_BYTES):
            sink.write(chunk)
            await sink.drain()
    sink.close()


@contextlib.asynccontextmanager
async def listen(balancer: TcpBalancer) -> AsyncIterator[str]:
    """Listen, and yield the URL of `balancer`."""
    async with serve_connections(balancer.serve_connection) as port:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            balancer.ports = []
            balancer.cut_all()


@contextlib.asynccontextmanager
async def run_balancer(*ports: int) -> AsyncIterator[tuple[TcpBalancer, str]]:
    """Run a balancer over these local ports; yield it and its URL."""
    balancer = TcpBalancer(ports)
    async with listen(balancer) as address:
        yield balancer, address
