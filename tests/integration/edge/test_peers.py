"""Clients that disconnect, stop reading or read slowly, and the drain of an edge (C15, C16)."""

import asyncio
import contextlib
import itertools
import random
import socket
import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tapewire.cli.up.embedded_nats import find_free_port
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.golden_events import golden_event
from tests.harness.publishers import EventLogDriver, QuoteDriver, order_placed, orders_placed
from tests.harness.sse import InvalidFrame, SseStream, StreamEnded, has_price, parse_frame
from tests.harness.waiting import WAIT_TIMEOUT_SECONDS, wait_until, wait_until_async

ORDERS = "/api/stream/orders"
WRITE_SECONDS = 2
NEVER = 3600
"""A write timeout in seconds that no test may wait for: such a test would never end."""
LARGE = "x" * 60_000
"""A reason so long that a few events fill the buffers."""
MEGABYTE = 1 << 20


@pytest.fixture
def strict(harness: Harness) -> EdgeProcess:
    """Return an edge that closes slow readers soon, and holds few frames for them."""
    return harness.shared_edge(SSE_WRITE_SECONDS=WRITE_SECONDS, SSE_OUTBOX_EVENTS=16)


@pytest.fixture
def patient(harness: Harness) -> EdgeProcess:
    """Return an edge that holds as few frames, and never closes a slow reader."""
    return harness.shared_edge(SSE_WRITE_SECONDS=NEVER, SSE_OUTBOX_EVENTS=16)


async def closed(edge: EdgeProcess, client: str) -> dict[str, Any]:
    """Wait until the stream of `client` is closed, and return the log line."""
    await wait_until(
        f"{client} is closed and logged",
        lambda: edge.find_log_lines("stream.closed", client_id=client),
        describe_last=lambda: [line for line in edge.log_lines() if line.get("client") == client],
    )
    (line,) = edge.find_log_lines("stream.closed", client_id=client)
    return line


async def emptied(edge: EdgeProcess) -> None:
    """Wait until the edge has no connections."""
    health: dict[str, Any] = {}

    async def read_health() -> None:
        while health.get("connections") != 0:
            health.update(await edge.health())

    try:
        await asyncio.wait_for(read_health(), WAIT_TIMEOUT_SECONDS)
    except TimeoutError:
        pytest.fail(f"connections are still open: {health}")
    assert health["users"] == 0


async def drained(stream: SseStream) -> None:
    """Read the rest of a closed connection, without a truncated last frame."""
    with contextlib.suppress(StreamEnded, InvalidFrame):
        while True:
            await stream.read()


class TestDisconnectingClients:
    @pytest.mark.parametrize("path", [ORDERS, "/api/stream/prices"])
    @pytest.mark.parametrize("how", ["politely", "by a reset"])
    async def test_a_disconnected_client_is_removed_and_logged(
        self, edge: EdgeProcess, alice: str, path: str, how: str
    ) -> None:
        cookie = await edge.sign_in(alice)
        stream = await edge.open_stream(path, cookie)
        client = stream.frames[-1].data["clientId"]
        assert (await edge.health())["connections"] >= 1
        if how == "by a reset":
            peer = stream.writer.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await stream.close()
        line = await closed(edge, client)
        assert line["reason"] == "gone"

    async def test_clients_that_leave_before_the_response_are_removed(
        self, harness: Harness, alice: str
    ) -> None:
        """The clients disconnect before the edge has read the log for their snapshots."""
        edge = harness.start_edge()
        cookie = await edge.sign_in(alice)
        await (await edge.open_stream(ORDERS, cookie)).close()
        edge.freeze()
        leaving = []
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
            head = f"GET {ORDERS} HTTP/1.1\r\nHost: localhost\r\nCookie: session={cookie}\r\n\r\n"
            writer.write(head.encode())
            await writer.drain()
            leaving.append(writer)
        for writer in leaving:
            writer.close()
            await writer.wait_closed()
        edge.thaw()
        await emptied(edge)
        assert not edge.find_log_lines("stream.failed")
        assert edge.stop() == 0

    async def test_500_closed_connections_leak_no_memory_or_descriptors(
        self, harness: Harness, alice: str
    ) -> None:
        """Rounds two and three need no more than the first. The number of open descriptors returns
        to its first level, and resident memory grows by no more than an allocator may keep."""
        edge = harness.start_edge()
        cookie = await edge.sign_in(alice)
        resident, descriptors = list[int](), list[int]()
        for number in range(3):
            for first in range(0, 500, 50):
                streams = await asyncio.gather(
                    *(edge.open_stream(ORDERS, cookie) for _ in range(25)),
                    *(edge.open_stream("/api/stream/prices") for _ in range(25)),
                )
                await asyncio.gather(*(stream.read() for stream in streams))
                await asyncio.gather(*(stream.close() for stream in streams[::2]))
                if first == 450:
                    assert (await edge.health())["connections"] >= 25
                await asyncio.gather(*(stream.close() for stream in streams[1::2]))
            await emptied(edge)
            resident.append(edge.resident_bytes())
            await wait_until(
                f"descriptors of round {number} are released",
                lambda: not descriptors or edge.open_descriptors() <= descriptors[0],
                describe_last=edge.open_descriptors,
            )
            descriptors.append(edge.open_descriptors())

        def count() -> int:
            return len(edge.find_log_lines("stream.closed"))

        await wait_until("every end is logged", lambda: count() >= 1500, describe_last=count)
        assert count() == 1500
        assert resident[2] - resident[0] < 4 * MEGABYTE, resident
        edge.stop()


class TestStalledReaders:
    async def test_a_stalled_reader_is_closed_as_slow_and_resumes_without_loss(
        self, strict: EdgeProcess, alice: str, journal: EventLogDriver
    ) -> None:
        cookie = await strict.sign_in(alice)
        stalled = await strict.open_stream(ORDERS, cookie, receive_buffer=4096)
        client = stalled.frames[-1].data["clientId"]
        await stalled.read_until("order:update")
        first = await journal.append(alice, order_placed("first"))
        await journal.append(alice, *orders_placed(30, reason=LARGE))
        line = await closed(strict, client)
        assert line["reason"] == "slow"
        await drained(stalled)
        await stalled.close()
        seen = stalled.sequences[1:]
        last = await journal.append(alice, order_placed("last"))
        async with await strict.open_stream(
            ORDERS, cookie, last_event_id=stalled.last_id
        ) as stream:
            await stream.read_until("the last one", lambda f: f.id and f.sequence == last)
            seen += stream.sequences
        assert seen == [r.sequence for r in await journal.read_user(alice, after=first - 1)]

    async def test_a_stalled_compressed_reader_is_closed_and_resumes(
        self, strict: EdgeProcess, alice: str, journal: EventLogDriver
    ) -> None:
        """The events compress badly. The received part of the stream can be decompressed."""
        cookie, rng = await strict.sign_in(alice), random.Random(3)
        stalled = await strict.connect(
            ORDERS, cookie, headers={"Accept-Encoding": "gzip"}, receive_buffer=4096
        )
        compressed = await stalled._chunk() + await stalled._chunk()  # first frames, snapshot
        for number in range(40):
            reason = rng.randbytes(30_000).hex()
            await journal.append(alice, order_placed(f"o-{number}", reason=reason))
        closed_ = partial(strict.find_log_lines, "stream.closed", reason="slow")

        def mine() -> list[dict[str, Any]]:
            return [one for one in closed_() if one["client_id"].startswith(f"{alice}-")]

        await wait_until("the stalled stream is closed as slow", mine, describe_last=closed_)
        with contextlib.suppress(StreamEnded):
            while True:
                compressed += await stalled._chunk()
        await stalled.close()
        plain = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(compressed)
        blocks = plain.rpartition(b"\n\n")[0].split(b"\n\n")
        seen = [one for one in map(parse_frame, blocks) if one.id is not None]
        last = await journal.append(alice, order_placed("last"))
        async with await strict.open_stream(ORDERS, cookie, last_event_id=seen[-1].id) as stream:
            await stream.read_until("the last one", lambda f: f.id and f.sequence == last)
            sequences = [one.sequence for one in seen[1:]] + stream.sequences
        assert sequences == [r.sequence for r in await journal.read_user(alice)]

    async def test_a_stalled_reader_uses_bounded_memory_and_delays_no_other(
        self, harness: Harness, alice: str, journal: EventLogDriver
    ) -> None:
        """The edge has 40 MB for a reader that reads nothing. Its memory of the log is full before
        the measurement, so any growth belongs to that reader. Other clients receive each event
        before the next one is appended. The edge does not close the reader meanwhile."""
        edge = harness.start_edge(SSE_WRITE_SECONDS=NEVER, SSE_OUTBOX_EVENTS=10_000)
        cookie = await edge.sign_in(alice)
        async with (
            await edge.open_stream(ORDERS, cookie) as healthy,
            await edge.open_stream(ORDERS, cookie, receive_buffer=4096),  # reads no more
            await edge.open_stream("/api/stream/prices") as other,
        ):
            await healthy.read_until("order:update")
            await other.read()
            await self.flood(healthy, journal, alice, 160)
            before = edge.resident_bytes()
            await self.flood(healthy, journal, alice, 160)
            grown = edge.resident_bytes() - before
            assert grown < 12 * MEGABYTE, f"{grown / MEGABYTE:.1f} MB"
        edge.stop()

    async def test_the_outbox_of_a_stalled_reader_is_bounded(
        self, patient: EdgeProcess, alice: str, journal: EventLogDriver
    ) -> None:
        """The events have a few KB each and stay below the limit in bytes. The connection leaves
        live delivery when more than 16 events would wait."""
        cookie = await patient.sign_in(alice)
        async with (
            await patient.open_stream(ORDERS, cookie, receive_buffer=4096) as stalled,
            patient.client() as http,
        ):

            async def figure(name: str) -> int:
                figures = (await http.get("/metrics")).text
                return int(figures.partition(f"\ntapewire_{name} ")[2].split()[0])

            async def is_live() -> bool:
                return await figure("connections_live") == 1

            await stalled.read_until("order:update")
            await wait_until_async("the stream is the only live one", is_live)
            stalled.pause()
            most = 0

            async def is_behind() -> bool:
                nonlocal most
                await journal.append(alice, order_placed(reason="x" * 4000))
                behind = not await is_live()  # the frames in the outbox stay there
                most = max(most, await figure("outbox_bytes"))
                return behind

            await wait_until_async("the stream leaves live delivery", is_behind)
            stalled.resume()
            last = await journal.append(alice, order_placed("last"))
            await stalled.read_until("the last", lambda f: f.id and f.sequence == last)
        assert 4000 < most < 16 * 5000

    async def flood(self, healthy: Any, journal: EventLogDriver, alice: str, count: int) -> None:
        """Append large events, each after the healthy reader has received the one before."""
        for _ in range(count):
            sequence = await journal.append(alice, order_placed("large", reason=LARGE * 4))
            frame = await healthy.read_until("the event", lambda f: f.id)
            assert frame.sequence == sequence
            healthy.frames[-1] = type(frame)(b"", id=frame.id)  # keep the id, drop the large body

    async def test_a_stalled_price_reader_is_closed(self, isolated_harness: Harness) -> None:
        edge = isolated_harness.start_edge(SSE_WRITE_SECONDS=1)
        symbols = [f"S{number}" for number in range(400)]
        async with isolated_harness.market() as market:
            for symbol in symbols:
                await market.publish(symbol)
            async with await edge.open_stream("/api/stream/prices") as healthy:
                stalled = await edge.open_stream("/api/stream/prices", receive_buffer=4096)
                # Its log has the id without the key.
                client = stalled.frames[-1].data["clientId"].rpartition("-")[0]
                price = 100
                while not edge.find_log_lines("stream.closed", client_id=client):
                    price += 1
                    assert price < 300, "the stalled stream is still open"
                    for symbol in symbols:
                        await market.publish_without_ack(symbol, ask=price)
                    await healthy.read_until(
                        "the round",
                        partial(has_price, price=price),
                    )
                await stalled.close()
        (line,) = edge.find_log_lines("stream.closed", client_id=client)
        assert line["reason"] == "slow"

    @pytest.mark.parametrize("coding", ["gzip", "identity"])
    async def test_a_stalled_reader_of_little_data_is_closed_as_slow_not_gone(
        self, harness: Harness, market: QuoteDriver, fresh: Callable[[str], str], coding: str
    ) -> None:
        """Regression: a few bytes a second fill only the kernel's buffer and none of the edge. The
        kernel dropped the connection, and the edge logged that the client had left."""
        edge = harness.shared_edge(SSE_WRITE_SECONDS=0.5)
        symbols = [fresh("LITTLE") for _ in range(16)]
        stalled = await edge.connect(
            f"/api/stream/prices?symbols={','.join(symbols)}",
            headers={"Accept-Encoding": coding, "X-Correlation-ID": symbols[0]},
            receive_buffer=2048,
        )
        stalled.pause()
        prices = itertools.count(100)

        async def given_up() -> list[dict[str, Any]]:
            for symbol in symbols:
                await market.publish(symbol, next(prices))
            return edge.find_log_lines("stream.closed", correlation_id=symbols[0])

        await wait_until_async("the stalled stream is closed", given_up)
        (line,) = edge.find_log_lines("stream.closed", correlation_id=symbols[0])
        assert line["reason"] == "slow"
        await stalled.close()


class TestSlowReaders:
    async def test_a_reader_that_pauses_receives_every_event(
        self, patient: EdgeProcess, alice: str, journal: EventLogDriver
    ) -> None:
        """The connection leaves live delivery (16 frames fit) and reads the log, with no reset."""
        cookie = await patient.sign_in(alice)
        async with await patient.open_stream(ORDERS, cookie, receive_buffer=4096) as stream:
            await stream.read_until("order:update")
            first = await journal.append(alice, order_placed("first"))
            for _ in range(4):
                last = await journal.append(alice, *orders_placed(12, reason=LARGE))
                for _ in range(6):
                    await stream.read()
            await stream.read_until("the last", lambda f: f.id and f.sequence == last)
            assert stream.sequences[1:] == [
                r.sequence for r in await journal.read_user(alice, after=first - 1)
            ]
            live = await journal.append(alice, order_placed("live again"))
            assert (await stream.read()).sequence == live

    async def test_each_urgent_event_is_logged_once_when_it_is_written(
        self, patient: EdgeProcess, alice: str, journal: EventLogDriver
    ) -> None:
        """Regression: urgent events were not logged when the connection received them while it fell
        behind, or read them from the log."""
        cookie = await patient.sign_in(alice)
        async with await patient.open_stream(
            "/api/stream/alerts", cookie, receive_buffer=4096
        ) as stream:
            client = stream.frames[-1].data["clientId"]
            await stream.read_until("checkpoint")
            stream.pause()
            alerts = [golden_event("alert.raised", level="error", message=LARGE) for _ in range(60)]
            sequences = [await journal.append(alice, one, domain="alerts") for one in alerts]

            def written() -> list[int]:
                lines = patient.find_log_lines("connection.urgent_event_written", client_id=client)
                return [line["sequence"] for line in lines]

            await wait_until("the first events are written", written)
            assert len(written()) < len(sequences) / 2, "the paused reader received most events"
            stream.resume()
            await stream.read_until("the last", lambda f: f.id and f.sequence == sequences[-1])
            await wait_until(
                "each written event is logged",
                lambda: written() == sequences,
                describe_last=written,
            )

    async def test_a_burst_larger_than_the_outbox_arrives_completely(
        self, patient: EdgeProcess, alice: str, journal: EventLogDriver
    ) -> None:
        cookie = await patient.sign_in(alice)
        async with await patient.open_stream(ORDERS, cookie) as stream:
            await stream.read_until("order:update")
            await asyncio.gather(*(journal.append(alice, e) for e in orders_placed(500)))
            last = await journal.append(alice, order_placed("last"))
            await stream.read_until("the last", lambda f: f.id and f.sequence == last)
            expected = [r.sequence for r in await journal.read_user(alice)]
        assert stream.sequences[1:] == expected


class TestDrain:
    """On SIGTERM the edge closes each stream cleanly, with its own reconnection time."""

    async def test_clients_resume_at_another_edge(
        self, harness: Harness, edge: EdgeProcess, alice: str, journal: EventLogDriver
    ) -> None:
        leaving = harness.start_edge(TAPEWIRE_DRAIN_SECONDS=1)
        cookie = await leaving.sign_in(alice)
        paths = [ORDERS, "/api/stream/trading", "/api/stream/prices"]
        streams = [await leaving.open_stream(path, cookie) for path in paths * 8]
        for stream in streams:
            await stream.read()
        ids = [await journal.append(alice, order_placed(f"before-{n}")) for n in range(20)]
        leaving.terminate()
        during = asyncio.create_task(journal.append(alice, *orders_placed(50, "during")))
        ends = await asyncio.gather(*(stream.read_to_end() for stream in streams))
        retries = [frames[-1] for frames in ends]
        assert all(last.event is None and 200 <= (last.retry or 0) <= 2000 for last in retries)
        assert len({last.retry for last in retries}) > 5, (
            "most clients have the same reconnection time"
        )
        last = await during
        ids += range(ids[-1] + 1, last + 1)
        for stream in streams:
            await stream.close()
        for stream in streams:
            if stream.last_id is None:
                continue
            seen = stream.sequences[1:]
            async with await edge.open_stream(ORDERS, cookie, last_event_id=stream.last_id) as on:
                if seen[-1:] != [last]:
                    await on.read_until("the last", lambda f: f.id and f.sequence == last)
                assert seen + on.sequences == ids
        assert await asyncio.to_thread(leaving.process.wait, WAIT_TIMEOUT_SECONDS) == 0
        with pytest.raises(OSError):  # noqa: PT011 - refused or reset, depending on the kernel
            await leaving.connect(ORDERS, cookie)
        lines = leaving.find_log_lines("stream.closed")
        assert {line["reason"] for line in lines} == {"drain"}

    async def test_stalled_and_idle_clients_do_not_delay_the_drain(
        self, harness: Harness, alice: str, journal: EventLogDriver
    ) -> None:
        """Neither a reader that reads nothing nor an idle browser connection delays the exit."""
        leaving = harness.start_edge(SSE_WRITE_SECONDS=NEVER)
        cookie = await leaving.sign_in(alice)
        stalled = await leaving.open_stream(ORDERS, cookie, receive_buffer=4096)
        await journal.append(alice, *orders_placed(30, reason=LARGE))
        async with leaving.client(cookie) as http:
            await http.get("/api/session")
            leaving.terminate()
            code = await asyncio.to_thread(leaving.process.wait, WAIT_TIMEOUT_SECONDS)
        assert code == 0
        await stalled.close()

    async def test_an_edge_can_restart_at_once_on_the_same_port(
        self, harness: Harness, alice: str
    ) -> None:
        # No outgoing connection gets this port meanwhile.
        first = harness.start_edge(find_free_port())
        cookie = await first.sign_in(alice)
        async with await first.open_stream(ORDERS, cookie) as stream:
            await stream.read()
            assert await asyncio.to_thread(first.stop) == 0
        second = harness.start_edge(first.port)
        async with await second.open_stream(ORDERS, cookie, last_event_id=stream.last_id):
            pass
        second.stop()
