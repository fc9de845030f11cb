"""Publishes what a feed tells as quotes, under a lease, so that one process does at a time.

`Prices.work` plays the feed: each bunch of ticks is folded into the books of its symbols, and what
changed is posted to MARKET under the symbol's token, and kept there (`posting`). A recording that
moves only when asked is another matter: `stepping`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from structlog.typing import FilteringBoundLogger

from tapewire.events import PriceUpdated
from tapewire.log import LatestValueStore
from tapewire.runtime import RequestContext
from tapewire_services.prices.domain import TopOfBook, apply_tick, build_price_updated
from tapewire_services.prices.feed import FeedProgress, MarketDataFeed
from tapewire_services.prices.price_update_publisher import (
    REPAIR_INTERVAL_SECONDS,
    PriceUpdatePublisher,
)

LEASE_NAME = "price-feed"
STATUS_ENDPOINT = "status"


class GetStatus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How is the feed? Answered by `Status`, by any process of the service."""


class Status(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One process of the service. `playing` says that it holds the lease: the others stand by and
    have nothing to tell. `lost` counts quotes that could not be posted (no connection)."""

    playing: bool
    symbols: list[str]
    lost: int
    feed: FeedProgress


def utc_now() -> datetime:
    return datetime.now(UTC)


class PricesService:
    """The service: a feed, the books folded from it, and the quotes published last."""

    def __init__(
        self,
        feed: MarketDataFeed,
        market: LatestValueStore,
        *,
        logger: FilteringBoundLogger,
        now: Callable[[], datetime] = utc_now,
        repair_interval_seconds: float = REPAIR_INTERVAL_SECONDS,
    ) -> None:
        self._feed = feed
        self._publisher = PriceUpdatePublisher(
            market, logger=logger, repair_interval_seconds=repair_interval_seconds
        )
        self._logger = logger
        self._now = now
        self._books: dict[str, TopOfBook] = {}
        self._last_quote_times: dict[str, datetime] = {}
        """When each symbol was published last."""
        self._unpublished_symbols: dict[str, None] = {}
        self._is_playing = False

    async def run(self) -> None:
        """Play and publish until canceled. When called again it goes on where it was; quotes stay
        published after a feed's end.

        Raises:
            FeedError: the feed cannot be played on.
        """
        self._logger.info("prices.playing", feed=self._feed.progress().name)
        self._is_playing = True
        self._publisher.request_repair()
        try:
            await _run_until_failure(self._consume_feed(), self._publisher.run_repair())
        finally:
            self._is_playing = False

    def on_connection_state(self, is_connected: bool = True) -> None:
        """NATS is back (or not): look at once for what it lost."""
        self._publisher.request_repair(is_connected)

    async def status(self, _request: GetStatus, _context: RequestContext) -> Status:
        """The endpoint `status`."""
        return Status(
            playing=self._is_playing,
            symbols=sorted(self._books),
            lost=self._publisher.lost_count,
            feed=self._feed.progress(),
        )

    async def _consume_feed(self) -> None:
        async with contextlib.aclosing(self._feed.stream_batches()) as beats:
            async for beat in beats:
                if beat.is_day_start:
                    self._books.clear()
                # All of a beat is folded before the first wait: being canceled loses no volume.
                self._unpublished_symbols |= dict.fromkeys(tick.symbol for tick in beat.ticks)
                for tick in beat.ticks:
                    book = self._books.get(tick.symbol) or TopOfBook(symbol=tick.symbol)
                    self._books[tick.symbol] = apply_tick(book, tick)
                if not beat.is_catch_up:
                    await self._publish_changes()
        await self._publish_changes()
        self._logger.info("prices.feed_ended", symbols=len(self._books))

    async def _publish_changes(self) -> None:
        """What changed since the last time."""
        changed, self._unpublished_symbols = self._unpublished_symbols, {}
        await self._publisher.publish(self._build_updates(changed))

    def _build_updates(self, symbols: Iterable[str]) -> list[PriceUpdated]:
        """What there is to publish of `symbols` now."""
        at, updates = self._now(), list[PriceUpdated]()
        for symbol in symbols:
            update = build_price_updated(
                self._books[symbol], at, follows=self._last_quote_times.get(symbol)
            )
            if update is not None:
                self._last_quote_times[symbol] = at
                updates.append(update)
        return updates


async def _run_until_failure(*works: Coroutine[Any, Any, None]) -> None:
    """Run all of them; the first failure ends the others and is raised as it is, in no group."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
