"""Plays a feed: folds its ticks into books and publishes the quotes that changed.

`FeedRunner.run` is the work that the lease protects. It consumes the feed and, beside that, lets
the publisher repair the stored quotes.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime
from typing import Any

from structlog.typing import FilteringBoundLogger

from tapewire.events import PriceUpdated
from tapewire_services.prices.domain import TopOfBook, apply_tick, build_price_updated
from tapewire_services.prices.feed import MarketDataFeed
from tapewire_services.prices.publisher import PriceUpdatePublisher

FEED_SILENCE_SECONDS = 5.0
"""A feed without a quote of any symbol for so long is silent."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def _clock() -> float:
    return asyncio.get_running_loop().time()


class FeedRunner:
    """Holds the books of all symbols. They survive from one `run` to the next."""

    def __init__(
        self,
        feed: MarketDataFeed,
        publisher: PriceUpdatePublisher,
        *,
        logger: FilteringBoundLogger,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.is_playing = False
        self._feed = feed
        self._publisher = publisher
        self._logger = logger
        self._now = now
        self._books: dict[str, TopOfBook] = {}
        self._last_quote_times: dict[str, datetime] = {}
        self._unpublished_symbols: dict[str, None] = {}
        self._quoted_at = 0.0

    def find_silence(self) -> str | None:
        """That the feed is silent while it plays; None if it is not. The text does not change,
        since every change is reported."""
        if not self.is_playing or _clock() - self._quoted_at < FEED_SILENCE_SECONDS:
            return None
        return f"the feed is silent: no quote for more than {FEED_SILENCE_SECONDS:.0f} s"

    def symbols(self) -> list[str]:
        """The symbols that have a book, sorted."""
        return sorted(self._books)

    async def run(self) -> None:
        """Play and publish until canceled. A second call continues where the first one stopped.

        Quotes stay published after the feed has ended.

        Raises:
            FeedError: The feed cannot be played any further.
        """
        self._logger.info("feed.started", feed=self._feed.progress().name)
        self.is_playing, self._quoted_at = True, _clock()
        self._publisher.request_repair()
        try:
            await _run_until_failure(self._consume_feed(), self._publisher.run_repair())
        finally:
            self.is_playing = False

    async def _consume_feed(self) -> None:
        async with contextlib.aclosing(self._feed.stream_batches()) as batches:
            async for batch in batches:
                if batch.is_day_start:
                    self._books.clear()
                # Fold the whole batch before the first await: cancellation then loses no volume.
                self._unpublished_symbols |= dict.fromkeys(tick.symbol for tick in batch.ticks)
                for tick in batch.ticks:
                    book = self._books.get(tick.symbol) or TopOfBook(symbol=tick.symbol)
                    self._books[tick.symbol] = apply_tick(book, tick)
                if not batch.is_catch_up:
                    await self._publish_changes()
        await self._publish_changes()
        self._logger.info("feed.ended", symbols=len(self._books))

    async def _publish_changes(self) -> None:
        changed, self._unpublished_symbols = self._unpublished_symbols, {}
        await self._publisher.publish(self._build_updates(changed))

    def _build_updates(self, symbols: Iterable[str]) -> list[PriceUpdated]:
        at, updates = self._now(), list[PriceUpdated]()
        for symbol in symbols:
            previous = self._last_quote_times.get(symbol)
            update = build_price_updated(self._books[symbol], at, follows=previous)
            if update is not None:
                self._last_quote_times[symbol] = at
                updates.append(update)
        if updates:
            self._quoted_at = _clock()
        return updates


async def _run_until_failure(*works: Coroutine[Any, Any, None]) -> None:
    """Run all `works`. The first failure cancels the others and is raised as it is, ungrouped."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
