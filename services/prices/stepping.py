"""A recording that moves only when it is told to: for tests, demonstrations, debugging.

`Stepper.step` reads the recording on from where the last step left it (or again from its beginning)
and publishes what the market was at the end of the step. Nothing of what it publishes depends on
the clock, on the process, or on steps before: the request names both ends. So a step may be asked
again after any fault, and whoever has seen its quotes already sees the same ones.
"""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta

from structlog.typing import FilteringBoundLogger

from services.prices.domain import DAY_MS, BadLine, Book, Tick, fold, quote
from services.prices.feed import FeedError, Progress, Source
from services.prices.posting import Posting
from services.prices.service import AskStatus, Status
from tapewire.events import PriceUpdated
from tapewire.log import Refusal, Values
from tapewire.runtime import Context
from tapewire.runtime.contracts.prices import Step, Stepped

LINES_AT_ONCE = 1024
"""Lines read before the event loop has a turn."""


class Stepper:
    """The service, with a recording that is stepped. `wanted` restricts the symbols; empty is all.

    Raises FeedError (from `step`, as an internal failure): the recording cannot be read any more.
    """

    def __init__(
        self,
        source: Source,
        market: Values,
        *,
        logger: FilteringBoundLogger,
        wanted: Iterable[str] = (),
    ) -> None:
        self._source = source
        self._wanted = frozenset(wanted)
        self._posting = Posting(market, logger=logger)
        self._logger = logger
        self._one_at_a_time = asyncio.Lock()
        self._playing = False
        self._taken: Step | None = None
        """The last step. Whoever asks it again, because no answer came, has it at once: reading the
        recording from its beginning for each try would be too late each time."""
        self._updates: list[PriceUpdated] = []
        self._rewind()

    async def work(self) -> None:
        """Keep published what was, until canceled: one process does, and answers steps."""
        self._logger.info("prices.stepped", feed=self._source.name)
        self._playing = True
        self._posting.nudge()
        try:
            await self._posting.mend()
        finally:
            self._playing = False

    def nudge(self, connected: bool = True) -> None:
        """NATS is back (or not): look at once for what it lost."""
        self._posting.nudge(connected)

    async def close(self) -> None:
        """Let go of the recording."""
        self._rewind()

    async def status(self, _request: AskStatus, _context: Context) -> Status:
        """The endpoint `status`."""
        return Status(
            playing=self._playing,
            symbols=sorted(self._books),
            lost=self._posting.lost,
            feed=Progress(
                name=self._source.name,
                rows=self._rows,
                malformed=self._malformed,
                day=1,
                ms=self._ms,
                ended=self._ended,
            ),
        )

    async def step(self, request: Step, _context: Context) -> Stepped:
        """The endpoint `step`. Raises Refusal (invalid), LogError: ask again."""
        _checked(request)
        async with self._one_at_a_time:
            if request != self._taken:
                self._updates = await self._take(request)
                self._taken = request
            await self._posting.put(self._updates)
            return Stepped(
                upto_ms=request.upto_ms,
                published={update.symbol: update.timestamp for update in self._updates},
                ended=self._ended,
            )

    async def _take(self, request: Step) -> list[PriceUpdated]:
        """Read on, or again, to the end of the step; what it publishes."""
        if self._ms > request.after_ms:
            self._rewind()
        await self._read(request.after_ms)
        before = {symbol: self._quote(request.day, symbol) for symbol in self._books}
        updates = []
        for symbol in await self._read(request.upto_ms):
            earlier = before.get(symbol)
            follows = None if earlier is None else earlier.timestamp
            update = self._quote(request.day, symbol, follows)
            if update is not None:
                updates.append(update)
        return updates

    def _rewind(self) -> None:
        self._items: Iterator[Tick | BadLine] | None = None
        self._held: Tick | None = None
        self._ms = self._rows = self._malformed = 0
        self._ended = False
        self._books: dict[str, Book] = {}
        self._ticked: dict[str, int] = {}
        """The time of each symbol's last tick."""

    async def _read(self, upto_ms: int) -> list[str]:
        """Fold all ticks up to then; the symbols that had any."""
        changed: dict[str, None] = {}
        lines = 0
        while (tick := self._next()) is not None:
            if tick.ms > upto_ms:
                self._held = tick
                break
            if not self._wanted or tick.symbol in self._wanted:
                book = self._books.get(tick.symbol) or Book(symbol=tick.symbol)
                self._books[tick.symbol] = fold(book, tick)
                self._ticked[tick.symbol] = max(tick.ms, self._ticked.get(tick.symbol, 0))
                changed[tick.symbol] = None
            lines += 1
            if lines % LINES_AT_ONCE == 0:
                await asyncio.sleep(0)
        self._ms = max(self._ms, upto_ms)
        return list(changed)

    def _next(self) -> Tick | None:
        """The tick held back, or the next one; None at the end."""
        if self._held is not None:
            held, self._held = self._held, None
            return held
        if self._items is None:
            self._items = iter(self._source.day())
        for item in self._items:
            if isinstance(item, Tick):
                self._rows += 1
                return item
            self._malformed += 1
            self._logger.warning("feed.malformed_line", line=item.line, reason=str(item))
        if not self._rows:
            raise FeedError(f"the feed {self._source.name} has no tick: choose another feed")
        self._ended = True
        return None

    def _quote(
        self, day: date, symbol: str, follows: datetime | None = None
    ) -> PriceUpdated | None:
        midnight = datetime.combine(day, time(), UTC)
        at = midnight + timedelta(milliseconds=self._ticked[symbol])
        return quote(self._books[symbol], at, follows=follows)


def _checked(request: Step) -> None:
    if not 0 <= request.after_ms <= DAY_MS:
        message = f"afterMs must be 0 to {DAY_MS}, not {request.after_ms}"
        raise Refusal("invalid", message, "afterMs")
    if not request.after_ms <= request.upto_ms <= DAY_MS:
        message = f"uptoMs must be {request.after_ms} (afterMs) to {DAY_MS}, not {request.upto_ms}"
        raise Refusal("invalid", message, "uptoMs")
