"""Outboxes: flush windows, limits and end. Conflation groups: rates and windows."""

import asyncio
import itertools
from collections.abc import Callable, Iterable

import pytest

from tapewire_services.edge.delivery.compression import SharedChunk
from tapewire_services.edge.delivery.conflation import MIN_SHARING_READERS, ConflationGroup
from tapewire_services.edge.delivery.outbox import (
    BURST_WRITES,
    FlushClock,
    Outbox,
)
from tests.harness.virtual_time import VirtualTimeLoop

pytestmark = pytest.mark.virtual_time

WINDOW = 0.02

TimedChunks = list[tuple[float, bytes]]
"""Chunks, with the time at which each was taken."""


def now() -> float:
    return asyncio.get_running_loop().time()


def outbox(frames: int = 100, size: int = 10_000, clock: FlushClock | None = None) -> Outbox:
    return Outbox(clock or FlushClock(WINDOW), frames, size)


async def reader(box: Outbox, chunks: TimedChunks) -> None:
    """Read chunks until the outbox ends, and record the time of each."""
    while not box.has_ended:
        chunks.append((round(now(), 6), await box.next_chunk()))


class TestWindows:
    async def test_the_first_frames_of_a_burst_are_written_at_once_and_the_rest_in_one_chunk(
        self,
    ) -> None:
        chunks: TimedChunks = []
        box = outbox()
        reading = asyncio.create_task(self.timed(box, chunks))
        await asyncio.sleep(1)
        began = now()
        for number in range(BURST_WRITES + 5):
            box.put(b"%d" % number)
            await asyncio.sleep(0.001)
        await asyncio.sleep(1)
        reading.cancel()
        at_once = [b"%d" % number for number in range(BURST_WRITES + 1)]
        assert [data for _, data in chunks] == [*at_once, b"5678"]
        for number, (at, _) in enumerate(chunks[:-1]):
            assert at - began == pytest.approx(number * 0.001)
        last_first, gathered = chunks[-2][0], chunks[-1][0]
        assert 0 < gathered - last_first <= WINDOW + 0.005

    async def test_a_continuous_stream_is_written_once_per_window_until_a_pause_allows_a_burst(
        self,
    ) -> None:
        chunks: TimedChunks = []
        box = outbox(frames=1000)
        reading = asyncio.create_task(self.timed(box, chunks))
        for _ in range(1000):
            box.put(b"x")
            await asyncio.sleep(0.001)
        assert len(chunks) <= 1.0 / WINDOW + BURST_WRITES + 2
        assert max(len(data) for _, data in chunks) <= WINDOW / 0.001 + 2
        await asyncio.sleep((BURST_WRITES + 2) * WINDOW)
        before = len(chunks)
        for _ in range(BURST_WRITES):
            box.put(b"y")
            await asyncio.sleep(0.001)
        assert [data for _, data in chunks[before:]] == [b"y"] * BURST_WRITES
        reading.cancel()

    async def timed(self, box: Outbox, chunks: TimedChunks) -> None:
        while True:
            data = await box.next_chunk()
            chunks.append((now(), data))

    async def test_a_frame_after_a_quiet_window_is_written_at_once(self) -> None:
        chunks: TimedChunks = []
        box = outbox()
        reading = asyncio.create_task(self.timed(box, chunks))
        for _ in range(3):
            await asyncio.sleep(1)
            box.put(b"x")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert chunks[-1] == (now(), b"x")
        reading.cancel()

    async def test_an_urgent_frame_flushes_the_outbox_at_once(self) -> None:
        chunks: TimedChunks = []
        box = outbox()
        reading = asyncio.create_task(self.timed(box, chunks))
        await asyncio.sleep(1)
        began = now()
        box.put(b"a")
        await asyncio.sleep(0.001)
        box.put(b"b")
        box.put(b"c", urgent=True)
        await asyncio.sleep(0.001)
        reading.cancel()
        assert [data for _, data in chunks] == [b"a", b"bc"]
        assert chunks[-1][0] - began == pytest.approx(0.001)

    async def test_outboxes_of_one_flush_clock_share_a_timer(self) -> None:
        clock = FlushClock(WINDOW)
        boxes = [outbox(clock=clock) for _ in range(10)]
        chunks: list[TimedChunks] = [[] for _ in boxes]
        reading = [
            asyncio.create_task(self.timed(box, into))
            for box, into in zip(boxes, chunks, strict=True)
        ]
        for data in (b"1", b"2"):
            await asyncio.sleep(0.001)
            for box in boxes:
                box.put(data)
        await asyncio.sleep(1)
        for task in reading:
            task.cancel()
        assert [[data for _, data in into] for into in chunks] == [[b"1", b"2"]] * 10
        assert len({into[1][0] for into in chunks}) == 1


class TestOutboxLimits:
    async def test_the_number_of_frames_is_limited(self) -> None:
        box = outbox(frames=2)
        assert [box.put(b"x") for _ in range(3)] == [True, True, False]
        assert await box.next_chunk() == b"xx"
        assert box.put(b"x")

    async def test_the_size_in_bytes_is_limited(self) -> None:
        box = outbox(size=10)
        assert [box.put(b"x" * 6), box.put(b"y" * 5), box.put(b"z" * 4)] == [True, False, True]
        assert box.size_bytes == 10
        assert await box.next_chunk() == b"x" * 6 + b"z" * 4
        assert box.size_bytes == 0

    async def test_an_empty_outbox_accepts_a_frame_of_any_size(self) -> None:
        box = outbox(size=10)
        assert box.put(b"x" * 1000)
        assert not box.put(b"y")
        assert await box.next_chunk() == b"x" * 1000


class TestOutboxEnd:
    async def test_the_final_frame_is_last_and_ignores_the_limits(self) -> None:
        box = outbox(frames=1)
        box.put(b"a")
        box.end(b"bye")
        assert box.put(b"too late")
        box.end(b"again")
        assert await box.next_chunk() == b"abye"
        assert box.has_ended
        assert await box.next_chunk() == b""

    async def test_the_end_wakes_a_waiting_reader(self) -> None:
        box = outbox()
        taking = asyncio.create_task(box.next_chunk())
        await asyncio.sleep(0)
        box.end(b"bye")
        assert await taking == b"bye"

    async def test_an_interrupt_returns_the_pending_frames(self) -> None:
        box = outbox()
        taking = asyncio.create_task(box.next_chunk())
        await asyncio.sleep(0)
        box.interrupt()
        assert await taking == b""
        assert not box.has_ended
        box.put(b"x")
        assert await box.next_chunk() == b"x"

    async def test_a_canceled_read_loses_no_frame(self) -> None:
        box = outbox()
        taking = asyncio.create_task(box.next_chunk())
        await asyncio.sleep(0)
        taking.cancel()
        await asyncio.wait({taking})
        box.put(b"x")
        assert await box.next_chunk() == b"x"


class Sink:
    """A peer that is written to directly, without the reader task."""

    def __init__(self) -> None:
        self.room = True
        self.got: list[bytes] = []

    def __call__(self, take_chunk: Callable[[], bytes]) -> bool:
        if self.room:
            self.got.append(take_chunk())
        return self.room


class TestDirectWrites:
    async def waiting(self) -> "tuple[Outbox, Sink, TimedChunks, asyncio.Task[None]]":
        """Return an outbox, its sink, the chunks that the reader receives, and the reader."""
        chunks: TimedChunks = []
        box, sink = outbox(), Sink()
        box.write_through(sink)
        reading = asyncio.create_task(TestWindows().timed(box, chunks))
        await asyncio.sleep(1)
        return box, sink, chunks, reading

    async def test_a_direct_write_does_not_wake_the_reader(self) -> None:
        box, sink, chunks, reading = await self.waiting()
        box.put(b"now")
        assert sink.got == [b"now"]
        assert box.is_empty
        await asyncio.sleep(1)
        assert chunks == []
        reading.cancel()

    async def test_direct_writes_keep_the_flush_windows(self) -> None:
        box, sink, _, reading = await self.waiting()
        for number in range(BURST_WRITES + 5):
            box.put(b"%d" % number)
            await asyncio.sleep(0.001)
        await asyncio.sleep(1)
        assert sink.got == [b"0", b"1", b"2", b"3", b"4", b"5678"]
        reading.cancel()

    async def test_frames_that_the_sink_does_not_accept_go_to_the_reader_in_order(self) -> None:
        box, sink, chunks, reading = await self.waiting()
        sink.room = False
        box.put(b"a")
        sink.room = True
        box.put(b"b")
        await asyncio.sleep(1)
        box.put(b"c")
        assert [data for _, data in chunks] == [b"ab"]
        assert sink.got == [b"c"]
        reading.cancel()

    async def test_no_direct_write_happens_while_no_reader_waits(self) -> None:
        """A reader that does not wait may still be writing the previous chunk."""
        box, sink = outbox(), Sink()
        box.write_through(sink)
        box.put(b"a")
        box.put(b"b", urgent=True)
        assert sink.got == []
        assert await box.next_chunk() == b"ab"

    async def test_an_empty_chunk_is_never_written(self) -> None:
        """An empty chunk would end the response. A window that elapses after an urgent frame has
        flushed the outbox writes nothing."""
        box, sink, _, reading = await self.waiting()
        for _ in range(BURST_WRITES + 2):
            box.put(b"x")
        box.put(b"y", urgent=True)
        await asyncio.sleep(1)
        box.on_window_elapsed()
        assert b"" not in sink.got
        assert sink.got[-1] == b"xy"
        reading.cancel()

    async def test_an_end_and_an_interrupt_go_to_the_reader(self) -> None:
        chunks: TimedChunks = []
        box, sink = outbox(), Sink()
        box.write_through(sink)
        reading = asyncio.create_task(reader(box, chunks))
        await asyncio.sleep(1)
        box.interrupt()
        await asyncio.sleep(1)
        box.end(b"bye")
        await reading
        assert [data for _, data in chunks] == [b"", b"bye"]
        assert sink.got == []

    async def test_an_error_of_the_sink_is_raised_in_the_reader_only(self) -> None:
        box = outbox()

        def broken(take_chunk: Callable[[], bytes]) -> bool:
            raise ValueError(take_chunk())

        box.write_through(broken)
        taking = asyncio.create_task(box.next_chunk())
        await asyncio.sleep(0)
        assert box.put(b"x")
        with pytest.raises(ValueError, match="x"):
            await taking


class ValueFeed:
    """The newest values by key, as a quote feed keeps them."""

    def __init__(
        self, rate: float = 10.0, symbols: frozenset[str] | None = None, busy: float = 0.0
    ) -> None:
        self.newest: dict[str, bytes] = {}
        self.group = ConflationGroup(
            rate,
            self.join,
            WINDOW,
            busy,
            keys=symbols,
        )

    def join(self, keys: Iterable[str]) -> bytes:
        return b"".join(self.newest[key] for key in sorted(keys))

    def change(self, key: str, value: int) -> None:
        self.newest[key] = b"%s=%d;" % (key.encode(), value)
        self.group.mark_changed(key)

    def reader(self, chunks: TimedChunks) -> "asyncio.Task[None]":
        box = outbox()
        self.group.outboxes.add(box)
        return asyncio.create_task(TestWindows().timed(box, chunks))


def busying(values: ValueFeed, takes: float) -> list[float]:
    """Add a reader to the group of `values` that keeps the loop busy for `takes` seconds.

    Returns the times at which it is offered a chunk.
    """
    loop, sent = asyncio.get_running_loop(), list[float]()
    assert isinstance(loop, VirtualTimeLoop)
    virtual_clock = loop._virtual

    class Slow(Outbox):
        def offer_chunk(self, *_: object) -> None:
            sent.append(now())
            virtual_clock.now += takes

    values.group.outboxes.add(Slow(FlushClock(WINDOW), 100, 10_000))
    return sent


class TestConflationGroups:
    @pytest.mark.parametrize(
        ("reader_count", "is_shared"),
        [(1, False), (MIN_SHARING_READERS - 1, False), (MIN_SHARING_READERS, True), (50, True)],
    )
    async def test_only_the_chunks_of_many_readers_are_compressed_for_all(
        self, reader_count: int, is_shared: bool
    ) -> None:
        """The compressor of a group takes 30 KB, which few readers save nothing with."""
        offered = list[object]()

        class Noting(Outbox):
            def offer_chunk(self, _group: object, chunk: bytes, _keys: object) -> None:
                offered.append(chunk)

        values = ValueFeed()
        for _ in range(reader_count):
            values.group.outboxes.add(Noting(FlushClock(WINDOW), 100, 10_000))
        values.change("A", 1)
        await asyncio.sleep(1)
        assert [isinstance(chunk, SharedChunk) for chunk in offered] == [is_shared] * reader_count

    async def test_the_first_value_is_delivered_at_once(self) -> None:
        chunks: TimedChunks = []
        values = ValueFeed()
        reading = values.reader(chunks)
        await asyncio.sleep(1)
        values.change("A", 1)
        await asyncio.sleep(0.001)
        reading.cancel()
        ((at, data),) = chunks
        assert at == pytest.approx(1)
        assert data == b"A=1;"

    @pytest.mark.parametrize("rate", [0.5, 2.0, 10.0])
    async def test_the_newest_value_of_each_interval_is_delivered_at_the_rate_limit(
        self, rate: float
    ) -> None:
        chunks: TimedChunks = []
        values = ValueFeed(rate)
        reading = values.reader(chunks)
        for number in range(1000):  # ten seconds
            values.change("A", number)
            await asyncio.sleep(0.01)
        await asyncio.sleep(2 / rate)
        reading.cancel()
        at = [moment for moment, _ in chunks]
        gaps = [later - earlier for earlier, later in itertools.pairwise(at)]
        assert min(gaps) >= 1 / rate - 1e-6
        assert len(chunks) >= 10 * rate * 0.8
        assert chunks[-1][1] == b"A=999;"

    async def test_each_key_has_its_own_interval(self) -> None:
        """Regression: a key waited for the timer of another one, up to ten seconds."""
        chunks: TimedChunks = []
        values = ValueFeed(rate=1.0)
        reading = values.reader(chunks)
        values.change("A", 1)
        await asyncio.sleep(0.5)
        values.change("A", 2)
        values.change("B", 1)
        await asyncio.sleep(0.1)
        assert [data for _, data in chunks] == [b"A=1;", b"B=1;"]
        await asyncio.sleep(1)
        reading.cancel()
        assert chunks[-1][0] == pytest.approx(1.0, abs=WINDOW)
        assert chunks[-1][1] == b"A=2;"

    async def test_changes_within_a_window_are_one_chunk_rendered_once_for_all_readers(
        self,
    ) -> None:
        values, joined = ValueFeed(), list[list[str]]()

        def join(keys: Iterable[str]) -> bytes:
            joined.append(sorted(keys))
            return values.join(keys)

        values.group.render_latest = join
        chunks: list[TimedChunks] = [[] for _ in range(5)]
        reading = [values.reader(into) for into in chunks]
        for number, key in enumerate("ABCD"):
            values.change(key, number)
        await asyncio.sleep(1)
        for task in reading:
            task.cancel()
        assert joined == [["A"], ["B", "C", "D"]]
        assert [[d for _, d in into] for into in chunks] == [[b"A=0;", b"B=1;C=2;D=3;"]] * 5

    async def test_a_chunk_holds_one_window_and_waits_for_no_second_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Regression: two windows of the same length, slightly apart, delayed most chunks by both.
        The values missed meanwhile were rendered again for each reader."""
        chunks: TimedChunks = []
        values = ValueFeed(rate=1000.0)
        reading, sent = values.reader(chunks), list[float]()
        flush = ConflationGroup._flush

        def noted_flush(group: ConflationGroup) -> None:
            sent.append(now())
            flush(group)

        monkeypatch.setattr(ConflationGroup, "_flush", noted_flush)
        for number in range(500):
            values.change(f"K{number}", number)
            await asyncio.sleep(0.0017)
        reading.cancel()
        assert [at for at, _ in chunks] == sent

    @pytest.mark.parametrize(
        ("takes", "window"), [(0.0, WINDOW), (0.02, 0.0417), (0.04, 0.07), (5.0, 5.03)]
    )
    async def test_a_group_with_slow_writes_is_flushed_less_often(
        self, takes: float, window: float
    ) -> None:
        values = ValueFeed(rate=1000.0)
        sent = busying(values, takes)
        while len(sent) < 20:
            await asyncio.sleep(0.001)
            values.change("A", len(sent))
        gap = (sent[-1] - sent[-6]) / 5
        assert window - 0.001 <= gap <= window + 0.005

    async def test_occasional_values_are_delivered_at_once_despite_slow_writes(self) -> None:
        """Regression: with thousands of readers, every value waited for twice the time that a
        write to all of them takes, although the process was idle."""
        values = ValueFeed()
        sent, lags = busying(values, 0.05), []
        for number in range(40):
            await asyncio.sleep(0.12)
            at = now()
            values.change("A", number)
            await asyncio.sleep(0)
            lags.append(sent[-1] - at)
        assert max(lags) == 0

    @pytest.mark.parametrize(
        ("rate", "window"), [(900, WINDOW), (1000, WINDOW), (1200, 0.1), (3000, 0.1)]
    )
    async def test_a_busy_group_has_longer_windows(self, rate: int, window: float) -> None:
        """Above 1,000 changes of subscribed keys per second, windows are 100 ms; no key is lost."""
        chunks: TimedChunks = []
        values = ValueFeed(symbols=frozenset(map(str, range(400))), busy=0.1)
        reading = values.reader(chunks)
        for tick in range(500):  # five seconds
            for number in range(tick * rate // 100, (tick + 1) * rate // 100):
                values.change(str(number % 400), number)
                values.change("not wanted", number)
            await asyncio.sleep(0.01)
        gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(chunks)]
        assert gaps[-8:] == pytest.approx([window] * 8)
        assert gaps[2:10] == pytest.approx([WINDOW] * 8), "the group was busy too early"
        await asyncio.sleep(3)
        reading.cancel()
        data_of_all = b"".join(data for _, data in chunks)
        assert all(values.newest[key] in data_of_all for key in values.newest if key.isdigit())
        after: TimedChunks = []
        reading = values.reader(after)
        for number in range(50):
            values.change(str(number), number)
            await asyncio.sleep(0.01)
        reading.cancel()
        gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(after)]
        assert gaps == pytest.approx([WINDOW] * len(gaps)), (
            "the group is still busy after the load ended"
        )

    async def test_an_average_of_a_thousand_changes_a_second_does_not_count_as_busy(self) -> None:
        chunks: TimedChunks = []
        values = ValueFeed(busy=0.1)
        reading = values.reader(chunks)
        for tick in range(1000):
            for number in range(10 + 4 * (-1) ** (tick // 50 % 2)):
                values.change(f"{tick % 40} {number}", tick)
            await asyncio.sleep(0.01)
        reading.cancel()
        gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(chunks)]
        assert max(gaps) == pytest.approx(WINDOW)

    async def test_only_subscribed_keys_are_delivered(self) -> None:
        chunks: TimedChunks = []
        values = ValueFeed(symbols=frozenset({"A"}))
        reading = values.reader(chunks)
        values.change("B", 1)
        await asyncio.sleep(1)
        values.change("A", 1)
        await asyncio.sleep(1)
        reading.cancel()
        assert [data for _, data in chunks] == [b"A=1;"]

    async def test_a_slow_reader_receives_the_newest_value_of_each_missed_key_once(self) -> None:
        """The pending values are one chunk, however long they wait."""
        values, box = ValueFeed(), outbox()
        values.group.outboxes.add(box)
        for number in range(50):
            values.change("A", number)
            if number == 7:
                values.change("B", number)
            await asyncio.sleep(0.1)
        assert await box.next_chunk() == b"A=49;B=7;"
        assert box.is_empty

    async def test_a_closed_group_flushes_nothing(self) -> None:
        chunks: TimedChunks = []
        values = ValueFeed(rate=1.0)
        reading = values.reader(chunks)
        values.change("A", 1)
        await asyncio.sleep(0.1)
        values.change("A", 2)
        values.group.close()
        await asyncio.sleep(5)
        reading.cancel()
        assert [data for _, data in chunks] == [b"A=1;"]
