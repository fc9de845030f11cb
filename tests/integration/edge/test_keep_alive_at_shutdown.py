"""A stopping edge and the keep-alive connections of proxies.

The edge answers a request that is in transit when the edge stops, because a proxy may not send a
POST twice.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.waiting import wait_until

SIGN_IN = b'{"userId":"alice"}'
ANSWER_SECONDS = 10.0
EXIT_SECONDS = 20.0


@pytest.fixture
def leaving(isolated_harness: Harness) -> EdgeProcess:
    """An edge with a long drain period."""
    return isolated_harness.start_edge(TAPEWIRE_DRAIN_SECONDS=60)


@contextlib.asynccontextmanager
async def connected(edge: EdgeProcess) -> AsyncIterator[Any]:
    """A connection to `edge`: functions that send a request and read an answer.

    An answer is None at the end of the connection.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)

    async def answer() -> tuple[int, str | None] | None:
        async with asyncio.timeout(ANSWER_SECONDS):
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
            first, *lines = head.rstrip().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            await reader.readexactly(int(headers["content-length"]))
            return int(first.split(" ")[1]), headers.get("connection")

    async def ask(method: Any, path: str, body: Any = b"", *, wait: Any = True) -> Any:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        return await answer() if wait else None

    try:
        yield ask, answer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def refuses(edge: EdgeProcess) -> None:
    """Wait until the edge refuses new connections."""
    seen = []

    async def knock() -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
            except ConnectionRefusedError:
                seen.append("refused")
                return
            writer.close()

    knocking = asyncio.create_task(knock())
    await wait_until("new connections are refused", knocking.done, describe_last=lambda: seen)


async def ended(edge: EdgeProcess) -> None:
    assert await asyncio.to_thread(edge.process.wait, EXIT_SECONDS) == 0


async def test_keep_alive_connection_gets_one_more_answer_with_connection_close(
    leaving: EdgeProcess,
) -> None:
    async with connected(leaving) as (ask, answer):
        assert await ask("GET", "/health/live") == (200, None)
        leaving.terminate()
        await refuses(leaving)
        assert await ask("POST", "/api/session", SIGN_IN) == (201, "close")
        assert await answer() is None
        await ended(leaving)


async def test_stream_request_on_a_keep_alive_connection_is_cut_off_and_not_refused(
    leaving: EdgeProcess,
) -> None:
    """An EventSource does not reconnect after a refusal. A proxy tries the next edge anyway."""
    async with connected(leaving) as (ask, _):
        assert await ask("GET", "/health/live") == (200, None)
        leaving.terminate()
        await refuses(leaving)
        assert await ask("GET", "/api/stream/prices") is None
        await ended(leaving)


async def test_connection_in_the_backlog_is_served(leaving: EdgeProcess) -> None:
    """The kernel accepts the connection while the edge is frozen.

    The edge then receives the connection and the signal to stop at the same time.
    """
    leaving.freeze()
    async with connected(leaving) as (ask, answer):
        await ask("POST", "/api/session", SIGN_IN, wait=False)
        leaving.terminate()
        leaving.thaw()
        status, _ = await answer()
        assert status == 201
    await ended(leaving)


async def test_connection_without_a_request_does_not_delay_the_stop(
    isolated_harness: Harness,
) -> None:
    edge = isolated_harness.start_edge(TAPEWIRE_DRAIN_SECONDS=1)
    async with connected(edge) as (_, answer):
        edge.terminate()
        assert await answer() is None
        await ended(edge)
