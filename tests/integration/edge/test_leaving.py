"""A stopping edge and the connections that proxies keep: a request that is on its way when it
stops is answered, since a proxy may not send a POST twice."""

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
    """An edge that takes its time to stop."""
    return isolated_harness.start_edge(TAPEWIRE_DRAIN_SECONDS=60)


@contextlib.asynccontextmanager
async def connected(edge: EdgeProcess) -> AsyncIterator[Any]:
    """A connection to `edge` and what asks on it; None is its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)

    async def answer() -> Any:
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
        head = f"{method} {path} HTTP/1.1\r\nHost: edge\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        return await answer() if wait else None

    try:
        yield ask, answer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def refuses(edge: EdgeProcess) -> None:
    """Wait until nobody is let in any more."""
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


async def test_a_kept_connection_is_answered_once_more_and_told_to_close(
    leaving: EdgeProcess,
) -> None:
    async with connected(leaving) as (ask, answer):
        assert await ask("GET", "/health/live") == (200, None)
        leaving.terminate()
        await refuses(leaving)
        assert await ask("POST", "/api/session", SIGN_IN) == (201, "close")
        assert await answer() is None
        await ended(leaving)


async def test_a_stream_asked_for_on_a_kept_connection_is_cut_and_not_refused(
    leaving: EdgeProcess,
) -> None:
    """An EventSource that is refused gives up for good; a proxy asks the next edge either way."""
    async with connected(leaving) as (ask, _):
        assert await ask("GET", "/health/live") == (200, None)
        leaving.terminate()
        await refuses(leaving)
        assert await ask("GET", "/api/stream/prices") is None
        await ended(leaving)


async def test_who_is_at_the_door_when_it_closes_is_let_in(leaving: EdgeProcess) -> None:
    """The connection is made by the kernel while the edge does nothing; it finds the connection
    and the order to stop at the same time."""
    leaving.freeze()
    async with connected(leaving) as (ask, answer):
        await ask("POST", "/api/session", SIGN_IN, wait=False)
        leaving.terminate()
        leaving.thaw()
        status, _ = await answer()
        assert status == 201
    await ended(leaving)


async def test_a_connection_without_a_request_holds_nothing_up(isolated_harness: Harness) -> None:
    edge = isolated_harness.start_edge(TAPEWIRE_DRAIN_SECONDS=1)
    async with connected(edge) as (_, answer):
        edge.terminate()
        assert await answer() is None
        await ended(edge)
