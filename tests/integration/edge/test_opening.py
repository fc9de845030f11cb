"""The first frames of every stream, and the encoding of frames (C1, C7, C17)."""

import asyncio
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tapewire.events import OrderRejected, OrderStatus
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import EventLogDriver, QuoteDriver, make_order, order_placed
from tests.harness.waiting import WAIT_TIMEOUT_SECONDS, wait_until

STREAMS = ["/api/stream/orders", "/api/stream/prices", "/api/stream/trading"]


@pytest.fixture
async def alice(edge: EdgeProcess, fresh: Callable[[str], str]) -> tuple[str, str]:
    """Return a user and her session cookie."""
    user = fresh("alice")
    return user, await edge.sign_in(user)


@pytest.mark.parametrize("path", STREAMS)
async def test_stream_responses_carry_the_documented_headers(
    edge: EdgeProcess, alice: tuple[str, str], path: str
) -> None:
    async with await edge.open_stream(path, alice[1]) as stream:
        assert stream.status == 200
        assert stream.header("content-type") == "text/event-stream"
        assert stream.header("cache-control") == "no-cache, no-transform"
        assert stream.header("connection") == "keep-alive"
        assert stream.header("x-accel-buffering") == "no"
        assert stream.header("x-correlation-id")
        assert stream.header("content-length") is None
        assert stream.header("content-encoding") is None


@pytest.mark.parametrize("path", STREAMS)
async def test_streams_start_with_retry_and_connected(
    edge: EdgeProcess, alice: tuple[str, str], path: str
) -> None:
    user, cookie = alice
    async with await edge.connect(path, cookie) as stream:
        first, connected = await stream.read(), await stream.read()
    name = path.rpartition("/")[2]
    assert first.raw == b"retry: 5000"
    assert connected.event == "connected"
    assert connected.id is None
    assert connected.data["userId"] == user
    assert re.fullmatch(rf"{user}-{name}-\d+", connected.data["clientId"])
    server_time = datetime.fromisoformat(connected.data["serverTime"])
    assert server_time.tzinfo is not None
    assert abs(server_time - datetime.now(UTC)) < timedelta(seconds=30)


async def test_connected_is_sent_while_nats_does_not_answer(isolated_harness: Harness) -> None:
    """The edge sends `connected` before it reads the log, even while NATS is frozen."""
    edge = isolated_harness.start_edge()
    async with await edge.connect("/api/stream/prices") as ready:
        await ready.read_until("price:update")
    isolated_harness.broker.freeze()
    try:
        async with await edge.connect("/api/stream/prices") as stream:
            assert (await stream.read()).retry == 5000
            assert (await stream.read()).event == "connected"
    finally:
        isolated_harness.broker.thaw()


async def test_streams_without_sign_in_have_an_anonymous_client_id(edge: EdgeProcess) -> None:
    async with await edge.open_stream("/api/stream/prices") as stream:
        connected = stream.frames[-1].data
    assert connected["userId"] is None
    assert re.fullmatch(r"anonymous-prices-\d+-[0-9a-f]{32}", connected["clientId"])


async def test_client_ids_are_unique(edge: EdgeProcess, alice: tuple[str, str]) -> None:
    streams = await asyncio.gather(
        *(edge.open_stream("/api/stream/orders", alice[1]) for _ in range(20))
    )
    ids = {stream.frames[-1].data["clientId"] for stream in streams}
    for stream in streams:
        await stream.close()
    assert len(ids) == 20


async def test_an_order_frame_has_exactly_these_bytes(
    edge: EdgeProcess, alice: tuple[str, str], journal: EventLogDriver
) -> None:
    user, cookie = alice
    async with await edge.open_stream("/api/stream/orders", cookie) as stream:
        await stream.read_until("order:update")
        sequence = await journal.append(
            user, order_placed("o-7", timestamp=datetime(2026, 3, 2, 14, 30, tzinfo=UTC))
        )
        frame = await stream.read_until("order:update")
    assert frame.raw == (
        b"event: order:update\n"
        b'data: {"orderId":"o-7","clientOrderId":"c-o-7","symbol":"IBM","side":"buy",'
        b'"type":"limit","qty":10,"limitPrice":12.30,"status":"new","filledQty":0,'
        b'"filledAvgPrice":null,"strategyId":null,"reason":null,'
        b'"timestamp":"2026-03-02T14:30:00Z"}\n'
        b"id: %b-%d\n"
        b"retry: 5000"
    ) % ((await journal.epoch()).encode(), sequence)


async def test_control_characters_in_text_do_not_break_a_frame(
    edge: EdgeProcess, alice: tuple[str, str], journal: EventLogDriver
) -> None:
    """Characters that some parsers treat as line ends, or ignore, arrive unchanged."""
    user, cookie = alice
    nasty = 'a\rb\nc\r\nd\u2028e\u2029f\u0085g\0h\ufeffi\x0bj\x0ck\u00a0l\U0001f4c8"\\m: data: x'
    rejected = make_order("o-8", status=OrderStatus.REJECTED, reason=nasty)
    async with await edge.open_stream("/api/stream/orders", cookie) as stream:
        await stream.read_until("order:update")
        await journal.append(user, OrderRejected(order=rejected, command_id="c"))
        frame = await stream.read_until("order:update")
        assert frame.data["reason"] == nasty
    for raw in (b"\r", b"\0", b"\xe2\x80\xa8", b"\xe2\x80\xa9", b"\xc2\x85"):
        assert raw not in frame.raw
    async with await edge.open_stream("/api/stream/orders", cookie) as stream:
        snapshot = await stream.read_until("order:update")
    assert snapshot.data["orders"][0]["reason"] == nasty


async def test_user_ids_may_contain_any_characters(
    edge: EdgeProcess, journal: EventLogDriver
) -> None:
    for user in ("a b", "ä\u2028ö", "*", ">", "a.b", "日本", "o'neil@example.com", "%41"):
        cookie = await edge.sign_in(user)
        async with await edge.open_stream("/api/stream/orders", cookie) as stream:
            assert stream.frames[-1].data["userId"] == user
            await stream.read_until("order:update")
            await journal.append(user, order_placed(f"of {user}"))
            frame = await stream.read_until("order:update")
        assert frame.data["orderId"] == f"of {user}"


async def test_every_frame_carries_the_configured_retry(isolated_harness: Harness) -> None:
    """Regression: later frames repeated the default of 5000, which undid the setting."""
    edge = isolated_harness.start_edge(SSE_RETRY_MS=1234)
    cookie = await edge.sign_in("alice")
    async with await edge.open_stream("/api/stream/orders", cookie) as stream:
        await stream.read_until("order:update")
        retries = {frame.retry for frame in stream.frames}
    assert retries == {1234}


async def test_curl_reads_a_stream(
    edge: EdgeProcess, market: QuoteDriver, fresh: Callable[[str], str]
) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("no curl here")
    symbol = fresh("CURL")
    await market.publish(symbol)
    await edge.wait_for_quotes(symbol)
    url = f"{edge.url}/api/stream/prices?symbols={symbol}"
    running = await asyncio.create_subprocess_exec(
        curl, "-sN", "-i", url, stdout=asyncio.subprocess.PIPE
    )
    assert running.stdout is not None
    try:
        async with asyncio.timeout(WAIT_TIMEOUT_SECONDS):
            head = await running.stdout.readuntil(b"\r\n\r\n")
            body = await running.stdout.readuntil(b'"prices":[{')
    finally:
        running.kill()
        await running.communicate()
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body.startswith(b"retry: 5000\n\nevent: connected\ndata: {")
    assert b'\nevent: price:update\ndata: {"initializing":true,"prices":[{' in body


class TestCorrelationIds:
    async def test_a_valid_correlation_id_is_kept(self, edge: EdgeProcess) -> None:
        given = "Trace_1.2-" + "x" * 54
        async with await edge.open_stream(
            "/api/stream/prices", headers={"X-Correlation-ID": given}
        ) as stream:
            assert stream.header("x-correlation-id") == given
            assert stream.frames[-1].data["correlationId"] == given

    @pytest.mark.parametrize("given", ["", "a b", "x" * 65, "ü", "a;b", '"', "<script>", None])
    async def test_an_invalid_correlation_id_is_replaced(
        self, edge: EdgeProcess, given: Any
    ) -> None:
        headers = {} if given is None else {"X-Correlation-ID": given}
        async with await edge.open_stream("/api/stream/prices", headers=headers) as stream:
            new = stream.header("x-correlation-id")
        assert new != given
        assert re.fullmatch(r"[0-9a-f]{32}", new or "")

    async def test_every_log_line_of_a_connection_carries_the_correlation_id(
        self, edge: EdgeProcess, alice: tuple[str, str]
    ) -> None:
        async with await edge.open_stream(
            "/api/stream/orders",
            alice[1],
            headers={"X-Correlation-ID": "find-me"},
            last_event_id="none",
        ) as stream:
            client = stream.frames[-1].data["clientId"]
            await stream.read_until("stream:reset")
        await wait_until_closed(edge, client)
        lines = [
            line
            for line in edge.log_lines()
            if client in (line.get("client"), line.get("client_id"))
        ]
        assert [line["event"] for line in lines] == [
            "stream.opened", "stream.reset", "stream.closed",
        ]  # fmt: skip
        assert {line["correlation_id"] for line in lines} == {"find-me"}

    async def test_refusals_carry_the_correlation_id(self, edge: EdgeProcess) -> None:
        async with await edge.connect(
            "/api/stream/orders", headers={"X-Correlation-ID": "refused-1"}
        ) as stream:
            assert stream.status == 401
            assert stream.header("x-correlation-id") == "refused-1"


async def wait_until_closed(edge: EdgeProcess, client: str) -> None:
    await wait_until(
        f"{client} is closed and logged",
        lambda: edge.find_log_lines("stream.closed", client_id=client),
        describe_last=lambda: edge.log_lines()[-3:],
    )
