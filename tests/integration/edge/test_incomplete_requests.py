"""Incomplete requests time out, and invalid HTTP is refused: the edge waits for neither."""

import asyncio
import json
from typing import Any

import pytest

from tapewire_services.edge.http.uvicorn_compat import MAX_HEAD_BYTES
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.waiting import wait_until

SECONDS = 1.0
HEAD = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
BODY = b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture
def edge(harness: Harness) -> EdgeProcess:
    return harness.shared_edge(TAPEWIRE_REQUEST_SECONDS=SECONDS, SSE_KEEPALIVE_INTERVAL=0.4)


async def connected(edge: EdgeProcess) -> Any:
    return await asyncio.open_connection("127.0.0.1", edge.port)


async def ending(reader: Any) -> Any:
    """Read until the edge closes. Return the status of its error, or None without an answer."""
    async with asyncio.timeout(30):
        response = await reader.read()
    if not response:
        return None
    head, _, body = response.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert f"content-length: {len(body)}".encode() in lines
    assert b"content-type: application/json" in lines
    assert b"connection: close" in lines
    error_body = json.loads(body)
    assert set(error_body) == {"error", "message", "statusCode"}
    assert lines[0] == f"HTTP/1.1 {error_body['statusCode']} {error_body['error']}".encode()
    return error_body["statusCode"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", None),
        (b"GET", 408),
        (HEAD, 408),
        (BODY + b"Content-Length: 20\r\n\r\n" + b'{"userId"', 408),
        (BODY + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", 408),
    ],
)
async def test_incomplete_request_times_out(
    edge: EdgeProcess, sent: bytes, status: int | None
) -> None:
    descriptors, began = edge.open_descriptors(), asyncio.get_running_loop().time()
    reader, writer = await connected(edge)
    writer.write(sent)
    assert await ending(reader) == status
    assert asyncio.get_running_loop().time() - began > SECONDS * 0.9
    writer.close()
    await wait_until(
        "the descriptor of the connection is released",
        lambda: edge.open_descriptors() <= descriptors,
    )


async def test_incomplete_second_request_on_a_connection_times_out(edge: EdgeProcess) -> None:
    reader, writer = await connected(edge)
    writer.write(HEAD + b"\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
    writer.write(HEAD)
    assert await ending(reader) == 408
    writer.close()


async def test_slow_bytes_do_not_extend_the_timeout(edge: EdgeProcess) -> None:
    reader, writer = await connected(edge)
    ended = asyncio.create_task(ending(reader))
    for byte in HEAD * 100:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.05)
        if ended.done():
            break
    assert await ended == 408
    writer.close()


async def test_request_in_pieces_within_the_timeout_is_answered(harness: Harness) -> None:
    """This edge has a long timeout, because a busy machine may interrupt the test."""
    reader, writer = await connected(harness.shared_edge())
    for part in (HEAD[:9], HEAD[9:], b"\r\n"):
        writer.write(part)
        await asyncio.sleep(0.02)
    async with asyncio.timeout(30):
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    writer.close()


@pytest.mark.parametrize("behind", [b"", HEAD])
async def test_stream_continues_after_an_incomplete_pipelined_request(
    edge: EdgeProcess, behind: Any
) -> None:
    reader, writer = await connected(edge)
    writer.write(b"GET /api/stream/prices HTTP/1.1\r\nHost: localhost\r\n\r\n" + behind)
    async with asyncio.timeout(30):
        for _ in range(5):  # two seconds
            await reader.readuntil(b": keepalive\n\n")
    writer.close()


@pytest.mark.parametrize("endless", [b"X-Long: ", b"X-More: and\r\n" * 5_000, b"x"])
async def test_oversized_head_is_refused_before_the_timeout(harness: Harness, endless: Any) -> None:
    """The edge refuses the head as soon as it is too large. This edge has a long timeout."""
    edge = harness.shared_edge()
    reader, writer = await connected(edge)
    writer.write((HEAD + endless).ljust(MAX_HEAD_BYTES, b"x")[:MAX_HEAD_BYTES])
    await writer.drain()
    await asyncio.sleep(0.05)
    assert not reader.at_eof()
    writer.write(b"x")
    assert await ending(reader) == 431
    writer.close()


@pytest.mark.parametrize("waiting", [b"", HEAD + b"\r\n"], ids=["alone", "behind a call"])
async def test_pipelined_request_is_not_answered_within_a_stream(
    edge: EdgeProcess, waiting: Any
) -> None:
    """The edge answers neither a request nor invalid HTTP there. The connection ends."""
    reader, writer = await connected(edge)
    writer.write(b"GET /api/stream/prices HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(30):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        await reader.readuntil(b"connected")
        writer.write(waiting + b"HELLO\r\n\r\n")
        rest = await reader.read()
    assert b"HTTP/1.1" not in rest
    writer.close()


@pytest.mark.parametrize("sent", [b"\x16\x03\x01 a greeting of TLS\r\n\r\n", b"HELLO\r\n\r\n"])
async def test_invalid_http_is_400_in_json(edge: EdgeProcess, sent: bytes) -> None:
    reader, writer = await connected(edge)
    writer.write(sent)
    assert await ending(reader) == 400
    writer.close()
