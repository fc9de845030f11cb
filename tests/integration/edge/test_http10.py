"""Clients and proxies that speak HTTP/1.0 (W5).

They know no chunks (RFC 9112, 6.1): a body without a length ends with the connection. nginx speaks
HTTP/1.0 to its upstreams unless it is told otherwise.
"""

import asyncio
import contextlib
import zlib
from collections.abc import Callable, Sequence

import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import EventLogDriver, QuoteDriver, order_placed
from tests.harness.sse import Frame, parse_frame

READ_SECONDS = 30.0


class PlainResponse:
    """A response that is read as HTTP/1.0 defines it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.headers: list[tuple[str, str]] = []
        self.status = 0

    async def read_head(self) -> None:
        async with asyncio.timeout(READ_SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().removesuffix("\r\n\r\n")
        first, *lines = head.split("\r\n")
        self.status = int(first.split()[1])
        self.headers = [(name.lower(), value) for name, _, value in
                        (line.partition(": ") for line in lines)]  # fmt: skip

    def values(self, name: str) -> Sequence[str]:
        return [value for key, value in self.headers if key == name]

    async def frame(self) -> Frame:
        async with asyncio.timeout(READ_SECONDS):
            return parse_frame((await self._reader.readuntil(b"\n\n")).removesuffix(b"\n\n"))

    async def frame_named(self, name: str) -> Frame:
        while (frame := await self.frame()).event != name:
            pass
        return frame

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        async with asyncio.timeout(READ_SECONDS):
            received = await self._reader.read()
        await self.close()
        return received

    async def some(self) -> bytes:
        async with asyncio.timeout(READ_SECONDS):
            return await self._reader.read(1 << 16)

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


async def request(edge: EdgeProcess, path: str, *lines: str, body: bytes = b"") -> PlainResponse:
    """Send a request by HTTP/1.0, a POST if it has a body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    head = [f"{'POST' if body else 'GET'} {path} HTTP/1.0", *lines]
    if body:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    writer.write("\r\n".join([*head, "", ""]).encode() + body)
    response = PlainResponse(reader, writer)
    await response.read_head()
    return response


def assert_plain(response: PlainResponse) -> None:
    assert not response.values("transfer-encoding")
    assert response.values("connection") == ["close"]


@pytest.mark.parametrize("connection", [(), ("Connection: keep-alive",), ("Connection: close",)])
async def test_a_stream_is_plain_and_has_one_connection_header(
    edge: EdgeProcess, market: QuoteDriver, fresh: Callable[[str], str], connection: Sequence[str]
) -> None:
    symbol = fresh("PLAIN").upper()
    await market.publish(symbol, 10)
    await edge.wait_for_quotes(symbol)
    path = f"/api/stream/prices?symbols={symbol}"
    stream = await request(edge, path, *connection)
    assert_plain(stream)
    assert (await stream.frame()).retry is not None
    assert (await stream.frame()).event == "connected"
    assert (await stream.frame_named("price:update")).data["initializing"] is True
    # The first ones are sent by tasks, later ones are written at once.
    for price in (11, 12, 13):
        await market.publish(symbol, price)
        assert (await stream.frame_named("price:update")).data["price"] == price
    await stream.close()


async def test_events_of_a_user_arrive_plain(
    edge: EdgeProcess, journal: EventLogDriver, fresh: Callable[[str], str]
) -> None:
    alice = fresh("alice")
    cookie = f"Cookie: session={await edge.sign_in(alice)}"
    stream = await request(edge, "/api/stream/orders", cookie)
    assert_plain(stream)
    await stream.frame_named("order:update")
    for number in range(3):
        await journal.append(alice, order_placed(f"o-{number}"))
        assert (await stream.frame_named("order:update")).data["orderId"] == f"o-{number}"
    await stream.close()


async def test_a_compressed_stream_is_plain_gzip(edge: EdgeProcess) -> None:
    stream = await request(edge, "/api/stream/prices?symbols=NONE", "Accept-Encoding: gzip")
    assert_plain(stream)
    assert stream.values("content-encoding") == ["gzip"]
    unzip, text = zlib.decompressobj(31), b""
    while b"event: connected" not in text:
        text += unzip.decompress(await stream.some())
    assert text.startswith(b"retry: ")
    await stream.close()


async def test_a_drained_stream_ends_with_the_connection(isolated_harness: Harness) -> None:
    edge = isolated_harness.start_edge()
    stream = await request(edge, "/api/stream/prices?symbols=NONE")
    await stream.frame_named("connected")
    edge.terminate()
    rest = await stream.rest()
    assert rest.endswith(b"\n\n")
    assert b"\r\n0\r\n" not in rest
    assert edge.stop() == 0


@pytest.mark.parametrize("path", ["/health/live", "/api/orders", "/docs", "/", "/static/docs.css"])
async def test_other_responses_are_plain_and_whole(edge: EdgeProcess, path: str) -> None:
    response = await request(edge, path)
    assert_plain(response)
    [length] = response.values("content-length")
    assert len(await response.rest()) == int(length)


async def test_a_post_expecting_100_gets_one_final_response(
    edge: EdgeProcess, fresh: Callable[[str], str]
) -> None:
    """HTTP/1.0 has no interim responses (RFC 9110, 10.1.1)."""
    body = b'{"userId":"%s"}' % fresh("alice").encode()
    lines = ("Host: localhost", "Expect: 100-continue")
    response = await request(edge, "/api/session", *lines, body=body)
    assert response.status == 201
    assert_plain(response)
    await response.close()


async def test_http_1_1_with_connection_close_is_chunked_with_one_connection_header(
    edge: EdgeProcess,
) -> None:
    async with await edge.open_stream(
        "/api/stream/prices?symbols=NONE", headers={"Connection": "close"}
    ) as stream:
        assert stream.header("connection") == "close"
        assert stream.header("transfer-encoding") == "chunked"


async def test_http_1_1_stays_chunked_and_alive(edge: EdgeProcess) -> None:
    async with await edge.open_stream("/api/stream/prices?symbols=NONE") as stream:
        assert stream.header("connection") == "keep-alive"
        assert stream.header("transfer-encoding") == "chunked"
