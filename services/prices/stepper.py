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

from tapewire.events import PriceUpdated
from tapewire.log import CommandRejected, LatestValueStore
from tapewire.runtime import RequestContext
from tapewire.runtime.contracts.prices import StepRecording, StepReply
from tapewire_services.prices.domain import (
    DAY_MS,
    MalformedLine,
    Tick,
    TopOfBook,
    apply_tick,
    build_price_updated,
)
from tapewire_services.prices.feed import FeedError, FeedProgress, TickSource
from tapewire_services.prices.price_update_publisher import PriceUpdatePublisher
from tapewire_services.prices.service import GetStatus, Status

LINES_PER_CHUNK = 1024
"""Lines read before the event loop has a turn."""


class RecordingStepper:
    """The service, with a recording that is stepped. `wanted` restricts the symbols; empty is all.

    Raises FeedError (from `step`, as an internal failure): the recording cannot be read any more.
    """

    def __init__(
        self,
        source: TickSource,
        market: LatestValueStore,
        *,
        logger: FilteringBoundLogger,
        symbols: Iterable[str] = (),
    ) -> None:
        self._source = source
        self._symbols = frozenset(symbols)
        self._publisher = PriceUpdatePublisher(market, logger=logger)
        self._logger = logger
        self._step_lock = asyncio.Lock()
        self._is_playing = False
        self._last_step: StepRecording | None = None
        """The last step. Whoever asks it again, because no answer came, has it at once: reading the
        recording from its beginning for each try would be too late each time."""
        self._last_updates: list[PriceUpdated] = []
        self._rewind()

    async def run(self) -> None:
        """Keep published what was, until canceled: one process does, and answers steps."""
        self._logger.info("prices.stepped", feed=self._source.name)
        self._is_playing = True
        self._publisher.request_repair()
        try:
            await self._publisher.run_repair()
        finally:
            self._is_playing = False

    def on_connection_state(self, is_connected: bool = True) -> None:
        """NATS is back (or not): look at once for what it lost."""
        self._publisher.request_repair(is_connected)

    async def close(self) -> None:
        """Let go of the recording."""
        self._rewind()

    async def status(self, _request: GetStatus, _context: RequestContext) -> Status:
        """The endpoint `status`."""
        return Status(
            playing=self._is_playing,
            symbols=sorted(self._books),
            lost=self._publisher.lost_count,
            feed=FeedProgress(
                name=self._source.name,
                rows=self._row_count,
                malformed=self._malformed_count,
                day=1,
                ms=self._position_ms,
                ended=self._has_ended,
            ),
        )

    async def step(self, request: StepRecording, _context: RequestContext) -> StepReply:
        """The endpoint `step`. Raises Refusal (invalid), LogError: ask again."""
        _validate_step(request)
        async with self._step_lock:
            if request != self._last_step:
                self._last_updates = await self._advance(request)
                self._last_step = request
            await self._publisher.publish_confirmed(self._last_updates)
            return StepReply(
                upto_ms=request.upto_ms,
                published={update.symbol: update.timestamp for update in self._last_updates},
                ended=self._has_ended,
            )

    async def _advance(self, request: StepRecording) -> list[PriceUpdated]:
        """Read on, or again, to the end of the step; what it publishes."""
        if self._position_ms > request.after_ms:
            self._rewind()
        await self._apply_until(request.after_ms)
        before = {symbol: self._build_update(request.day, symbol) for symbol in self._books}
        updates = []
        for symbol in await self._apply_until(request.upto_ms):
            earlier = before.get(symbol)
            follows = None if earlier is None else earlier.timestamp
            update = self._build_update(request.day, symbol, follows)
            if update is not None:
                updates.append(update)
        return updates

    def _rewind(self) -> None:
        self._items: Iterator[Tick | MalformedLine] | None = None
        self._pending_tick: Tick | None = None
        self._position_ms = self._row_count = self._malformed_count = 0
        self._has_ended = False
        self._books: dict[str, TopOfBook] = {}
        self._last_tick_ms_by_symbol: dict[str, int] = {}
        """The time of each symbol's last tick."""

    async def _apply_until(self, upto_ms: int) -> list[str]:
        """Fold all ticks up to then; the symbols that had any."""
        changed: dict[str, None] = {}
        lines = 0
        while (tick := self._next_tick()) is not None:
            if tick.ms > upto_ms:
                self._pending_tick = tick
                break
            if not self._symbols or tick.symbol in self._symbols:
                book = self._books.get(tick.symbol) or TopOfBook(symbol=tick.symbol)
                self._books[tick.symbol] = apply_tick(book, tick)
                self._last_tick_ms_by_symbol[tick.symbol] = max(
                    tick.ms, self._last_tick_ms_by_symbol.get(tick.symbol, 0)
                )
                changed[tick.symbol] = None
            lines += 1
            if lines % LINES_PER_CHUNK == 0:
                await asyncio.sleep(0)
        self._position_ms = max(self._position_ms, upto_ms)
        return list(changed)

    def _next_tick(self) -> Tick | None:
        """The tick held back, or the next one; None at the end."""
        if self._pending_tick is not None:
            held, self._pending_tick = self._pending_tick, None
            return held
        if self._items is None:
            self._items = iter(self._source.read_day())
        for item in self._items:
            if isinstance(item, Tick):
                self._row_count += 1
                return item
            self._malformed_count += 1
            self._logger.warning("feed.malformed_line", line=item.line, reason=str(item))
        if not self._row_count:
            raise FeedError(f"the feed {self._source.name} has no tick: choose another feed")
        self._has_ended = True
        return None

    def _build_update(
        self, day: date, symbol: str, follows: datetime | None = None
    ) -> PriceUpdated | None:
        midnight = datetime.combine(day, time(), UTC)
        at = midnight + timedelta(milliseconds=self._last_tick_ms_by_symbol[symbol])
        return build_price_updated(self._books[symbol], at, follows=follows)


def _validate_step(request: StepRecording) -> None:
    if not 0 <= request.after_ms <= DAY_MS:
        message = f"afterMs must be 0 to {DAY_MS}, not {request.after_ms}"
        raise CommandRejected("invalid", message, "afterMs")
    if not request.after_ms <= request.upto_ms <= DAY_MS:
        message = f"uptoMs must be {request.after_ms} (afterMs) to {DAY_MS}, not {request.upto_ms}"
        raise CommandRejected("invalid", message, "uptoMs")
