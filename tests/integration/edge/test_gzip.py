"""Compressed streams, as a client sees them (C6).

The tests check which clients get one, that no event waits in the compressor, that a clean end
completes the gzip stream, and that real clients can read it.
"""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import pytest

from tapewire.log import new_id
from tapewire_services.edge.delivery.compression import MEMORY_LEVEL, WINDOW_BITS
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import EventLogDriver, QuoteDriver, order_placed, orders_placed
from tests.harness.sse import Frame, SseStream, StreamEnded, has_price, parse_frame

ORDERS = "/api/stream/orders"
PRICES = "/api/stream/prices"
GZIP = {"Accept-Encoding": "gzip"}


@pytest.fixture
async def alice(edge: EdgeProcess, fresh: Callable[[str], str]) -> tuple[str, str]:
    user = fresh("zoe")
    return user, await edge.sign_in(user)


class CompressedStream:
    """A compressed stream, read as strictly as `SseStream` reads a plain one."""

    def __init__(self, stream: SseStream) -> None:
        assert stream.status == 200
        assert stream.header("content-encoding") == "gzip"
        self.stream = stream
        self.compressed = b""
        self.plain = b""
        self.frames: list[Frame] = []
        self._decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)

    async def read(self) -> Frame:
        """The next frame. Every chunk of the body must contain whole frames when it arrives."""
        while not self.frames:
            chunk = await asyncio.wait_for(self.stream._chunk(), 60)
            self.compressed += chunk
            plain = self._decoder.decompress(chunk)
            self.plain += plain
            assert plain.endswith(b"\n\n"), f"an event is incomplete: {plain[-100:]!r}"
            self.frames += [parse_frame(raw) for raw in plain.removesuffix(b"\n\n").split(b"\n\n")]
        return self.frames.pop(0)

    async def until(self, what: str, condition: Callable[[Frame], object]) -> list[Frame]:
        frames: list[Frame] = []
        try:
            async with asyncio.timeout(60):
                while not frames or not condition(frames[-1]):
                    frames.append(await self.read())
        except TimeoutError:
            pytest.fail(f"no {what}; last seen: {frames[-1:]}")
        return frames

    async def end(self) -> None:
        """Read to a clean end, which completes the gzip stream."""
        with pytest.raises(StreamEnded, match="a clean end"):
            await self._read_all()
        await self.stream.close()
        assert self._decoder.eof
        assert self._decoder.unused_data == b""
        assert gzip.decompress(self.compressed) == self.plain

    async def _read_all(self) -> None:
        while True:
            chunk = await asyncio.wait_for(self.stream._chunk(), 60)
            self.compressed += chunk
            self.plain += self._decoder.decompress(chunk)


class TestContentNegotiation:
    @pytest.mark.parametrize("wish", ["gzip", "br;q=1, GZIP;q=0.1", "*", "deflate, x-gzip"])
    async def test_client_that_accepts_gzip_gets_it(self, edge: EdgeProcess, wish: str) -> None:
        async with await edge.connect(PRICES, headers={"Accept-Encoding": wish}) as answer:
            assert answer.header("content-encoding") == "gzip"
            assert answer.header("vary") == "Accept-Encoding"

    @pytest.mark.parametrize(
        "wish", ["gzip;q=0", "br", "*;q=0", "gzip;q=x", ";;;", "", "gzip,gzip;q=0"]
    )
    async def test_client_that_does_not_accept_gzip_gets_a_plain_stream(
        self, edge: EdgeProcess, wish: str
    ) -> None:
        async with await edge.open_stream(PRICES, headers={"Accept-Encoding": wish}) as stream:
            assert stream.header("content-encoding") is None
            assert stream.header("vary") == "Accept-Encoding"

    async def test_setting_switches_gzip_off(self, harness: Harness) -> None:
        edge = harness.shared_edge(SSE_GZIP="off")
        async with await edge.open_stream(PRICES, headers=GZIP) as stream:
            assert stream.header("content-encoding") is None

    @pytest.mark.parametrize("origin", [None, "https://desk.example", "https://evil.example"])
    async def test_vary_includes_origin_when_origins_are_configured(
        self, harness: Harness, origin: str | None
    ) -> None:
        edge = harness.shared_edge(TAPEWIRE_ORIGINS="https://desk.example,https://b.example")
        headers = GZIP if origin is None else {**GZIP, "Origin": origin}
        async with await edge.connect(PRICES, headers=headers) as answer:
            assert answer.header("vary") == "Accept-Encoding, Origin"

    async def test_refusal_is_not_compressed(self, edge: EdgeProcess) -> None:
        async with await edge.connect(ORDERS, headers=GZIP) as answer:
            assert answer.status == 401
            assert answer.header("content-encoding") is None
            assert json.loads(await answer.body())["statusCode"] == 401


class TestCompressedContent:
    async def test_each_event_arrives_at_once_in_less_than_40_percent_of_the_bytes(
        self, edge: EdgeProcess, alice: tuple[str, str], journal: EventLogDriver
    ) -> None:
        """The test reads each event before it appends the next, so no later write flushes it."""
        user, cookie = alice
        reader = CompressedStream(await edge.connect(ORDERS, cookie, headers=GZIP))
        await reader.until("the snapshot", lambda f: f.event == "order:update")
        for number in range(60):
            sequence = await journal.append(user, order_placed(f"z-{number}"))
            frames = await reader.until("the event", lambda f: f.id)
            assert [frame.sequence for frame in frames] == [sequence]
        assert len(reader.compressed) < 0.4 * len(reader.plain)
        await reader.stream.close()

    async def test_content_is_the_same_as_on_a_plain_stream(
        self, edge: EdgeProcess, alice: tuple[str, str], journal: EventLogDriver
    ) -> None:
        user, cookie = alice
        plain = await edge.open_stream(ORDERS, cookie)
        reader = CompressedStream(await edge.connect(ORDERS, cookie, headers=GZIP))
        await reader.until("the snapshot", lambda f: f.event == "order:update")
        await plain.read_until("order:update")
        before = len(plain.frames)
        last = await journal.append(user, *orders_placed(200, "same"))
        got = await reader.until("the last", lambda f: f.id and f.sequence == last)
        await plain.read_until("the last", lambda f: f.id and f.sequence == last)
        assert [f.raw for f in got] == [f.raw for f in plain.frames[before:]]
        await plain.close()
        await reader.stream.close()

    async def test_compression_level_is_6(
        self, edge: EdgeProcess, alice: tuple[str, str], journal: EventLogDriver
    ) -> None:
        """The bytes are those of zlib at level 6 with the small window, which limits memory.

        The text compresses differently at each level.
        """
        user, cookie = alice
        reader, rng = CompressedStream(await edge.connect(ORDERS, cookie, headers=GZIP)), Random(6)
        await reader.until("the snapshot", lambda f: f.event == "order:update")

        async def read_block() -> tuple[bytes, bytes]:
            reason = "".join(rng.choices("ab", k=8000))
            before = len(reader.compressed), len(reader.plain)
            sequence = await journal.append(user, order_placed(new_id(), reason=reason))
            await reader.until("the event", lambda f: f.id and f.sequence == sequence)
            return reader.compressed[before[0] :], reader.plain[before[1] :]

        blocks = [await read_block() for _ in range(4)]
        await reader.stream.close()

        def made(level: Any) -> list[bytes]:
            own = zlib.compressobj(level, zlib.DEFLATED, -WINDOW_BITS, MEMORY_LEVEL)
            return [own.compress(plain) + own.flush(zlib.Z_SYNC_FLUSH) for _, plain in blocks]

        assert blocks[-1][0] == made(6)[-1]
        assert made(1)[-1] != made(6)[-1], "the text compresses equally at levels 1 and 6"

    async def test_replay_is_compressed(
        self, edge: EdgeProcess, alice: tuple[str, str], journal: EventLogDriver
    ) -> None:
        user, cookie = alice
        first = await journal.append(user, order_placed("first"))
        last = await journal.append(user, *orders_placed(500, "later"))
        at = f"{await journal.epoch()}-{first}"
        reader = CompressedStream(
            await edge.connect(ORDERS, cookie, headers=GZIP, last_event_id=at)
        )
        frames = await reader.until("the last", lambda f: f.id and f.sequence == last)
        sequences = [f.sequence for f in frames if f.id]
        assert sequences == list(range(first + 1, last + 1))
        assert len(reader.compressed) < 0.4 * len(reader.plain)
        await reader.stream.close()

    async def test_shared_and_own_blocks_form_a_complete_gzip_stream(
        self, harness: Harness, market: QuoteDriver, fresh: Callable[[str], str]
    ) -> None:
        """Readers of the same prices connect at different times, with idle frames in between.

        Each reader can read the blocks that the edge compresses once for all, and a clean end
        completes each gzip stream.
        """
        edge = harness.start_edge(SSE_KEEPALIVE_INTERVAL="0.3", TAPEWIRE_DRAIN_SECONDS="0.5")
        symbols = [fresh("GZ") for _ in range(6)]
        path = f"{PRICES}?symbols={','.join(symbols)}"
        for symbol in symbols:
            await market.publish(symbol, "1")
        await edge.wait_for_quotes(*symbols)
        readers = []
        for round_ in range(2, 42):
            if round_ in (2, 3, 15):
                reader = CompressedStream(await edge.connect(path, headers=GZIP))
                await reader.until("the snapshot", lambda f: f.event == "price:update")
                readers.append(reader)
            for symbol in symbols:
                await market.publish(symbol, round_)
            for reader in readers:
                await reader.until(
                    "the round",
                    partial(has_price, price=round_, symbol=symbols[-1]),
                )
            if round_ % 20 == 0:
                for reader in readers:
                    await reader.until("an idle frame", lambda f: f.comment == "keepalive")
        edge.terminate()
        await asyncio.gather(*(reader.end() for reader in readers))
        assert await asyncio.to_thread(edge.process.wait, 60) == 0
        assert [len(reader.compressed) < 0.4 * len(reader.plain) for reader in readers] == [
            True
        ] * 3
        assert not edge.find_log_lines("stream.failed")


async def test_memory_of_compressed_streams(
    harness: Harness, fresh: Callable[[str], str], journal: EventLogDriver
) -> None:
    """Compare the memory of 300 compressed streams with that of 300 plain ones.

    Compression costs an idle stream nothing. It costs a busy stream at most the documented 32 KiB,
    and the event itself costs a little more.
    """
    edge, user = harness.start_edge(), fresh("idle")
    cookie = await edge.sign_in(user)
    streams, resident = [], []
    for count, headers in ((50, GZIP), (300, {}), (300, GZIP)):
        for _ in range(count):
            streams.append(await edge.connect(ORDERS, cookie, headers=headers))
            await streams[-1]._chunk()  # the greeting
            await streams[-1]._chunk()  # the snapshot
        resident.append(edge.resident_bytes())
    plain, compressed = resident[1] - resident[0], resident[2] - resident[1]
    assert compressed - plain < 300 * 8 * 1024, (compressed, plain)
    for number in range(5):
        await journal.append(user, order_placed(f"m-{number}"))
        await asyncio.gather(*(stream._chunk() for stream in streams))
    busy = edge.resident_bytes() - resident[2]
    assert busy < 350 * (32 + 8) * 1024, busy / 350
    for stream in streams:
        await stream.close()
    edge.stop()
