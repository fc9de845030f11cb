"""A feed that plays a source of ticks at any speed, by the times that the ticks carry.

`ReplayFeed._read_due_batch` decides what is due now and never waits; `stream_batches` yields it and
waits. Malformed lines are counted, logged and skipped. Every line counts towards the chunk after
which other tasks get a turn, so neither a huge speed nor a file of garbage starves the event loop.
"""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator
from typing import Literal, Protocol

from structlog.typing import FilteringBoundLogger

from tapewire.feeds import FaultLog, FeedError, FeedProgress, TickBatch
from tapewire_services.prices.domain import LineFault, MalformedLine, RecordedTick

LINES_PER_CHUNK = 256
"""Lines read before other tasks get a turn: a few milliseconds of work."""
MIN_WAIT_SECONDS = 0.005
"""The shortest wait. Ticks that fall due within it form one batch."""
EARLY_WAKEUP_TOLERANCE_SECONDS = 0.001
"""Event loops keep time in milliseconds. A tick this close to its time counts as due."""
DAY_GAP_SECONDS = 1.0
"""The pause between the last tick of a day and the first of the next, at speed 1."""
LONG_WAIT_SECONDS = 60.0
"""A longer wait for the next tick is logged."""

EndBehavior = Literal["loop", "stop"]


class TickSource(Protocol):
    """Ticks that carry their own time, one day at a time, for `ReplayFeed` to play."""

    @property
    def name(self) -> str: ...

    def read_day(self) -> Iterator[RecordedTick | MalformedLine]:
        """Yield the ticks of the next day in order of time. May raise FeedError."""


class ReplayFeed:
    """Plays `source` at `speed` times real time.

    Unlike a feed of a live market, it misses nothing while it is not called: a second call of
    `stream_batches` continues where the first one stopped, and neither skips nor repeats a tick.

    The due time of a tick counts from the first tick of its day, so delays are caught up with and
    do not add up.

    Args:
        end: What follows a day: `loop` the next day, `stop` nothing.
        symbols: The symbols to play; empty means all. One that the source does not have stands for
            the one of that name in upper case.
        faults: Counts the lines and parts of lines that cannot be taken.
        heartbeat_seconds: An empty batch follows this long after a batch, since a recording whose
            next tick is not due is heard all the same.

    Raises:
        FeedError: The speed is not a number above 0.
    """

    def __init__(
        self,
        source: TickSource,
        *,
        logger: FilteringBoundLogger,
        faults: FaultLog | None = None,
        speed: float = 1.0,
        end: EndBehavior = "loop",
        symbols: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        heartbeat_seconds: float = math.inf,
    ) -> None:
        if not (math.isfinite(speed) and speed > 0):
            raise FeedError(f"a feed cannot be played at speed {speed}: give a number above 0")
        self._source = source
        self._speed = speed
        self._end = end
        self._requested_symbols = frozenset(symbols)
        self._played_symbols = self._requested_symbols | {symbol.upper() for symbol in symbols}
        self._logger = logger.bind(feed=source.name)
        self._clock = clock
        self._sleep = sleep
        self._heartbeat_seconds = heartbeat_seconds

        self._items: Iterator[RecordedTick | MalformedLine] | None = None
        self._pending_tick: RecordedTick | None = None
        """A tick that was read but is not due yet."""
        self._time_origin: tuple[float, int] | None = None
        """A reading of the clock and the `ms` that is due at it; None: set by the next tick."""
        self._is_day_start_pending = False
        self._catch_up_until_ms: int | None = None
        """The `ms` up to which another process has played the day; None: not resuming."""
        self._has_ended = False
        self._day_number = self._last_tick_ms = self._row_count = 0
        self._faults = faults or FaultLog(self._logger, clock)
        self._counts_at_day_start = (0, 0)
        self._symbols_seen: set[str] = set()
        """The symbols that have had a tick today."""

    async def stream_batches(self) -> AsyncGenerator[TickBatch, None]:
        """See `MarketDataFeed`."""
        self._time_origin = None  # do not catch up with the time since the last call
        while not self._has_ended:
            batch, next_due = self._read_due_batch()
            if batch.ticks:
                yield batch
            wait = max(0.0, next_due - self._clock())  # the consumer took time for the batch
            if wait > LONG_WAIT_SECONDS:
                self._logger.info("feed.waiting", seconds=round(wait), ms=self._last_tick_ms)
            while wait > self._heartbeat_seconds:
                await self._sleep(self._heartbeat_seconds)
                yield TickBatch()
                wait = next_due - self._clock()
            await self._sleep(max(0.0, wait))

    def progress(self) -> FeedProgress:
        """See `MarketDataFeed`."""
        return FeedProgress(
            name=self._source.name,
            rows=self._row_count,
            ended=self._has_ended,
            day=self._day_number,
            ms=self._last_tick_ms,
        )

    def resume(self, ms: int) -> None:
        """Begin the day again; yield the ticks up to `ms` at once, as catch-up batches.

        Must not be called while `stream_batches` runs.
        """
        self._items = self._pending_tick = None
        self._catch_up_until_ms = self._last_tick_ms = ms
        self._has_ended = False

    async def close(self) -> None:
        """See `MarketDataFeed`."""
        self._items = self._pending_tick = None  # dropping the generator closes its file
        self._has_ended = True

    def _read_due_batch(self) -> tuple[TickBatch, float]:
        """Return the ticks that are due, and the clock time at which more may be due."""
        ticks: list[RecordedTick] = []
        next_due = now = self._clock()
        is_catch_up = self._catch_up_until_ms is not None
        for _ in range(LINES_PER_CHUNK):
            item = self._next_item()
            if item is None:
                next_due = now + self._finish_day()
                break
            if isinstance(item, MalformedLine):
                self._handle_fault(item)
            elif is_catch_up and item.ms > (self._catch_up_until_ms or 0):
                self._pending_tick = item
                self._time_origin, self._catch_up_until_ms = (
                    (now, self._catch_up_until_ms or 0),
                    None,
                )
                break
            elif (
                not is_catch_up
                and (due := self._due_time(item, now)) > now + EARLY_WAKEUP_TOLERANCE_SECONDS
            ):
                self._pending_tick = item
                next_due = max(due, now + MIN_WAIT_SECONDS)
                break
            elif not self._played_symbols or item.symbol in self._played_symbols:
                ticks.append(item)
                self._symbols_seen.add(item.symbol)
                self._last_tick_ms = self._last_tick_ms if is_catch_up else item.ms
        is_day_start = self._is_day_start_pending and bool(ticks)
        self._is_day_start_pending = self._is_day_start_pending and not ticks
        return TickBatch(tuple(ticks), is_day_start=is_day_start, is_catch_up=is_catch_up), next_due

    def _handle_fault(self, fault: MalformedLine) -> None:
        self._faults.record(fault.reason, str(fault))
        if fault.reason == LineFault.TRUNCATED:
            self._logger.error("feed.truncated", line=fault.line, reason=str(fault))

    def _next_item(self) -> RecordedTick | MalformedLine | None:
        """Return the pending tick or the next item; None at the end of the day."""
        if self._pending_tick is not None:
            tick, self._pending_tick = self._pending_tick, None
            return tick
        if self._items is None:
            self._begin_day()
        assert self._items is not None  # noqa: S101
        item = next(self._items, None)
        if isinstance(item, RecordedTick):
            self._row_count += 1
        return item

    def _due_time(self, tick: RecordedTick, now: float) -> float:
        """The clock time at which `tick` is due. The first tick of a day is due at once."""
        if self._time_origin is None:
            self._time_origin = (now, tick.ms)
        began, ms = self._time_origin
        return began + (tick.ms - ms) / 1000 / self._speed

    def _begin_day(self) -> None:
        self._items = iter(self._source.read_day())
        self._time_origin = None
        self._is_day_start_pending = True
        self._day_number += 1
        self._counts_at_day_start = (self._row_count, self._faults.counts.total())
        self._symbols_seen.clear()

    def _finish_day(self) -> float:
        """Log the day's totals and return the seconds until the next day, 0 at the end.

        Raises:
            FeedError: The day had no tick of the symbols that are played.
        """
        rows, malformed = (
            self._row_count - self._counts_at_day_start[0],
            self._faults.counts.total() - self._counts_at_day_start[1],
        )
        self._faults.summarize()
        self._logger.info(
            "feed.day_finished",
            day=self._day_number,
            rows=rows,
            malformed=malformed,
            symbols=len(self._symbols_seen),
            then=self._end,
        )
        if not self._symbols_seen:
            requested = ", ".join(sorted(self._requested_symbols))
            wanted = f" of {requested}" if requested else ""
            raise FeedError(
                f"the feed {self._source.name} has no tick{wanted}: {rows} rows were read and "
                f"{malformed} malformed lines skipped. Choose other symbols or another feed."
            )
        if self._day_number == 1 and (missing := self._find_missing_symbols()):
            self._logger.warning("feed.symbols_missing", symbols=missing)
        self._items = self._catch_up_until_ms = None
        self._has_ended = self._end == "stop"
        return 0.0 if self._has_ended else max(MIN_WAIT_SECONDS, DAY_GAP_SECONDS / self._speed)

    def _find_missing_symbols(self) -> list[str]:
        seen = self._symbols_seen
        return sorted(one for one in self._requested_symbols if not {one, one.upper()} & seen)
