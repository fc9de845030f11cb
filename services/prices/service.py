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

from services.prices.domain import Book, fold, quote
from services.prices.feed import Feed, Progress
from services.prices.posting import MEND_SECONDS, Posting
from tapewire.events import PriceUpdated
from tapewire.log import Values
from tapewire.runtime import Context

LEASE = "price-feed"
STATUS = "status"


class AskStatus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How is the feed? Answered by `Status`, by any process of the service."""


class Status(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One process of the service. `playing` says that it holds the lease: the others stand by and
    have nothing to tell. `lost` counts quotes that could not be posted (no connection)."""

    playing: bool
    symbols: list[str]
    lost: int
    feed: Progress


def utc_now() -> datetime:
    return datetime.now(UTC)


class Prices:
    """The service: a feed, the books folded from it, and the quotes published last."""

    def __init__(
        self,
        feed: Feed,
        market: Values,
        *,
        logger: FilteringBoundLogger,
        now: Callable[[], datetime] = utc_now,
        mend_seconds: float = MEND_SECONDS,
    ) -> None:
        self._feed = feed
        self._posting = Posting(market, logger=logger, mend_seconds=mend_seconds)
        self._logger = logger
        self._now = now
        self._books: dict[str, Book] = {}
        self._quoted: dict[str, datetime] = {}
        """When each symbol was published last."""
        self._unpublished: dict[str, None] = {}
        self._playing = False

    async def work(self) -> None:
        """Play and publish until canceled. When called again it goes on where it was; quotes stay
        published after a feed's end.

        Raises:
            FeedError: the feed cannot be played on.
        """
        self._logger.info("prices.playing", feed=self._feed.progress().name)
        self._playing = True
        self._posting.nudge()
        try:
            await _all(self._play(), self._posting.mend())
        finally:
            self._playing = False

    def nudge(self, connected: bool = True) -> None:
        """NATS is back (or not): look at once for what it lost."""
        self._posting.nudge(connected)

    async def status(self, _request: AskStatus, _context: Context) -> Status:
        """The endpoint `status`."""
        return Status(
            playing=self._playing,
            symbols=sorted(self._books),
            lost=self._posting.lost,
            feed=self._feed.progress(),
        )

    async def _play(self) -> None:
        async with contextlib.aclosing(self._feed.beats()) as beats:
            async for beat in beats:
                if beat.opens:
                    self._books.clear()
                # All of a beat is folded before the first wait: being canceled loses no volume.
                self._unpublished |= dict.fromkeys(tick.symbol for tick in beat.ticks)
                for tick in beat.ticks:
                    book = self._books.get(tick.symbol) or Book(symbol=tick.symbol)
                    self._books[tick.symbol] = fold(book, tick)
                if not beat.past:
                    await self._publish()
        await self._publish()
        self._logger.info("prices.feed_ended", symbols=len(self._books))

    async def _publish(self) -> None:
        """What changed since the last time."""
        changed, self._unpublished = self._unpublished, {}
        await self._posting.post(self._updates(changed))

    def _updates(self, symbols: Iterable[str]) -> list[PriceUpdated]:
        """What there is to publish of `symbols` now."""
        at, updates = self._now(), list[PriceUpdated]()
        for symbol in symbols:
            update = quote(self._books[symbol], at, follows=self._quoted.get(symbol))
            if update is not None:
                self._quoted[symbol] = at
                updates.append(update)
        return updates


async def _all(*works: Coroutine[Any, Any, None]) -> None:
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
