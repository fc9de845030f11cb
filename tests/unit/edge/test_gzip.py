"""Gzip streams: decoding, shared blocks, saved bytes and memory.

zlib and gzip decode every interleaving of own and shared blocks completely, and each block at once.
"""

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapewire.events import Event
from tapewire.log import new_id
from tapewire.payloads.market import PriceView
from tapewire_services.edge.delivery import frames
from tapewire_services.edge.delivery.compression import (
    MIN_STANDALONE_BYTES,
    WINDOW_BYTES,
    GzipStream,
    SharedChunk,
    SharedCompressor,
    accepts_gzip,
)
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.delivery.serializers import EmptyPricingContext
from tapewire_services.edge.delivery.serializers.trading import serialize_trading
from tapewire_services.edge.delivery.serializers.trading_views import price_view
from tests.harness.publishers import make_quote, order_accepted, order_placed, trade_executed


@dataclass
class Reader:
    """A strict reader: each written chunk, and nothing else, can be decoded at once."""

    stream: GzipStream = field(default_factory=GzipStream)
    compressed: bytes = b""
    plain: bytes = b""

    def __post_init__(self) -> None:
        self._decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def write(self, chunk: bytes) -> bytes:
        sent = self.stream.write(chunk)
        assert type(sent) is bytes
        assert self._decoder.decompress(sent) == chunk
        self.compressed += sent
        self.plain += chunk
        return sent

    def end(self) -> None:
        last = self.stream.end()
        assert self._decoder.decompress(last) == b""
        assert self._decoder.eof
        assert self._decoder.unused_data == b""
        self.compressed += last
        assert gzip.decompress(self.compressed) == self.plain

    @property
    def saved(self) -> float:
        """The share of bytes that compression saves."""
        return 1 - len(self.compressed) / len(self.plain)


class TestAcceptEncoding:
    @pytest.mark.parametrize(
        "value",
        [
            "gzip",
            "gzip, deflate, br, zstd",
            "GZip",
            "x-gzip",
            "deflate;q=1, gzip;q=0.001",
            "br, *",
            "*;q=0.1",
            "identity;q=0.5, gzip;q=0.5",
            "identity;q=0, gzip",
            " gzip ; q=1.000 ",
            "gzip\t;\tQ=0.5",
            "nonsense;;;, gzip",
            "gzip;q=1;q=2, gzip",
            ", ,gzip,,",
        ],
    )
    def test_gzip_is_accepted(self, value: str) -> None:
        assert accepts_gzip([value])

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "identity",
            "br",
            "gzip;q=0",
            "gzip;q=0.",
            "gzip;q=0.000",
            "*;q=0",
            "gzip;q=0, *",
            "*, gzip;q=0",
            "gzip, gzip;q=0",
            "identity, gzip;q=0.5",
            "identity;q=0.9, *;q=0.1",
            "gzip;q=",
            "gzip;q=2",
            "gzip;q=-1",
            "gzip;q=0.0001",
            "gzip;q=nan",
            "gzip;level=6",
            "gzip q=1",
            "gzip;q=\u0661",
            "gzipped",
            '"gzip"',
            "gz ip",
        ],
    )
    def test_gzip_is_not_accepted(self, value: str) -> None:
        assert not accepts_gzip([value])

    def test_a_request_without_the_header_does_not_accept_gzip(self) -> None:
        assert not accepts_gzip([])

    def test_several_header_lines_are_combined(self) -> None:
        assert accepts_gzip(["br", "gzip"])
        assert not accepts_gzip(["gzip", "gzip;q=0"])

    @given(st.lists(st.text(st.characters(max_codepoint=255), max_size=30), max_size=4))
    def test_any_header_is_parsed(self, values: list[str]) -> None:
        assert accepts_gzip([*values, "gzip;q=0"]) is False


WORDS = [f"event: e{n % 5} data: {n * 7919 % 1000:04} and more of it\n".encode() for n in range(60)]
TEXTS = st.builds(
    lambda seed, length: random.Random(seed).choice(WORDS) * (length // 40 + 1),
    st.integers(0, 30),
    st.integers(1, 6000),
)


class TestDecoding:
    @given(data=st.data())
    @settings(max_examples=150, deadline=None)
    def test_any_interleaving_of_own_and_shared_blocks_decodes(self, data: st.DataObject) -> None:
        """Readers of two shared compressors miss chunks, write their own, and become idle."""
        compressors = [SharedCompressor(), SharedCompressor()]
        readers = [Reader() for _ in range(3)]
        late: list[list[bytes]] = [[] for _ in readers]
        for _ in range(data.draw(st.integers(1, 40), "steps")):
            chunk = data.draw(st.sampled_from(compressors)).append_chunk(data.draw(TEXTS))
            for reader, waiting in zip(readers, late, strict=True):
                match data.draw(st.sampled_from(["take"] * 8 + ["miss", "own", "rest", "late"])):
                    case "late":
                        waiting.append(chunk)
                        continue
                    case "miss":
                        continue
                    case "own":
                        reader.write(data.draw(TEXTS))
                    case "rest":
                        reader.stream.release_if_idle()
                for known in [*waiting, chunk]:
                    reader.write(known)
                waiting.clear()
        for reader in readers:
            reader.end()

    @given(st.lists(st.binary(max_size=5000), max_size=20))
    def test_any_bytes_decode(self, chunks: list[bytes]) -> None:
        reader = Reader()
        for chunk in chunks:
            reader.write(chunk)
        reader.end()

    def test_an_empty_stream_is_complete(self) -> None:
        Reader().end()

    def test_an_empty_chunk_writes_no_bytes(self) -> None:
        assert GzipStream().write(b"") == b""

    def test_a_shared_chunk_is_its_plain_bytes(self) -> None:
        assert SharedCompressor().append_chunk(b"plain") == b"plain"


class TestSharedBlocks:
    def shared_chunks(self, count: int = 200, size: int = 600) -> Iterator[SharedChunk]:
        strand, numbers = SharedCompressor(), random.Random(1)
        for _ in range(count):
            yield strand.append_chunk(bytes(numbers.choices(b"abcdefgh", k=size)))

    def test_synchronized_readers_share_a_block(self) -> None:
        one, other = Reader(), Reader()
        for number, chunk in enumerate(self.shared_chunks()):
            mine, theirs = one.write(chunk), other.write(chunk)
            assert number == 0 or mine is theirs

    def test_a_new_reader_is_synchronized_after_one_window(self) -> None:
        early, late = Reader(), Reader()
        for number, chunk in enumerate(self.shared_chunks(size=600)):
            mine = early.write(chunk)
            if number >= 20:
                shared = late.write(chunk) is mine
                assert shared == ((number - 20) * 600 >= WINDOW_BYTES), number

    def test_unsynchronized_readers_share_a_large_standalone_block(self) -> None:
        chunks = list(self.shared_chunks(4, MIN_STANDALONE_BYTES))
        one, other = Reader(), Reader()
        for reader in (one, other):
            reader.write(b"what only this one got")
        assert [one.write(c) for c in chunks[2:]] == [other.write(c) for c in chunks[2:]]
        assert one.stream.is_idle

    def test_a_frame_of_its_own_ends_the_synchronization_of_a_reader(self) -> None:
        reader, chunks = Reader(), list(self.shared_chunks(50))
        for chunk in chunks[:30]:
            reader.write(chunk)
        reader.write(b": keepalive\n\n")
        assert reader.write(chunks[30]) != chunks[30].continued_block()
        reader.end()

    def test_chunks_that_are_not_requested_are_not_compressed(self) -> None:
        assert not any(chunk.compressor._deflate for chunk in self.shared_chunks())


def traffic(count: int, seed: int = 1) -> Iterator[bytes]:
    """The frames of a trader's stream, one by one: placed and accepted orders, trades, quotes."""
    numbers, now = random.Random(seed), datetime(2026, 1, 5, 15, tzinfo=UTC)
    symbols = ["AAPL", "AMZN", "GOOGL", "IBM", "MSFT", "NVDA", "ORCL", "TSLA"]
    for sequence in range(count):
        now += timedelta(microseconds=numbers.randint(1000, 90_000))
        symbol, order = numbers.choice(symbols), new_id()
        about: dict[str, Any] = {"symbol": symbol, "timestamp": now}
        kind = numbers.choice(["quote"] * 5 + ["placed", "accepted", "traded"])
        if kind == "quote":
            yield frames.render_frame("price:update", price(numbers, symbol, now))
            continue
        event: Event
        if kind == "placed":
            event = order_placed(order, client_order_id=new_id(), **about)
        elif kind == "accepted":
            event = order_accepted(order, client_order_id=new_id(), **about)
        else:
            event = trade_executed(order, str(numbers.randint(1, 500)), "101.25")
        message = serialize_trading(event, "alice", EmptyPricingContext())
        assert message is not None
        yield frames.render_frame(*message, Cursor("kq3x9a", 1000 + sequence))


def price(numbers: random.Random, symbol: str, now: datetime) -> PriceView:
    """A quote with random values."""
    return price_view(
        make_quote(
            symbol,
            Decimal(numbers.randint(9000, 11_000)) / 100,
            volume=Decimal(numbers.randint(1000, 9_999_999)),
            change=Decimal(numbers.randint(-500, 500)) / 100,
            change_percent=Decimal(numbers.randint(-500, 500)) / 100,
            timestamp=now,
        )
    )


class TestSavings:
    """C6: 60 to 70 % fewer bytes, for frames that are written one by one."""

    def test_savings_on_orders_trades_and_prices(self) -> None:
        reader = Reader()
        for chunk in traffic(2000):
            reader.write(chunk)
        reader.end()
        assert 0.6 < reader.saved < 0.9, reader.saved

    def test_savings_on_shared_blocks_of_one_quote(self) -> None:
        strand, reader, numbers = SharedCompressor(), Reader(), random.Random(2)
        now = datetime(2026, 1, 5, tzinfo=UTC)
        for _ in range(1000):
            quotes = frames.render_frame("price:update", price(numbers, "IBM", now))
            reader.write(strand.append_chunk(quotes))
        assert reader.stream.is_idle
        assert 0.6 < reader.saved < 0.9, reader.saved

    def test_savings_on_standalone_blocks(self) -> None:
        saved = [1 - len(chunk.standalone_block()) / len(chunk) for chunk in self.tens()]
        assert min(saved) > 0.6, saved

    def tens(self) -> list[SharedChunk]:
        parts = list(traffic(200))
        return [
            SharedCompressor().append_chunk(b"".join(parts[n : n + 10])) for n in range(0, 200, 10)
        ]


class TestMemory:
    def held(self, make: Callable[[], GzipStream]) -> float:
        """Return the mean memory of 50 streams in bytes, including the memory of zlib."""
        make()
        tracemalloc.start()
        try:
            instances = [make() for _ in range(50)]
            return tracemalloc.get_traced_memory()[0] / len(instances)
        finally:
            tracemalloc.stop()

    def test_a_stream_holds_at_most_32_kib(self) -> None:
        chunks = list(traffic(100))

        def stream() -> GzipStream:
            made = GzipStream()
            for chunk in chunks:
                made.write(chunk)
            return made

        assert 16 * 1024 < self.held(stream) <= 32 * 1024

    def test_a_stream_of_shared_chunks_holds_less_than_1_kib(self) -> None:
        strand, chunks = SharedCompressor(), list(traffic(100))
        shared = [strand.append_chunk(chunk) for chunk in chunks]

        def stream() -> GzipStream:
            made = GzipStream()
            for chunk in shared:
                made.write(chunk)
            return made

        assert self.held(stream) < 1024

    def test_an_idle_stream_holds_less_than_1_kib(self) -> None:
        def stream() -> GzipStream:
            made = GzipStream()
            for chunk in chunks:
                made.write(chunk)
            made.release_if_idle()
            assert not made.is_idle, "the stream was written to since the last check"
            made.release_if_idle()
            return made

        chunks = list(traffic(10))
        assert self.held(stream) < 1024

    def test_a_new_stream_holds_less_than_1_kib(self) -> None:
        def stream() -> GzipStream:
            made = GzipStream()
            made.write(b"the opening")
            made.write(b"the snapshot")
            return made

        assert self.held(stream) < 1024


def test_shared_chunks_have_their_offset_in_the_stream() -> None:
    strand = SharedCompressor()
    first, second = strand.append_chunk(b"one"), strand.append_chunk(b"two")
    assert isinstance(first, SharedChunk)
    assert (first.start_offset, second.start_offset) == (0, 3)
