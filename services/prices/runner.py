"""Plays a feed: folds its ticks into books and publishes the quotes that changed.

`FeedRunner.run` is the work that the lease protects. Each batch of the feed, an empty one too, is a
sign that the feed hears its market: the changed quotes are published, and the others confirmed. A
feed that fails is called again, with a growing delay. Start at `FeedRunner.run`; `_fold` is the
border at which the ticks of a feed are checked.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import msgspec
from structlog.typing import FilteringBoundLogger

from tapewire.events import PriceUpdated
from tapewire.feeds import (
    FaultLog,
    FeedError,
    FeedFault,
    FeedProgress,
    MarketDataFeed,
    Tick,
    TickBatch,
    ValidTick,
    validate_tick,
)
from tapewire.log.backoff import Backoff, new_rng
from tapewire.log.freshness import DEFAULT_STALE_SECONDS
from tapewire.values import InvalidValue, show_value
from tapewire_services.prices.day_trades import DayTrades
from tapewire_services.prices.domain import (
    TopOfBook,
    apply_tick,
    build_price_updated,
    forget_quote,
)
from tapewire_services.prices.publisher import PriceUpdatePublisher

MAX_SYMBOLS = 10_000
"""Symbols of a feed at most; ticks of further ones are not taken."""
MIN_TIME_STEP = timedelta(microseconds=1)
MAX_TIME_CORRECTION = timedelta(seconds=1)
"""A clock that is set back by more is followed."""
PROBLEM_POLL_SECONDS = 0.2
STEADY_SECONDS = 10.0
"""A feed that plays for so long after a failure has recovered from it."""
NO_QUOTE_CURE = "a quote needs a bid and an ask of a symbol that is played"
MAX_ERROR_CHARACTERS = 200
"""Characters of an error of the feed that the status repeats."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def _clock() -> float:
    return asyncio.get_running_loop().time()


class FeedRunner:
    """Holds the books of all symbols. They survive from one `run` to the next. A feed of which
    nothing is heard for `stale_seconds` is silent.

    Args:
        is_continuous: A second call of the feed's `stream_batches` continues where the first one
            stopped, so what is known of the market still holds.
    """

    def __init__(
        self,
        feed: MarketDataFeed,
        publisher: PriceUpdatePublisher,
        trades: DayTrades,
        faults: FaultLog,
        *,
        logger: FilteringBoundLogger,
        is_continuous: bool = False,
        now: Callable[[], datetime] = utc_now,
        stale_seconds: float = DEFAULT_STALE_SECONDS,
    ) -> None:
        self.is_playing = False
        self._stale_seconds = stale_seconds
        self._feed = feed
        self._publisher = publisher
        self._trades = trades
        self._faults = faults
        self._logger = logger
        self._is_continuous = is_continuous
        self._now = now
        self._books: dict[str, TopOfBook] = {}
        self._last_quote_times: dict[str, datetime] = {}
        self._unpublished_symbols: dict[str, None] = {}
        self._heard_at = self._called_at = 0.0
        self._played_since, self._played_since_time = 0.0, now()
        self._failure: str | None = None
        self._last_progress = FeedProgress(name="unknown")

    def find_problem(self) -> str | None:
        """That the feed fails, is silent, or has had no quote yet, while it plays; None if neither.
        The text changes rarely, since every change is reported."""
        if not self.is_playing:
            return None
        if self._failure is not None:
            return f"the feed has failed, and was started again: {self._failure}"
        if _clock() - self._heard_at >= self._stale_seconds:
            return f"the feed is silent: nothing heard for more than {self._stale_seconds:g} s"
        if self._last_quote_times or _clock() - self._played_since < self._stale_seconds:
            return None
        return f"no quote yet since {self._played_since_time:%Y-%m-%dT%H:%M:%SZ}: {NO_QUOTE_CURE}"

    async def watch_problem(self, on_change: Callable[[], None]) -> None:
        """Log `find_problem` and call `on_change` whenever it changes, until canceled."""
        before = self.find_problem()
        while True:
            await asyncio.sleep(PROBLEM_POLL_SECONDS)
            before, last = self.find_problem(), before
            if before == last:
                continue
            if before is not None:
                self._logger.warning("feed.problem", reason=before)
            on_change()

    def symbols(self) -> list[str]:
        """The symbols that have a book, sorted."""
        return sorted(self._books)

    def progress(self) -> FeedProgress:
        """What the feed says about itself; what it said last if it raises an exception, which is
        counted."""
        try:
            self._last_progress = self._feed.progress()
        except Exception as error:
            self._faults.record(FeedFault.PROGRESS_FAILED, _describe(error))
        return self._last_progress

    async def run(self) -> None:
        """Play and publish until canceled. Of a continuous feed a second call publishes every quote
        anew once the feed is heard: another process may have played.

        Quotes are not confirmed any more after the feed has ended, so they become stale.
        """
        self._logger.info("feed.started", feed=self.progress().name)
        self.is_playing, self._heard_at, self._failure = True, _clock(), None
        self._played_since, self._played_since_time = _clock(), self._now()
        self._publisher.withdraw_all()
        self._unpublished_symbols |= dict.fromkeys(self._books)
        try:
            await self._play_to_end()
            await asyncio.Event().wait()  # the lease is kept: another process would play again
        finally:
            self.is_playing = False

    async def _play_to_end(self) -> None:
        """Call the feed until it has ended."""
        backoff = Backoff(new_rng())
        while True:
            self._called_at = _clock()
            if not self._is_continuous:
                self._forget_quotes()
            try:
                await self._consume_feed()
                if self.progress().ended:
                    self._logger.info("feed.ended", symbols=len(self._books))
                    return
                raise FeedError("its stream has ended, although the feed has not")
            except Exception as error:
                is_first = self._failure is None
                if is_first:
                    backoff.reset()
                    self._failure = _describe(error)
                self._logger.warning("feed.failed", error=_describe(error), exc_info=is_first)
            self._publisher.withdraw_all()
            await backoff.wait()

    async def _consume_feed(self) -> None:
        async with contextlib.aclosing(self._feed.stream_batches()) as batches:
            async for batch in batches:
                if not isinstance(batch, TickBatch):
                    raise FeedError(f"it has yielded {show_value(batch)}, which is no TickBatch")
                self._heard_at = _clock()
                if self._heard_at - self._called_at >= STEADY_SECONDS:
                    self._failure = None
                self._fold(batch)
                if not batch.is_catch_up:
                    await self._publish_changes()
                    await self._publisher.confirm_due()

    def _fold(self, batch: TickBatch) -> None:
        """Fold a whole batch, without waiting: a cancellation then loses no volume."""
        if batch.is_day_start or self._trades.day is None:
            self._books.clear()
            self._unpublished_symbols.clear()
            self._publisher.withdraw_all()
            self._trades.begin_day()
        if batch.is_snapshot:
            self._forget_quotes()
        books, unpublished = self._books, self._unpublished_symbols
        for tick in self._check_ticks(batch):
            symbol = tick.symbol
            book = books.get(symbol)
            if book is None:
                if len(books) >= MAX_SYMBOLS:
                    problem = f"{symbol!r} is one symbol more than {MAX_SYMBOLS:,}"
                    self._faults.record(FeedFault.TOO_MANY_SYMBOLS, problem)
                    continue
                book = TopOfBook(symbol=symbol)
            books[symbol] = apply_tick(book, tick)
            unpublished[symbol] = None
            if tick.last_size and not batch.is_catch_up:
                self._trades.add(tick)

    def _check_ticks(self, batch: TickBatch) -> list[ValidTick]:
        """The ticks that can be taken; the others are counted. Trades of a snapshot are not new."""
        ticks = [
            valid
            for tick in batch.ticks
            if (valid := tick if isinstance(tick, ValidTick) else self._validate(tick)) is not None
        ]
        if batch.is_snapshot:
            return [msgspec.structs.replace(tick, last_size=None) for tick in ticks]
        return ticks

    def _validate(self, tick: object) -> ValidTick | None:
        if not isinstance(tick, Tick):
            self._faults.record(FeedFault.NOT_A_TICK, f"{show_value(tick)} is no Tick")
            return None
        try:
            return validate_tick(tick, lambda error: self._count(tick.symbol, error))
        except InvalidValue as error:
            self._count(tick.symbol, error)
            return None

    def _count(self, symbol: object, error: InvalidValue) -> None:
        self._faults.record(error.reason, f"a tick of {show_value(symbol)}: {error}")

    def _forget_quotes(self) -> None:
        """Keep the volumes of the day, and nothing that may have changed unheard."""
        self._books = {symbol: forget_quote(book) for symbol, book in self._books.items()}
        self._unpublished_symbols.clear()
        self._publisher.withdraw_all()

    async def _publish_changes(self) -> None:
        changed, self._unpublished_symbols = self._unpublished_symbols, {}
        await self._publisher.publish(self._build_updates(changed))

    def _build_updates(self, symbols: Iterable[str]) -> list[PriceUpdated]:
        now, day, updates = self._now(), self._trades.day, list[PriceUpdated]()
        for symbol in symbols:
            book = self._books[symbol]
            if book.bid is None or book.ask is None:
                continue  # its trades are reported by its first quote
            previous = self._last_quote_times.get(symbol)
            at = _distinct_time(now, previous)
            trades = self._trades.pop_reportable(symbol, book.last)
            update = build_price_updated(book, at, previous, day=day, trades=trades)
            if update is not None:
                self._last_quote_times[symbol] = at
                updates.append(update)
        return updates


def _distinct_time(now: datetime, previous: datetime | None) -> datetime:
    """The time of a symbol's next quote: `follows` must name one quote, also where the clock did
    not advance."""
    if previous is None or now > previous or now <= previous - MAX_TIME_CORRECTION:
        return now
    return previous + MIN_TIME_STEP


def _describe(error: Exception) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= MAX_ERROR_CHARACTERS else f"{text[:MAX_ERROR_CHARACTERS]}…"
