"""A draining edge sends a notice on each stream before it closes the stream.

The tests read the streams as clients and peers do. `tests/browser/test_rolling.py` tests the same
with the browser client, which uses the notice.
"""

import asyncio

import httpx
import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import EventLogDriver, order_placed
from tests.harness.sse import Frame
from tests.harness.waiting import wait_until

ORDERS = "/api/stream/orders"
PRICES = "/api/stream/prices"
DRAIN_SECONDS = 4
"""The edge sends all notices in the first half, each two seconds before the stream ends."""
LONG_SECONDS = 600
"""The edge closes no stream during a test; the drain ends when all clients have left."""
HANDOVER = "?handover=1"
LIVE = "live"
"""The comment that follows the last stored event: the stream is live."""


def is_live(frame: Frame) -> bool:
    return frame.comment == LIVE


def draining(frame: Frame) -> bool:
    return frame.event == "stream:draining"


async def ready(edge: EdgeProcess) -> bool:
    """Whether a load balancer with a health check sends new clients to `edge`."""
    try:
        async with edge.client() as http:
            return (await http.get("/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


class TestDrain:
    async def test_every_stream_gets_one_notice_and_ends_with_its_own_retry(
        self, harness: Harness, alice: str
    ) -> None:
        leaving = harness.start_edge(TAPEWIRE_DRAIN_SECONDS=DRAIN_SECONDS)
        cookie = await leaving.sign_in(alice)
        fields = {
            ORDERS: "closesInMs",
            PRICES: "closesInMs",
            "/api/stream?topics=orders,prices": "closesInMs",
            "/sse/strategies": "closes_in_ms",
            "/sse/prices": "closes_in_ms",
            "/api/v2/stream": "closes_in_ms",
            "/api/sse/notifications": "closes_in_ms",
        }
        streams = {path: await leaving.connect(path, cookie) for path in fields}
        for stream in streams.values():
            await stream.read_until(
                "the greeting", lambda f: (f.event or "").lower() == "connected"
            )
        leaving.terminate()

        for path, field in fields.items():
            stream = streams[path]
            notice = await stream.read_until(f"a notice on {path}", draining)
            assert notice.id is None
            assert 0 < notice.data[field] <= 1000 * DRAIN_SECONDS / 2
            rest = await stream.read_to_end()
            assert rest[-1].event is None
            assert 200 <= (rest[-1].retry or 0) <= 2000
            assert not any(map(draining, rest)), "the notice was sent twice"
            # The connection ends, too. A browser cannot reuse it and be refused.
            assert await stream._reader.read() == b""
            await stream.close()
        assert await asyncio.to_thread(leaving.process.wait, 60) == 0
        assert {line["reason"] for line in leaving.find_log_lines("stream.closed")} == {"drain"}

    async def test_open_streams_continue_and_new_connections_are_refused(
        self, harness: Harness, alice: str, journal: EventLogDriver
    ) -> None:
        leaving = harness.start_edge(TAPEWIRE_DRAIN_SECONDS=LONG_SECONDS)
        cookie = await leaving.sign_in(alice)
        async with (
            leaving.client(cookie) as browser,
            await leaving.open_stream(ORDERS, cookie) as stream,
        ):
            await browser.get("/api/session")  # leaves a keep-alive connection open
            assert await ready(leaving)
            leaving.terminate()
            await wait_until("the edge drains", lambda: leaving.find_log_lines("drain.started"))
            assert not await ready(leaving)
            # The edge answers one more request on a proxy's keep-alive connection. It does not
            # refuse a stream there, because a refusal ends an EventSource for good.
            answer = await browser.get("/api/session")
            assert (answer.status_code, answer.headers["connection"]) == (200, "close")
            with pytest.raises(httpx.TransportError):
                await browser.get("/api/session")
            with pytest.raises(OSError):  # noqa: PT011 - refused or reset, depending on the kernel
                await leaving.connect(ORDERS, cookie)
            last = await journal.append(alice, order_placed("meanwhile"))
            await stream.read_until("the event", lambda f: f.id and f.sequence == last)

    async def test_drain_ends_when_all_clients_have_left(
        self, harness: Harness, alice: str
    ) -> None:
        """The browser client leaves in this way. The edge then has no client to wait for."""
        leaving = harness.start_edge(TAPEWIRE_DRAIN_SECONDS=LONG_SECONDS)
        cookie = await leaving.sign_in(alice)
        streams = [await leaving.open_stream(ORDERS, cookie) for _ in range(3)]
        leaving.terminate()
        await wait_until("the edge drains", lambda: leaving.find_log_lines("drain.started"))
        for stream in streams:
            await stream.close()
        assert await asyncio.to_thread(leaving.process.wait, 30) == 0


class TestHandover:
    @pytest.mark.parametrize(
        "path", [ORDERS, PRICES, "/sse/strategies", "/api/v2/stream", "/api/sse/notifications"]
    )
    async def test_live_comment_is_sent_on_request(
        self, edge: EdgeProcess, alice: str, path: str
    ) -> None:
        cookie = await edge.sign_in(alice)
        async with await edge.connect(path + HANDOVER, cookie) as stream:
            await stream.read_until("the sign", is_live)
            assert any((f.event or "").lower() == "connected" for f in stream.frames)

    async def test_live_comment_follows_the_replay(
        self, edge: EdgeProcess, alice: str, journal: EventLogDriver
    ) -> None:
        cookie = await edge.sign_in(alice)
        async with await edge.open_stream(ORDERS, cookie) as before:
            first = (await before.read_until("order:update")).id
        missed = [await journal.append(alice, order_placed(f"missed-{n}")) for n in range(20)]
        async with await edge.open_stream(ORDERS + HANDOVER, cookie, last_event_id=first) as stream:
            await stream.read_until("the sign", is_live)
            assert stream.sequences == missed
            last = await journal.append(alice, order_placed("later"))
            await stream.read_until("what is new", lambda f: f.id and f.sequence == last)
            assert sum(map(is_live, stream.frames)) == 1, "handover:live was not sent once"

    async def test_live_comment_is_not_sent_unless_requested(
        self, edge: EdgeProcess, alice: str, journal: EventLogDriver
    ) -> None:
        cookie = await edge.sign_in(alice)
        async with await edge.open_stream(ORDERS, cookie) as stream:
            last = await journal.append(alice, order_placed("one"))
            await stream.read_until("the event", lambda f: f.id and f.sequence >= last)
            assert not any(map(is_live, stream.frames))

    async def test_handover_does_not_close_another_tabs_connection(
        self, harness: Harness, alice: str, journal: EventLogDriver
    ) -> None:
        """A user may have two connections.

        The first tab is on an edge that stays, and the second tab is on a draining edge. During
        the handover the second tab has two connections, and the first tab's is the oldest of three.
        """
        most = {"SSE_MAX_CONNECTIONS_PER_USER": 2}
        staying = harness.start_edge(**most)
        leaving = harness.start_edge(**most, TAPEWIRE_DRAIN_SECONDS=DRAIN_SECONDS)
        cookie = await staying.sign_in(alice)
        async with await staying.open_stream(ORDERS, cookie) as other:
            await other.read_until("order:update")
            old = await leaving.open_stream(ORDERS, cookie)
            last_id = (await old.read_until("order:update")).id
            leaving.terminate()
            await old.read_until("the notice", draining)
            async with await staying.open_stream(
                ORDERS + HANDOVER, cookie, last_event_id=last_id
            ) as on:
                await on.read_until("the sign", is_live)
                last = await journal.append(alice, order_placed("during"))
                for stream in (on, other):
                    await stream.read_until("the event", lambda f: f.id and f.sequence == last)
                # Another connection exceeds the limit. The edge closes only the oldest.
                async with await staying.open_stream(ORDERS, cookie) as third:
                    farewell = (await other.read_to_end())[-1]
                    assert farewell.event == "connection:limit"
                    last = await journal.append(alice, order_placed("after"))
                    for stream in (on, third):
                        await stream.read_until("the event", lambda f: f.id and f.sequence == last)
            assert (await old.read_to_end())[-1].event is None, "the limit has closed the stream"
            await old.close()
        assert len(staying.find_log_lines("connection.limit_exceeded")) == 1
        assert not leaving.find_log_lines("connection.limit_exceeded")
        staying.stop()
