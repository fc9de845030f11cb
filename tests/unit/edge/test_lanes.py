"""Outboxes with their flush windows and bounds, conflation groups with their rates."""

import asyncio
import itertools
from collections.abc import Callable, Iterable

import pytest

from tapewire_services.edge.delivery.conflation import ConflationGroup
from tapewire_services.edge.delivery.outbox import (
    BURST_WRITES,
    FlushClock,
    Outbox,
)
from tests.harness.virtual_time import VirtualTimeLoop

pytestmark = pytest.mark.virtual_time

WINDOW = 0.02

Taken = list[tuple[float, bytes]]
"""Chunks, with the time at which each was taken."""


def now() -> float:
    return asyncio.get_running_loop().time()


def outbox(frames: int = 100, size: int = 10_000, clock: FlushClock | None = None) -> Outbox:
    return Outbox(clock or FlushClock(WINDOW), frames, size)


async def reader(box: Outbox, taken: Taken) -> None:
    """Takes what comes, and notes when."""
    while not box.has_ended:
        taken.append((round(now(), 6), await box.next_chunk()))


class TestWindows:
    async def test_the_first_few_leave_at_once_and_the_rest_as_one(self) -> None:
        taken: Taken = []
        box = outbox()
        reading = asyncio.create_task(self.timed(box, taken))
        await asyncio.sleep(1)
        began = now()
        for number in range(BURST_WRITES + 5):
            box.put(b"%d" % number)
            await asyncio.sleep(0.001)
        await asyncio.sleep(1)
        reading.cancel()
        at_once = [b"%d" % number for number in range(BURST_WRITES + 1)]
        assert [data for _, data in taken] == [*at_once, b"5678"]
        for number, (at, _) in enumerate(taken[:-1]):
            assert at - began == pytest.approx(number * 0.001)
        last_first, gathered = taken[-2][0], taken[-1][0]
        assert 0 < gathered - last_first <= WINDOW + 0.005

    async def test_a_stream_that_goes_on_is_one_write_a_window_and_rests_before_it_bursts_again(
        self,
    ) -> None:
        taken: Taken = []
        box = outbox(frames=1000)
        reading = asyncio.create_task(self.timed(box, taken))
        for _ in range(1000):
            box.put(b"x")
            await asyncio.sleep(0.001)
        assert len(taken) <= 1.0 / WINDOW + BURST_WRITES + 2
        assert max(len(data) for _, data in taken) <= WINDOW / 0.001 + 2
        await asyncio.sleep((BURST_WRITES + 2) * WINDOW)
        before = len(taken)
        for _ in range(BURST_WRITES):
            box.put(b"y")
            await asyncio.sleep(0.001)
        assert [data for _, data in taken[before:]] == [b"y"] * BURST_WRITES
        reading.cancel()

    async def timed(self, box: Outbox, taken: Taken) -> None:
        while True:
            data = await box.next_chunk()
            taken.append((now(), data))

    async def test_after_a_quiet_window_the_next_is_a_first_one(self) -> None:
        taken: Taken = []
        box = outbox()
        reading = asyncio.create_task(self.timed(box, taken))
        for _ in range(3):
            await asyncio.sleep(1)
            box.put(b"x")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert taken[-1] == (now(), b"x")
        reading.cancel()

    async def test_what_is_urgent_waits_for_no_window_and_takes_the_rest_along(self) -> None:
        taken: Taken = []
        box = outbox()
        reading = asyncio.create_task(self.timed(box, taken))
        await asyncio.sleep(1)
        began = now()
        box.put(b"a")
        await asyncio.sleep(0.001)
        box.put(b"b")
        box.put(b"c", urgent=True)
        await asyncio.sleep(0.001)
        reading.cancel()
        assert [data for _, data in taken] == [b"a", b"bc"]
        assert taken[-1][0] - began == pytest.approx(0.001)

    async def test_one_timer_serves_many_outboxes(self) -> None:
        clock = FlushClock(WINDOW)
        boxes = [outbox(clock=clock) for _ in range(10)]
        taken: list[Taken] = [[] for _ in boxes]
        reading = [
            asyncio.create_task(self.timed(box, into))
            for box, into in zip(boxes, taken, strict=True)
        ]
        for data in (b"1", b"2"):
            await asyncio.sleep(0.001)
            for box in boxes:
                box.put(data)
        await asyncio.sleep(1)
        for task in reading:
            task.cancel()
        assert [[data for _, data in into] for into in taken] == [[b"1", b"2"]] * 10
        assert len({into[1][0] for into in taken}) == 1


class TestBounds:
    async def test_in_number(self) -> None:
        box = outbox(frames=2)
        assert [box.put(b"x") for _ in range(3)] == [True, True, False]
        assert await box.next_chunk() == b"xx"
        assert box.put(b"x")

    async def test_in_size(self) -> None:
        box = outbox(size=10)
        assert [box.put(b"x" * 6), box.put(b"y" * 5), box.put(b"z" * 4)] == [True, False, True]
        assert box.size_bytes == 10
        assert await box.next_chunk() == b"x" * 6 + b"z" * 4
        assert box.size_bytes == 0

    async def test_no_frame_is_too_large_for_an_empty_one(self) -> None:
        box = outbox(size=10)
        assert box.put(b"x" * 1000)
        assert not box.put(b"y")
        assert await box.next_chunk() == b"x" * 1000


class TestEnds:
    async def test_the_farewell_is_last_and_fits_always(self) -> None:
        box = outbox(frames=1)
        box.put(b"a")
        box.end(b"bye")
        assert box.put(b"too late")
        box.end(b"again")
        assert await box.next_chunk() == b"abye"
        assert box.has_ended
        assert await box.next_chunk() == b""

    async def test_it_wakes_who_waits(self) -> None:
        box = outbox()
        taking = asyncio.create_task(box.next_chunk())
        await asyncio.sleep(0)
        box.end(b"bye")
        assert await taking == b"bye"

    async def test_a_nudge_returns_with_what_there_is(self) -> None:
        box = outbox()
        taking = asyncio.create_task(box.next_chunk())
        await asyncio.sleep(0)
        box.interrupt()
        assert await taking == b""
        assert not box.has_ended
        box.put(b"x")
        assert await box.next_chunk() == b"x"

    async def test_a_taker_that_is_cancelled_takes_nothing_with_it(self) -> None:
        box = outbox()
        taking = asyncio.create_task(box.next_chunk())
        await asyncio.sleep(0)
        taking.cancel()
        await asyncio.wait({taking})
        box.put(b"x")
        assert await box.next_chunk() == b"x"


class Sink:
    """A peer that is written to without a task."""

    def __init__(self) -> None:
        self.room = True
        self.got: list[bytes] = []

    def __call__(self, take: Callable[[], bytes]) -> bool:
        if self.room:
            self.got.append(take())
        return self.room


class TestSinks:
    async def waiting(self) -> "tuple[Outbox, Sink, Taken, asyncio.Task[None]]":
        """An outbox with a sink, somebody in `take`, and what is taken there."""
        taken: Taken = []
        box, sink = outbox(), Sink()
        box.write_through(sink)
        reading = asyncio.create_task(TestWindows().timed(box, taken))
        await asyncio.sleep(1)
        return box, sink, taken, reading

    async def test_what_leaves_at_once_wakes_nobody(self) -> None:
        box, sink, taken, reading = await self.waiting()
        box.put(b"now")
        assert sink.got == [b"now"]
        assert box.is_empty
        await asyncio.sleep(1)
        assert taken == []
        reading.cancel()

    async def test_windows_are_kept(self) -> None:
        box, sink, _, reading = await self.waiting()
        for number in range(BURST_WRITES + 5):
            box.put(b"%d" % number)
            await asyncio.sleep(0.001)
        await asyncio.sleep(1)
        assert sink.got == [b"0", b"1", b"2", b"3", b"4", b"5678"]
        reading.cancel()

    async def test_without_room_it_is_taken_and_in_order(self) -> None:
        box, sink, taken, reading = await self.waiting()
        sink.room = False
        box.put(b"a")
        sink.room = True
        box.put(b"b")
        await asyncio.sleep(1)
        box.put(b"c")
        assert [data for _, data in taken] == [b"ab"]
        assert sink.got == [b"c"]
        reading.cancel()

    async def test_nobody_in_take_writes_nothing_past_it(self) -> None:
        """Whoever takes may be writing still."""
        box, sink = outbox(), Sink()
        box.write_through(sink)
        box.put(b"a")
        box.put(b"b", urgent=True)
        assert sink.got == []
        assert await box.next_chunk() == b"ab"

    async def test_never_nothing(self) -> None:
        """An empty chunk would end the response: a window that passes when what it was for has
        left already writes none."""
        box, sink, _, reading = await self.waiting()
        for _ in range(BURST_WRITES + 2):
            box.put(b"x")
        box.put(b"y", urgent=True)
        await asyncio.sleep(1)
        box.on_window_elapsed()
        assert b"" not in sink.got
        assert sink.got[-1] == b"xy"
        reading.cancel()

    async def test_an_end_and_a_nudge_are_for_who_takes(self) -> None:
        taken: Taken = []
        box, sink = outbox(), Sink()
        box.write_through(sink)
        reading = asyncio.create_task(reader(box, taken))
        await asyncio.sleep(1)
        box.interrupt()
        await asyncio.sleep(1)
        box.end(b"bye")
        await reading
        assert [data for _, data in taken] == [b"", b"bye"]
        assert sink.got == []

    async def test_a_fault_of_the_sink_is_its_readers_alone(self) -> None:
        box = outbox()

        def broken(take: Callable[[], bytes]) -> bool:
            raise ValueError(take())

        box.write_through(broken)
        taking = asyncio.create_task(box.next_chunk())
        await asyncio.sleep(0)
        assert box.put(b"x")
        with pytest.raises(ValueError, match="x"):
            await taking


class Values:
    """Newest values by key, as a board has them."""

    def __init__(
        self, rate: float = 10.0, symbols: frozenset[str] | None = None, busy: float = 0.0
    ) -> None:
        self.newest: dict[str, bytes] = {}
        self.lane = ConflationGroup(
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
        self.lane.mark_changed(key)

    def reader(self, taken: Taken) -> "asyncio.Task[None]":
        box = outbox()
        self.lane.outboxes.add(box)
        return asyncio.create_task(TestWindows().timed(box, taken))


def busying(values: Values, takes: float) -> list[float]:
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

    values.lane.outboxes.add(Slow(FlushClock(WINDOW), 100, 10_000))
    return sent


class TestLanes:
    async def test_a_first_value_leaves_at_once(self) -> None:
        taken: Taken = []
        values = Values()
        reading = values.reader(taken)
        await asyncio.sleep(1)
        values.change("A", 1)
        await asyncio.sleep(0.001)
        reading.cancel()
        ((at, data),) = taken
        assert at == pytest.approx(1)
        assert data == b"A=1;"

    @pytest.mark.parametrize("rate", [0.5, 2.0, 10.0])
    async def test_at_most_the_rate_and_the_newest_of_each_interval(self, rate: float) -> None:
        taken: Taken = []
        values = Values(rate)
        reading = values.reader(taken)
        for number in range(1000):  # ten seconds
            values.change("A", number)
            await asyncio.sleep(0.01)
        await asyncio.sleep(2 / rate)
        reading.cancel()
        at = [moment for moment, _ in taken]
        gaps = [later - earlier for earlier, later in itertools.pairwise(at)]
        assert min(gaps) >= 1 / rate - 1e-6
        assert len(taken) >= 10 * rate * 0.8
        assert taken[-1][1] == b"A=999;"

    async def test_each_key_has_its_own_interval(self) -> None:
        """Regression: a key waited for the timer of another one, up to ten seconds."""
        taken: Taken = []
        values = Values(rate=1.0)
        reading = values.reader(taken)
        values.change("A", 1)
        await asyncio.sleep(0.5)
        values.change("A", 2)
        values.change("B", 1)
        await asyncio.sleep(0.1)
        assert [data for _, data in taken] == [b"A=1;", b"B=1;"]
        await asyncio.sleep(1)
        reading.cancel()
        assert taken[-1][0] == pytest.approx(1.0, abs=WINDOW)
        assert taken[-1][1] == b"A=2;"

    async def test_changes_within_a_window_are_one_chunk_joined_once_for_all(self) -> None:
        values, joined = Values(), list[list[str]]()

        def join(keys: Iterable[str]) -> bytes:
            joined.append(sorted(keys))
            return values.join(keys)

        values.lane.render_latest = join
        taken: list[Taken] = [[] for _ in range(5)]
        reading = [values.reader(into) for into in taken]
        for number, key in enumerate("ABCD"):
            values.change(key, number)
        await asyncio.sleep(1)
        for task in reading:
            task.cancel()
        assert joined == [["A"], ["B", "C", "D"]]
        assert [[d for _, d in into] for into in taken] == [[b"A=0;", b"B=1;C=2;D=3;"]] * 5

    async def test_a_chunk_is_a_window_s_worth_and_waits_for_no_other(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Regression: two windows of the same length, a moment apart, made most chunks wait for
        both, and joined what was missed meanwhile for each reader anew."""
        taken: Taken = []
        values = Values(rate=1000.0)
        reading, sent = values.reader(taken), list[float]()
        flush = values.lane._flush

        def noted_flush() -> None:
            sent.append(now())
            flush()

        monkeypatch.setattr(values.lane, "_flush", noted_flush)
        for number in range(500):
            values.change(f"K{number}", number)
            await asyncio.sleep(0.0017)
        reading.cancel()
        assert [at for at, _ in taken] == sent

    @pytest.mark.parametrize(
        ("takes", "window"), [(0.0, WINDOW), (0.02, 0.0417), (0.04, 0.07), (5.0, 5.03)]
    )
    async def test_a_lane_that_takes_long_to_write_is_flushed_less_often(
        self, takes: float, window: float
    ) -> None:
        values = Values(rate=1000.0)
        sent = busying(values, takes)
        while len(sent) < 20:
            await asyncio.sleep(0.001)
            values.change("A", len(sent))
        gap = (sent[-1] - sent[-6]) / 5
        assert window - 0.001 <= gap <= window + 0.005

    async def test_what_comes_now_and_then_waits_for_no_share_of_the_time(self) -> None:
        """Regression: with thousands of readers every value waited as long as it takes to write to
        them twice, though nothing else was to be done."""
        values = Values()
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
    async def test_a_busy_lane_has_longer_windows(self, rate: int, window: float) -> None:
        """Above 1,000 changes a second of what is wanted, 100 ms; nothing of it is lost."""
        taken: Taken = []
        values = Values(symbols=frozenset(map(str, range(400))), busy=0.1)
        reading = values.reader(taken)
        for tick in range(500):  # five seconds
            for number in range(tick * rate // 100, (tick + 1) * rate // 100):
                values.change(str(number % 400), number)
                values.change("not wanted", number)
            await asyncio.sleep(0.01)
        gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(taken)]
        assert gaps[-8:] == pytest.approx([window] * 8)
        assert gaps[2:10] == pytest.approx([WINDOW] * 8), "it was not busy yet"
        await asyncio.sleep(3)
        reading.cancel()
        told = b"".join(data for _, data in taken)
        assert all(values.newest[key] in told for key in values.newest if key.isdigit())
        after: Taken = []
        reading = values.reader(after)
        for number in range(50):
            values.change(str(number), number)
            await asyncio.sleep(0.01)
        reading.cancel()
        gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(after)]
        assert gaps == pytest.approx([WINDOW] * len(gaps)), "it is not busy any more"

    async def test_a_steady_thousand_a_second_is_not_busy_by_its_jumps(self) -> None:
        taken: Taken = []
        values = Values(busy=0.1)
        reading = values.reader(taken)
        for tick in range(1000):
            for number in range(10 + 4 * (-1) ** (tick // 50 % 2)):
                values.change(f"{tick % 40} {number}", tick)
            await asyncio.sleep(0.01)
        reading.cancel()
        gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(taken)]
        assert max(gaps) == pytest.approx(WINDOW)

    async def test_only_what_is_wanted(self) -> None:
        taken: Taken = []
        values = Values(symbols=frozenset({"A"}))
        reading = values.reader(taken)
        values.change("B", 1)
        await asyncio.sleep(1)
        values.change("A", 1)
        await asyncio.sleep(1)
        reading.cancel()
        assert [data for _, data in taken] == [b"A=1;"]

    async def test_a_reader_that_took_nothing_gets_the_newest_of_what_it_missed_once(self) -> None:
        """What waits for it is one chunk, however long it waits."""
        values, box = Values(), outbox()
        values.lane.outboxes.add(box)
        for number in range(50):
            values.change("A", number)
            if number == 7:
                values.change("B", number)
            await asyncio.sleep(0.1)
        assert await box.next_chunk() == b"A=49;B=7;"
        assert box.is_empty

    async def test_a_closed_lane_flushes_no_more(self) -> None:
        taken: Taken = []
        values = Values(rate=1.0)
        reading = values.reader(taken)
        values.change("A", 1)
        await asyncio.sleep(0.1)
        values.change("A", 2)
        values.lane.close()
        await asyncio.sleep(5)
        reading.cancel()
        assert [data for _, data in taken] == [b"A=1;"]
