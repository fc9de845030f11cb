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

from services.prices.domain import BadLine, Tick
from services.prices.feed.port import Beat, FeedError, Progress, Source
from services.prices.feed.recording import BreaksOff

CHUNK_LINES = 256
"""Lines read before the event loop has a turn: a few milliseconds."""
INSTANT_SECONDS = 0.005
"""Shortest wait: ticks that fall due within it are handed on together."""
EARLY_SECONDS = 0.001
"""Event loops keep time in milliseconds; who is woken a little early need not wait once more."""
NIGHT_SECONDS = 1.0
"""Between the last tick of a day and the first of the next, at speed 1."""
LONG_WAIT_SECONDS = 60.0
"""A wait for the next tick that is worth a line in the log."""
LOGGED_LINES = 20
"""Malformed lines that a process logs one by one; the others it only counts."""

End = Literal["loop", "stop"]


class Replay:
    """Plays `source` by the differences of its ticks' times divided by `speed`.

    Each tick is due at an instant counted from the first one of its day: a delay is caught up
    with and does not add up. `end` says what follows a day: `loop` the next one, `stop` nothing.
    `wanted` restricts the symbols; empty is all.

    Raises:
        FeedError: the speed is not a number above 0.
    """

    def __init__(
        self,
        source: Source,
        *,
        logger: FilteringBoundLogger,
        speed: float = 1.0,
        end: End = "loop",
        wanted: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if not (math.isfinite(speed) and speed > 0):
            raise FeedError(f"a feed cannot be played at speed {speed}: give a number above 0")
        self._source = source
        self._speed = speed
        self._end = end
        self._wanted = frozenset(wanted)
        self._logger = logger.bind(feed=source.name)
        self._clock = clock
        self._sleep = sleep

        self._items: Iterator[Tick | BadLine] | None = None
        self._held: Tick | None = None
        """Read, but not due yet."""
        self._origin: tuple[float, int] | None = None
        """An instant of the clock and the `ms` that was due at it; None: the next tick's."""
        self._opens = False
        self._past: int | None = None
        """The `ms` up to which another process has played the day; None: ours."""
        self._ended = False
        self._day = self._ms = self._rows = self._malformed = 0
        self._day_began_at = (0, 0)
        self._played: set[str] = set()
        """Symbols that the day has shown."""

    async def beats(self) -> AsyncGenerator[Beat, None]:
        """See `Feed`."""
        self._origin = None  # whatever time has passed since the last call is not caught up with
        while not self._ended:
            beat, instant = self._due()
            if beat.ticks:
                yield beat
            wait = max(0.0, instant - self._clock())  # the reader took its time with the beat
            if wait > LONG_WAIT_SECONDS:
                self._logger.info("feed.waiting", seconds=round(wait), ms=self._ms)
            await self._sleep(wait)

    def progress(self) -> Progress:
        """See `Feed`."""
        return Progress(
            name=self._source.name,
            rows=self._rows,
            malformed=self._malformed,
            day=self._day,
            ms=self._ms,
            ended=self._ended,
        )

    def resume(self, ms: int) -> None:
        """Begin the day again, and give what lies up to `ms` as past, at once. Not while `beats`
        runs."""
        self._items = self._held = None
        self._past = self._ms = ms
        self._ended = False

    async def close(self) -> None:
        """See `Feed`."""
        self._items = self._held = None  # a recording closes its file as its generator goes
        self._ended = True

    def _due(self) -> tuple[Beat, float]:
        """The ticks that are due by now, and the instant to look for more."""
        ticks: list[Tick] = []
        again = now = self._clock()
        past = self._past is not None
        for _ in range(CHUNK_LINES):
            item = self._next()
            if item is None:
                again = now + self._finish_day()
                break
            if isinstance(item, BadLine):
                self._report(item)
            elif past and item.ms > (self._past or 0):
                self._held = item
                self._origin, self._past = (now, self._past or 0), None
                break
            elif not past and (instant := self._instant(item, now)) > now + EARLY_SECONDS:
                self._held = item
                again = max(instant, now + INSTANT_SECONDS)
                break
            elif not self._wanted or item.symbol in self._wanted:
                ticks.append(item)
                self._played.add(item.symbol)
                self._ms = self._ms if past else item.ms
        opens = self._opens and bool(ticks)
        self._opens = self._opens and not ticks
        return Beat(tuple(ticks), opens, past), again

    def _next(self) -> Tick | BadLine | None:
        """The tick held back, or the next item; None at the end of the day."""
        if self._held is not None:
            held, self._held = self._held, None
            return held
        if self._items is None:
            self._begin_day()
        assert self._items is not None  # noqa: S101
        item = next(self._items, None)
        if isinstance(item, Tick):
            self._rows += 1
        return item

    def _instant(self, tick: Tick, now: float) -> float:
        """When `tick` is due: the first of a day at once, and one that is out of order too."""
        if self._origin is None:
            self._origin = (now, tick.ms)
        began, ms = self._origin
        return began + (tick.ms - ms) / 1000 / self._speed

    def _begin_day(self) -> None:
        self._items = iter(self._source.day())
        self._origin = None
        self._opens = True
        self._day += 1
        self._day_began_at = (self._rows, self._malformed)
        self._played.clear()

    def _finish_day(self) -> float:
        """Report the day's totals; the seconds until the next one, if there is to be one."""
        rows, malformed = (
            self._rows - self._day_began_at[0],
            self._malformed - self._day_began_at[1],
        )
        self._logger.info(
            "feed.day_finished",
            day=self._day,
            rows=rows,
            malformed=malformed,
            symbols=len(self._played),
            then=self._end,
        )
        if not self._played:
            wanted = f" of {', '.join(sorted(self._wanted))}" if self._wanted else ""
            raise FeedError(
                f"the feed {self._source.name} has no tick{wanted}: {rows} rows were read and "
                f"{malformed} malformed lines skipped. Choose other symbols or another feed."
            )
        if self._day == 1 and (missing := self._wanted - self._played):
            self._logger.warning("feed.symbols_missing", symbols=sorted(missing))
        self._items = self._past = None
        self._ended = self._end == "stop"
        return 0.0 if self._ended else max(INSTANT_SECONDS, NIGHT_SECONDS / self._speed)

    def _report(self, bad: BadLine) -> None:
        self._malformed += 1
        if isinstance(bad, BreaksOff):
            self._logger.error("feed.breaks_off", line=bad.line, reason=str(bad))
        elif self._malformed <= LOGGED_LINES:
            self._logger.warning("feed.malformed_line", line=bad.line, reason=str(bad))
            if self._malformed == LOGGED_LINES:
                self._logger.warning("feed.malformed_lines_only_counted_from_here")
