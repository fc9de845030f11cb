"""A feed that plays a source by the times its ticks carry, at any speed.

`Replay._due` decides what is due by now and never waits; `beats` hands that on and waits. A line
that is no tick is counted, reported and skipped, and everything counts towards the chunk after
which the event loop has its turn, so neither a huge speed nor a file of rubbish starves it.
"""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator
from typing import Literal

from structlog.typing import FilteringBoundLogger

from tapewire_services.prices.domain import MalformedLine, Tick
from tapewire_services.prices.feed.port import FeedError, FeedProgress, TickBatch, TickSource
from tapewire_services.prices.feed.recording_file import TruncatedRecording

LINES_PER_CHUNK = 256
"""Lines read before the event loop has a turn: a few milliseconds."""
MIN_WAIT_SECONDS = 0.005
"""Shortest wait: ticks that fall due within it are handed on together."""
EARLY_WAKEUP_TOLERANCE_SECONDS = 0.001
"""Event loops keep time in milliseconds; who is woken a little early need not wait once more."""
DAY_GAP_SECONDS = 1.0
"""Between the last tick of a day and the first of the next, at speed 1."""
LONG_WAIT_SECONDS = 60.0
"""A wait for the next tick that is worth a line in the log."""
MAX_LOGGED_LINES = 20
"""Malformed lines that a process logs one by one; the others it only counts."""

EndBehavior = Literal["loop", "stop"]


class ReplayFeed:
    """Plays `source` by the differences of its ticks' times divided by `speed`.

    Each tick is due at an instant counted from the first one of its day: a delay is caught up
    with and does not add up. `end` says what follows a day: `loop` the next one, `stop` nothing.
    `wanted` restricts the symbols; empty is all.

    Raises:
        FeedError: the speed is not a number above 0.
    """

    def __init__(
        self,
        source: TickSource,
        *,
        logger: FilteringBoundLogger,
        speed: float = 1.0,
        end: EndBehavior = "loop",
        symbols: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if not (math.isfinite(speed) and speed > 0):
            raise FeedError(f"a feed cannot be played at speed {speed}: give a number above 0")
        self._source = source
        self._speed = speed
        self._end = end
        self._symbols = frozenset(symbols)
        self._logger = logger.bind(feed=source.name)
        self._clock = clock
        self._sleep = sleep

        self._items: Iterator[Tick | MalformedLine] | None = None
        self._pending_tick: Tick | None = None
        """Read, but not due yet."""
        self._time_origin: tuple[float, int] | None = None
        """An instant of the clock and the `ms` that was due at it; None: the next tick's."""
        self._is_day_start_pending = False
        self._catch_up_until_ms: int | None = None
        """The `ms` up to which another process has played the day; None: ours."""
        self._has_ended = False
        self._day_number = self._last_tick_ms = self._row_count = self._malformed_count = 0
        self._counts_at_day_start = (0, 0)
        self._symbols_seen: set[str] = set()
        """Symbols that the day has shown."""

    async def stream_batches(self) -> AsyncGenerator[TickBatch, None]:
        """See `Feed`."""
        self._time_origin = (
            None  # whatever time has passed since the last call is not caught up with
        )
        while not self._has_ended:
            beat, instant = self._read_due_batch()
            if beat.ticks:
                yield beat
            wait = max(0.0, instant - self._clock())  # the reader took its time with the beat
            if wait > LONG_WAIT_SECONDS:
                self._logger.info("feed.waiting", seconds=round(wait), ms=self._last_tick_ms)
            await self._sleep(wait)

    def progress(self) -> FeedProgress:
        """See `Feed`."""
        return FeedProgress(
            name=self._source.name,
            rows=self._row_count,
            malformed=self._malformed_count,
            day=self._day_number,
            ms=self._last_tick_ms,
            ended=self._has_ended,
        )

    def resume(self, ms: int) -> None:
        """Begin the day again, and give what lies up to `ms` as past, at once. Not while `beats`
        runs."""
        self._items = self._pending_tick = None
        self._catch_up_until_ms = self._last_tick_ms = ms
        self._has_ended = False

    async def close(self) -> None:
        """See `Feed`."""
        self._items = self._pending_tick = None  # a recording closes its file as its generator goes
        self._has_ended = True

    def _read_due_batch(self) -> tuple[TickBatch, float]:
        """The ticks that are due by now, and the instant to look for more."""
        ticks: list[Tick] = []
        again = now = self._clock()
        past = self._catch_up_until_ms is not None
        for _ in range(LINES_PER_CHUNK):
            item = self._next_item()
            if item is None:
                again = now + self._finish_day()
                break
            if isinstance(item, MalformedLine):
                self._log_malformed_line(item)
            elif past and item.ms > (self._catch_up_until_ms or 0):
                self._pending_tick = item
                self._time_origin, self._catch_up_until_ms = (
                    (now, self._catch_up_until_ms or 0),
                    None,
                )
                break
            elif (
                not past
                and (instant := self._due_time(item, now)) > now + EARLY_WAKEUP_TOLERANCE_SECONDS
            ):
                self._pending_tick = item
                again = max(instant, now + MIN_WAIT_SECONDS)
                break
            elif not self._symbols or item.symbol in self._symbols:
                ticks.append(item)
                self._symbols_seen.add(item.symbol)
                self._last_tick_ms = self._last_tick_ms if past else item.ms
        opens = self._is_day_start_pending and bool(ticks)
        self._is_day_start_pending = self._is_day_start_pending and not ticks
        return TickBatch(tuple(ticks), opens, past), again

    def _next_item(self) -> Tick | MalformedLine | None:
        """The tick held back, or the next item; None at the end of the day."""
        if self._pending_tick is not None:
            held, self._pending_tick = self._pending_tick, None
            return held
        if self._items is None:
            self._begin_day()
        assert self._items is not None  # noqa: S101
        item = next(self._items, None)
        if isinstance(item, Tick):
            self._row_count += 1
        return item

    def _due_time(self, tick: Tick, now: float) -> float:
        """When `tick` is due: the first of a day at once, and one that is out of order too."""
        if self._time_origin is None:
            self._time_origin = (now, tick.ms)
        began, ms = self._time_origin
        return began + (tick.ms - ms) / 1000 / self._speed

    def _begin_day(self) -> None:
        self._items = iter(self._source.read_day())
        self._time_origin = None
        self._is_day_start_pending = True
        self._day_number += 1
        self._counts_at_day_start = (self._row_count, self._malformed_count)
        self._symbols_seen.clear()

    def _finish_day(self) -> float:
        """Report the day's totals; the seconds until the next one, if there is to be one."""
        rows, malformed = (
            self._row_count - self._counts_at_day_start[0],
            self._malformed_count - self._counts_at_day_start[1],
        )
        self._logger.info(
            "feed.day_finished",
            day=self._day_number,
            rows=rows,
            malformed=malformed,
            symbols=len(self._symbols_seen),
            then=self._end,
        )
        if not self._symbols_seen:
            wanted = f" of {', '.join(sorted(self._symbols))}" if self._symbols else ""
            raise FeedError(
                f"the feed {self._source.name} has no tick{wanted}: {rows} rows were read and "
                f"{malformed} malformed lines skipped. Choose other symbols or another feed."
            )
        if self._day_number == 1 and (missing := self._symbols - self._symbols_seen):
            self._logger.warning("feed.symbols_missing", symbols=sorted(missing))
        self._items = self._catch_up_until_ms = None
        self._has_ended = self._end == "stop"
        return 0.0 if self._has_ended else max(MIN_WAIT_SECONDS, DAY_GAP_SECONDS / self._speed)

    def _log_malformed_line(self, bad: MalformedLine) -> None:
        self._malformed_count += 1
        if isinstance(bad, TruncatedRecording):
            self._logger.error("feed.breaks_off", line=bad.line, reason=str(bad))
        elif self._malformed_count <= MAX_LOGGED_LINES:
            self._logger.warning("feed.malformed_line", line=bad.line, reason=str(bad))
            if self._malformed_count == MAX_LOGGED_LINES:
                self._logger.warning("feed.malformed_lines_only_counted_from_here")
