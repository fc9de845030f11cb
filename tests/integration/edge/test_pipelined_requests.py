"""Pipelined requests: a client sends them behind a request that is still being answered.

Requests behind a stream wait for ever. Regression: when the client disconnected, the edge notified
only the newest request. The stream stayed open until a write to it failed, with its tasks and its
slot among the user's connections. The edge then logged that failure as its own, with a traceback.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tapewire_services.edge.http.uvicorn_compat import MAX_PIPELINED_REQUESTS
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.waiting import wait_until

STREAM = "GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Correlation-ID: {name}\r\nX-N: 0\r\n\r\n"
CALL = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = (
    b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 60000\r\n\r\n" + b" " * 60_000
)


async def opened(edge: EdgeProcess, path: str, name: str, behind: Any) -> Any:
    """Open a stream, and send the requests `behind` after it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(STREAM.format(path=path, name=name).encode() + behind)
    async with asyncio.timeout(30):
        assert (await reader.readline()).split()[1] == b"200"
        await reader.readuntil(b"connected")
    return reader, writer


@pytest.mark.parametrize("behind", [CALL, CALL * MAX_PIPELINED_REQUESTS, LARGE + CALL])
@pytest.mark.parametrize("leave", ["close", "reset"])
async def test_a_stream_ends_when_its_client_leaves(
    edge: EdgeProcess, fresh: Callable[[str], str], behind: Any, leave: str
) -> None:
    name = fresh("behind")
    _, writer = await opened(edge, "/api/stream/prices", name, behind)
    if leave == "reset":
        writer.transport.abort()
    else:
        writer.close()
    await wait_until(
        "the stream has ended",
        lambda: edge.find_log_lines("stream.closed", correlation_id=name, reason="gone"),
        describe_last=lambda: edge.find_log_lines("stream.opened", correlation_id=name),
        timeout_seconds=20,
    )
    assert not edge.find_log_lines("stream.failed", correlation_id=name)


async def test_a_client_over_the_pipeline_limit_is_noticed_by_a_failed_write(
    harness: Harness, fresh: Callable[[str], str]
) -> None:
    """The edge stops reading beyond the limit, and does not see the client disconnect."""
    edge, name = harness.shared_edge(SSE_KEEPALIVE_INTERVAL=0.3), fresh("behind")
    behind = CALL * (4 * MAX_PIPELINED_REQUESTS)
    _, writer = await opened(edge, "/api/stream/prices", name, behind)
    writer.transport.abort()
    await wait_until(
        "the stream has ended",
        lambda: edge.find_log_lines("stream.closed", correlation_id=name),
        timeout_seconds=20,
    )
    assert not edge.find_log_lines("stream.failed", correlation_id=name)


async def test_a_stream_continues_with_requests_pipelined_behind_it(
    harness: Harness, fresh: Callable[[str], str]
) -> None:
    edge, name = harness.shared_edge(SSE_KEEPALIVE_INTERVAL=0.3), fresh("behind")
    reader, writer = await opened(edge, "/api/stream/prices", name, CALL * 40)
    async with asyncio.timeout(30):
        for _ in range(3):
            await reader.readuntil(b": keepalive\n\n")
    writer.close()


@pytest.mark.parametrize("count", [2, 4 * MAX_PIPELINED_REQUESTS])
async def test_pipelined_calls_are_answered_in_order(edge: EdgeProcess, count: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    names = [f"n{number}" for number in range(count)]
    for name in names:
        writer.write(CALL.removesuffix(b"\r\n") + f"X-Correlation-ID: {name}\r\n\r\n".encode())
    async with asyncio.timeout(30):
        for name in names:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert f"x-correlation-id: {name}\r\n".encode() in head
            size = head.partition(b"content-length: ")[2].split(b"\r\n")[0]
            await reader.readexactly(int(size))
    writer.close()
