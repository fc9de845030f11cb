"""Plays a feed: folds its ticks into books and publishes the quotes that changed.

`FeedRunner.run` is the work that the lease protects. Each batch of the feed, an empty one too, is a
sign that the feed hears its market: the changed quotes are published, and the others confirmed.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from structlog.typing import FilteringBoundLogger

from tapewire.events import PriceUpdated
from tapewire.log.freshness import DEFAULT_STALE_SECONDS
from tapewire_services.prices.day_trades import DayTrades
from tapewire_services.prices.domain import TopOfBook, apply_tick, build_price_updated
from tapewire_services.prices.feed import MarketDataFeed
from tapewire_services.prices.publisher import PriceUpdatePublisher

MIN_TIME_STEP = timedelta(microseconds=1)
MAX_TIME_CORRECTION = timedelta(seconds=1)
"""A clock that is set back by more is followed."""
SILENCE_POLL_SECONDS = 0.2


def utc_now() -> datetime:
    return datetime.now(UTC)


def _clock() -> float:
    return asyncio.get_running_loop().time()


class FeedRunner:
    """Holds the books of all symbols. They survive from one `run` to the next. A feed of which
    nothing is heard for `stale_seconds` is silent."""

    def __init__(
        self,
        feed: MarketDataFeed,
        publisher: PriceUpdatePublisher,
        trades: DayTrades,
        *,
        logger: FilteringBoundLogger,
        now: Callable[[], datetime] = utc_now,
        stale_seconds: float = DEFAULT_STALE_SECONDS,
    ) -> None:
        self.is_playing = False
        self._stale_seconds = stale_seconds
        self._feed = feed
        self._publisher = publisher
        self._trades = trades
        self._logger = logger
        self._now = now
        self._books: dict[str, TopOfBook] = {}
        self._last_quote_times: dict[str, datetime] = {}
        self._unpublished_symbols: dict[str, None] = {}
        self._heard_at = 0.0

    def find_silence(self) -> str | None:
        """That the feed is silent while it plays; None if it is not. The text does not change,
        since every change is reported."""
        if not self.is_playing or _clock() - self._heard_at < self._stale_seconds:
            return None
        return f"the feed is silent: nothing heard for more than {self._stale_seconds:g} s"

    async def watch_silence(self, on_change: Callable[[], None]) -> None:
        """Call `on_change` whenever the feed falls silent or is heard again, until canceled."""
        before = self.find_silence()
        while True:
            await asyncio.sleep(SILENCE_POLL_SECONDS)
            before, last = self.find_silence(), before
            if before != last:
                on_change()

    def symbols(self) -> list[str]:
        """The symbols that have a book, sorted."""
        return sorted(self._books)

    async def run(self) -> None:
        """Play and publish until canceled. A second call continues where the first one stopped,
        and publishes every quote anew once the feed is heard: another process may have played.

        Quotes are not confirmed any more after the feed has ended, so they become stale.

        Raises:
            FeedError: The feed cannot be played any further.
        """
        self._logger.info("feed.started", feed=self._feed.progress().name)
        self.is_playing, self._heard_at = True, _clock()
        self._publisher.withdraw_all()
        self._unpublished_symbols |= dict.fromkeys(self._books)
        try:
            await self._consume_feed()
            await asyncio.Event().wait()  # the lease is kept: another process would play again
        finally:
            self.is_playing = False

    async def _consume_feed(self) -> None:
        async with contextlib.aclosing(self._feed.stream_batches()) as batches:
            async for batch in batches:
                self._heard_at = _clock()
                if batch.is_day_start:
                    self._books.clear()
                    self._publisher.withdraw_all()
                    self._trades.begin_day()
                # Fold the whole batch before the first await: cancellation then loses no volume.
                self._unpublished_symbols |= dict.fromkeys(tick.symbol for tick in batch.ticks)
                for tick in batch.ticks:
                    book = self._books.get(tick.symbol) or TopOfBook(symbol=tick.symbol)
                    self._books[tick.symbol] = apply_tick(book, tick)
                    if not batch.is_catch_up:
                        self._trades.add(tick)
                if not batch.is_catch_up:
                    await self._publish_changes()
                    await self._publisher.confirm_due()
        self._logger.info("feed.ended", symbols=len(self._books))

    async def _publish_changes(self) -> None:
        changed, self._unpublished_symbols = self._unpublished_symbols, {}
        await self._publisher.publish(self._build_updates(changed))

    def _build_updates(self, symbols: Iterable[str]) -> list[PriceUpdated]:
        now, updates = self._now(), list[PriceUpdated]()
        for symbol in symbols:
            previous = self._last_quote_times.get(symbol)
            at = _distinct_time(now, previous)
            update = self._build_update(self._books[symbol], at, previous)
            if update is not None:
                self._last_quote_times[symbol] = at
                updates.append(update)
        return updates

    def _build_update(
        self, book: TopOfBook, at: datetime, previous: datetime | None
    ) -> PriceUpdated | None:
        if book.bid is None or book.ask is None:
            return None  # its trades are reported by its first quote
        trades = self._trades.pop_reportable(book.symbol, book.last)
        return build_price_updated(book, at, previous, day=self._trades.day, trades=trades)


def _distinct_time(now: datetime, previous: datetime | None) -> datetime:
    """The time of a symbol's next quote: `follows` must name one quote, also where the clock did
    not advance."""
    if previous is None or not previous - MAX_TIME_CORRECTION < now <= previous:
        return now
    return previous + MIN_TIME_STEP
