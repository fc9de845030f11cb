"""A local server for tests that leaves no connection open, however late it was accepted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

ACCEPT_ROUNDS = 5
"""More rounds of the event loop than asyncio takes from a connection to its handler."""

ConnectionHandler = Callable[
    [asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]
]


@contextlib.asynccontextmanager
async def serve_connections(handle: ConnectionHandler) -> AsyncIterator[int]:
    """Serve each connection to a free local port, which it yields, with `handle`.

    At the end of the block all handlers are cancelled and all connections aborted.
    """
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        task = asyncio.create_task(handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    [listener] = server.sockets
    try:
        yield listener.getsockname()[1]
    finally:
        # asyncio loses a connection that it has accepted and not yet attached when its server
        # closes. Accept no more, and close once the last ones have arrived.
        loop.remove_reader(listener.fileno())
        for _ in range(ACCEPT_ROUNDS):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        server.close()
        await asyncio.sleep(0)  # the sockets are closed in the next round
