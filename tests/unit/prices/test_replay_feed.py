"""Playing a source at a speed: every tick in order and on time, without blocking other tasks."""

import asyncio
import contextlib
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import LogCapture

from tapewire.feeds import FaultLog, FeedError, TickBatch
from tapewire_services.prices.domain import LineFault, MalformedLine, RecordedTick
from tapewire_services.prices.feed import RecordingFile, ReplayFeed
from tapewire_services.prices.feed.replay_feed import (
    EARLY_WAKEUP_TOLERANCE_SECONDS,
    LINES_PER_CHUNK,
    MIN_WAIT_SECONDS,
)
from tests.unit.prices.conftest import ManualClock, ScriptedDays, times

Played = list[tuple[float, list[int]]]


def ticks(*times: int, symbol: str = "IBM") -> list[RecordedTick]:
    return [RecordedTick(ms=ms, symbol=symbol) for ms in times]


def bad(line: int, reason: str = "not_a_number") -> MalformedLine:
    return MalformedLine(line, "bid", "x", "is not a number", reason)


@pytest.fixture
def replay(time: ManualClock, logger: Any) -> Any:
    def make(*days: list[Any], **options: Any) -> ReplayFeed:
        options = {"end": "stop", "clock": time, "sleep": time.sleep, **options}
        return ReplayFeed(ScriptedDays(*days), logger=logger, **options)

    return make


async def played(replay: ReplayFeed, time: ManualClock) -> Played:
    return [(round(time.now, 3), times(beat)) async for beat in replay.stream_batches()]


class TestPace:
    async def test_ticks_are_emitted_at_their_times(self, replay: Any, time: ManualClock) -> None:
        feed = replay(ticks(34_200_000, 34_201_000, 34_203_500))
        assert await played(feed, time) == [
            (0.0, [34_200_000]),
            (1.0, [34_201_000]),
            (3.5, [34_203_500]),
        ]

    @pytest.mark.parametrize(("speed", "second"), [(0.5, 20.0), (1, 10.0), (20, 0.5), (1000, 0.01)])
    async def test_times_are_divided_by_the_speed(
        self, replay: Any, time: ManualClock, speed: float, second: float
    ) -> None:
        feed = replay(ticks(0, 10_000), speed=speed)
        assert await played(feed, time) == [(0.0, [0]), (second, [10_000])]

    async def test_a_recording_that_crosses_midnight_keeps_its_pace(
        self, time: ManualClock, logger: Any, tmp_path: Path
    ) -> None:
        """65 s used to be played in 4.5."""
        times = [(86_340_000 + second * 1000) % 86_400_000 for second in range(0, 125, 5)]
        lines = "".join(f"{ms},IBM,1,1,2,1,,\n" for ms in times)
        path = tmp_path / "night.csv"
        path.write_text("ms,symbol,bid,bid_size,ask,ask_size,last,last_size\n" + lines)
        feed = ReplayFeed(
            RecordingFile(path), logger=logger, end="stop", clock=time, sleep=time.sleep
        )
        moments = [moment for moment, _ in await played(feed, time)]
        assert moments == [float(second) for second in range(0, 125, 5)]
        feed.resume(86_405_000)
        resumed = [ms for _, batch in await played(feed, time) for ms in batch]
        assert resumed[-1] == 86_460_000, "all of the first day and of the second"

    async def test_a_recording_that_waits_for_its_next_tick_is_heard(
        self, replay: Any, time: ManualClock
    ) -> None:
        feed = replay(ticks(0, 1000), heartbeat_seconds=0.4)
        assert await played(feed, time) == [(0.0, [0]), (0.4, []), (0.8, []), (1.0, [1000])]

    @pytest.mark.parametrize("speed", [0.5, 1, 20])
    async def test_no_speed_leaves_a_pause_without_a_sign_of_life(
        self, replay: Any, time: ManualClock, speed: float
    ) -> None:
        feed = replay(ticks(*range(0, 10_000, 1000)), speed=speed, heartbeat_seconds=0.25)
        heard_at = [moment for moment, _ in await played(feed, time)]
        pauses = [later - earlier for earlier, later in pairwise(heard_at)]
        assert max(pauses) <= 0.25 + 1e-9

    async def test_ticks_of_one_instant_are_one_batch(self, replay: Any, time: ManualClock) -> None:
        feed = replay(ticks(0, 0, 0, 100, 100), speed=1)
        assert await played(feed, time) == [(0.0, [0, 0, 0]), (0.1, [100, 100])]

    async def test_at_high_speed_a_batch_has_many_ticks(
        self, replay: Any, time: ManualClock
    ) -> None:
        feed = replay(ticks(*range(0, 20_000, 1000)), speed=1000)  # a millisecond between them
        beats = await played(feed, time)
        assert sum(len(beat) for _, beat in beats) == 20
        assert len(beats) <= 0.020 / MIN_WAIT_SECONDS + 1

    async def test_a_delay_is_caught_up_and_does_not_accumulate(
        self, replay: Any, time: ManualClock
    ) -> None:
        feed, seen = replay(ticks(*range(0, 10_000, 1000))), []
        async for beat in feed.stream_batches():
            seen.append((round(time.now, 3), times(beat)))
            if len(seen) == 1:
                time.now += 4.5  # the reader was busy, or the process was stopped
        assert seen[:3] == [(0.0, [0]), (4.5, [1000, 2000, 3000, 4000]), (5.0, [5000])]
        assert seen[-1] == (9.0, [9000])

    async def test_a_slow_reader_does_not_delay_later_ticks(
        self, replay: Any, time: ManualClock
    ) -> None:
        """The regression: the wait was measured from before the previous batch was emitted, and
        each tick was late by the reader's processing time."""
        feed, seen = replay(ticks(*range(0, 10_000, 1000))), []
        async for beat in feed.stream_batches():
            seen.append((round(time.now, 3), times(beat)[0]))
            time.now += 0.4
        assert seen == [(float(second), second * 1000) for second in range(10)]

    async def test_an_early_wake_up_does_not_cause_a_second_wait(
        self, replay: Any, time: ManualClock
    ) -> None:
        async def sleep(seconds: float) -> None:
            await time.sleep(max(0.0, seconds - 0.0009))

        feed = replay(ticks(0, 1000), sleep=sleep)
        assert await played(feed, time) == [(0.0, [0]), (0.999, [1000])]

    async def test_a_tick_out_of_order_is_emitted_at_once(
        self, replay: Any, time: ManualClock
    ) -> None:
        feed = replay(ticks(1000, 2000, 500, 3000))
        assert await played(feed, time) == [(0.0, [1000]), (1.0, [2000, 500]), (2.0, [3000])]

    async def test_a_long_wait_is_logged(
        self, replay: Any, time: ManualClock, capture: LogCapture
    ) -> None:
        await played(replay(ticks(0, 3_600_000)), time)
        assert {"event": "feed.waiting", "seconds": 3600, "ms": 0}.items() <= capture.entries[
            0
        ].items()

    @pytest.mark.parametrize("speed", [0, -1, math.nan, math.inf])
    def test_an_invalid_speed_is_rejected(self, replay: Any, speed: float) -> None:
        with pytest.raises(FeedError, match="above 0"):
            replay(ticks(0), speed=speed)


class TestFairness:
    """Other tasks of the process run while the feed reads any number of lines."""

    @pytest.mark.parametrize("rubbish", [False, True])
    async def test_other_tasks_run_between_chunks(self, logger: Any, rubbish: bool) -> None:
        lines = 50 * LINES_PER_CHUNK
        items = [bad(n) if rubbish else RecordedTick(ms=n, symbol="IBM") for n in range(lines)]
        feed = ReplayFeed(
            ScriptedDays([*items, *ticks(lines)]), logger=logger, speed=1e9, end="stop"
        )
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        async for beat in feed.stream_batches():
            assert len(beat.ticks) <= LINES_PER_CHUNK
        task.cancel()
        assert turns >= 50

    async def test_a_looped_day_of_one_tick_waits_between_batches(
        self, replay: Any, time: ManualClock
    ) -> None:
        feed = replay(ticks(0), end="loop", speed=1e6)
        async with contextlib.aclosing(feed.stream_batches()) as beats:
            for _ in range(10):
                await anext(beats)
        assert time.now >= 9 * MIN_WAIT_SECONDS


class TestDays:
    async def test_end_stop_plays_the_day_once(self, replay: Any, time: ManualClock) -> None:
        feed = replay(ticks(0, 1000), end="stop")
        assert await played(feed, time) == [(0.0, [0]), (1.0, [1000])]
        assert feed.progress().ended
        assert await played(feed, time) == []

    async def test_end_loop_repeats_the_day_with_one_day_start_each(
        self, replay: Any, time: ManualClock
    ) -> None:
        feed = replay(ticks(0, 1000), end="loop", speed=2)
        seen: list[tuple[float, bool, list[int]]] = []
        async with contextlib.aclosing(feed.stream_batches()) as beats:
            while len(seen) < 5:
                beat = await anext(beats)
                seen.append((time.now, beat.is_day_start, times(beat)))
        assert seen == [
            (0.0, True, [0]),
            (0.5, False, [1000]),
            (1.0, True, [0]),
            (1.5, False, [1000]),
            (2.0, True, [0]),
        ]
        assert feed.progress().day == 3

    async def test_the_day_starts_with_the_first_tick_of_a_selected_symbol(
        self, replay: Any
    ) -> None:
        feed = replay([bad(2), *ticks(0, symbol="SPY"), *ticks(1000)], symbols=["IBM"])
        assert [beat async for beat in feed.stream_batches()] == [
            TickBatch(tuple(ticks(1000)), is_day_start=True)
        ]

    async def test_a_day_without_ticks_is_an_error(self, replay: Any, time: ManualClock) -> None:
        with pytest.raises(FeedError, match="0 rows were read and 2 malformed lines skipped"):
            await played(replay([bad(2), bad(3)], end="loop"), time)

    async def test_a_day_without_any_selected_symbol_is_an_error(
        self, replay: Any, time: ManualClock
    ) -> None:
        with pytest.raises(FeedError, match="no tick of ACME, SPY"):
            await played(replay(ticks(0), symbols=["SPY", "ACME"]), time)

    async def test_missing_selected_symbols_are_logged(
        self, replay: Any, time: ManualClock, capture: LogCapture
    ) -> None:
        await played(replay(ticks(0), symbols=["IBM", "ACME"]), time)
        logged = [entry for entry in capture.entries if entry["event"] == "feed.symbols_missing"]
        assert [entry["symbols"] for entry in logged] == [["ACME"]]


class TestContinuing:
    """A process that loses its lease and acquires it again continues at its position."""

    async def test_a_second_call_continues_without_catching_up_the_break(
        self, replay: Any, time: ManualClock
    ) -> None:
        feed = replay(ticks(0, 1000, 2000))
        async with contextlib.aclosing(feed.stream_batches()) as beats:
            await anext(beats)
        time.now += 100
        assert await played(feed, time) == [(100.0, [1000]), (101.0, [2000])]

    async def test_after_a_cancellation_the_next_call_emits_the_pending_tick(
        self, logger: Any
    ) -> None:
        feed = ReplayFeed(ScriptedDays(ticks(0, 10_000_000)), logger=logger, end="stop")
        got = asyncio.Event()

        async def play() -> None:
            async for _ in feed.stream_batches():
                got.set()

        task = asyncio.create_task(play())
        await got.wait()
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert [times(beat) async for beat in feed.stream_batches()] == [[10_000_000]]

    async def test_a_closed_feed_emits_nothing(self, replay: Any, time: ManualClock) -> None:
        feed = replay(ticks(0, 1000))
        async with contextlib.aclosing(feed.stream_batches()) as beats:
            await anext(beats)
        await feed.close()
        assert await played(feed, time) == []

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        gaps=st.lists(st.integers(0, 5000), min_size=1, max_size=60),
        speed=st.floats(0.01, 1e6),
        busy=st.lists(st.floats(0, 30), max_size=10),
        breaks=st.sets(st.integers(1, 20), max_size=5),
    )
    def test_every_tick_is_emitted_once_in_order_and_never_early(
        self, logger: Any, gaps: list[int], speed: float, busy: list[float], breaks: set[int]
    ) -> None:
        """This holds for any speed, any delays of the reader and any number of interruptions."""
        due = [sum(gaps[: n + 1]) for n in range(len(gaps))]
        clock = ManualClock()
        seen: list[tuple[float, int]] = []
        feed = ReplayFeed(
            ScriptedDays(ticks(*due)),
            logger=logger,
            speed=speed,
            end="stop",
            clock=clock,
            sleep=clock.sleep,
        )

        async def play() -> None:
            beats = 0
            while not feed.progress().ended:
                async with contextlib.aclosing(feed.stream_batches()) as running:
                    async for beat in running:
                        seen.extend((clock.now, ms) for ms in times(beat))
                        clock.now += busy[beats] if beats < len(busy) else 0
                        beats += 1
                        if beats in breaks:
                            break

        asyncio.run(play())
        assert [ms for _, ms in seen] == due
        if not breaks:
            assert all(
                at >= (ms - due[0]) / 1000 / speed - EARLY_WAKEUP_TOLERANCE_SECONDS - 1e-6
                for at, ms in seen
            )


class TestReports:
    async def test_malformed_lines_are_counted_and_skipped(
        self, replay: Any, time: ManualClock, faults: FaultLog
    ) -> None:
        feed = replay([*ticks(0), bad(3), *ticks(1000), bad(5)], faults=faults)
        assert await played(feed, time) == [(0.0, [0]), (1.0, [1000])]
        progress = feed.progress()
        assert (progress.rows, faults.counts.total(), progress.ms) == (2, 2, 1000)
        assert (progress.name, progress.day, progress.ended) == ("days", 1, True)

    async def test_malformed_lines_are_logged_with_line_and_reason(
        self, replay: Any, time: ManualClock, capture: LogCapture
    ) -> None:
        await played(replay([bad(3), *ticks(0)]), time)
        assert capture.entries[0] == {
            "event": "feed.fault",
            "log_level": "warning",
            "level": "warning",
            "feed": "days",
            "fault": "not_a_number",
            "reason": "line 3, column bid: 'x' is not a number",
        }

    async def test_every_reason_is_counted_and_logged_however_often_others_came(
        self, replay: Any, time: ManualClock, capture: LogCapture, faults: FaultLog
    ) -> None:
        items = [*(bad(n) for n in range(500)), bad(500, "not_a_symbol"), *ticks(0)]
        feed = replay(items, faults=faults)
        await played(feed, time)
        assert [entry["event"] for entry in capture.entries] == [
            "feed.fault",
            "feed.fault",
            "feed.faults",
            "feed.day_finished",
        ]
        counts = {"not_a_number": 500, "not_a_symbol": 1}
        assert capture.entries[-2]["counts"] == counts == faults.counts
        totals = capture.entries[-1]
        assert (totals["rows"], totals["malformed"], totals["symbols"]) == (1, 501, 1)

    async def test_faults_that_go_on_are_summarized_once_a_minute(
        self, replay: Any, time: ManualClock, capture: LogCapture
    ) -> None:
        day = [item for n in range(1000) for item in (bad(n), *ticks(n * 1000))]
        await played(replay(day, symbols=("IBM",)), time)
        summaries = [one for one in capture.entries if one["event"] == "feed.faults"]
        assert len(summaries) in range(16, 19)
        assert summaries[-1]["counts"] == {"not_a_number": 1000}

    async def test_a_truncated_recording_is_always_logged(
        self, replay: Any, time: ManualClock, capture: LogCapture
    ) -> None:
        end = MalformedLine(502, None, "", "cannot be read", LineFault.TRUNCATED)
        await played(replay([*(bad(n) for n in range(500)), *ticks(0), end]), time)
        logged = [entry for entry in capture.entries if entry["event"] == "feed.truncated"]
        assert [(entry["line"], entry["log_level"]) for entry in logged] == [(502, "error")]


class TestResuming:
    """A feed that resumes after another process has played a part of the day."""

    async def test_the_played_part_is_one_catch_up_batch_and_the_rest_is_on_time(
        self, replay: Any, time: ManualClock
    ) -> None:
        feed = replay(ticks(0, 1000, 2000, 5000, 6000))
        feed.resume(2500)
        assert feed.progress().ms == 2500
        seen = [
            (time.now, beat.is_catch_up, beat.is_day_start, times(beat))
            async for beat in feed.stream_batches()
        ]
        assert seen == [
            (0.0, True, True, [0, 1000, 2000]),
            (2.5, False, False, [5000]),
            (3.5, False, False, [6000]),
        ]

    async def test_a_played_part_of_several_chunks_is_catch_up_to_its_end(
        self, replay: Any, time: ManualClock
    ) -> None:
        lines = 3 * LINES_PER_CHUNK
        feed = replay(ticks(*range(lines), lines + 999))
        feed.resume(lines)
        past, seen = 0, list[int]()
        async for beat in feed.stream_batches():
            past += len(beat.ticks) if beat.is_catch_up else 0
            seen += [] if beat.is_catch_up else times(beat)
            assert feed.progress().ms >= lines, "the position went back"
        assert (past, seen, time.now) == (lines, [lines + 999], 0.999)

    async def test_resuming_at_the_end_of_the_day_ends_the_feed(self, replay: Any) -> None:
        feed = replay(ticks(0, 1000))
        feed.resume(1000)
        assert [beat.is_catch_up async for beat in feed.stream_batches()] == [True]
        assert feed.progress().ended

    async def test_the_next_day_is_not_catch_up(self, replay: Any) -> None:
        feed, seen = replay(ticks(0, 1000), end="loop"), []
        feed.resume(1000)
        async with contextlib.aclosing(feed.stream_batches()) as beats:
            for _ in range(3):
                beat = await anext(beats)
                seen.append((beat.is_catch_up, beat.is_day_start, times(beat)))
        assert seen == [(True, True, [0, 1000]), (False, True, [0]), (False, False, [1000])]
