"""Publishes what a feed tells as quotes, under a lease, so that one process does at a time.

`Prices.work` plays the feed: each bunch of ticks is folded into the books of its symbols, and what
changed is posted to MARKET under the symbol's token. Beside it runs `_mend`: a post may be lost,
and MARKET lives in the server's memory and is empty after a restart, so every few seconds, and at
once when NATS is back, the stored quotes are compared with ours and the differing ones are posted
again. A quote posted again is the same to the byte, its timestamp included: whoever has seen it may
ignore it, and must not take it for a new offer.
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
from tapewire.events import CODEC
from tapewire.log import LogError, Values, token
from tapewire.runtime import Context

LEASE = "price-feed"
STATUS = "status"
MEND_SECONDS = 5.0
"""How long a lost quote of a quiet symbol stays lost, at the most."""
RETRY_SECONDS = 0.5
"""After MARKET could not be read."""
POSTS_AT_ONCE = 256
"""Quotes posted before the event loop has a turn."""


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
        self._market = market
        self._logger = logger
        self._now = now
        self._mend_seconds = mend_seconds
        self._books: dict[str, Book] = {}
        self._quotes: dict[str, bytes] = {}
        """The latest quote by symbol token, as it is stored."""
        self._nudge = asyncio.Event()
        self._playing = False
        self._lost = 0

    async def work(self) -> None:
        """Play and publish until canceled. When called again it goes on where it was; quotes stay
        published after a feed's end.

        Raises:
            FeedError: the feed cannot be played on.
        """
        self._logger.info("prices.playing", feed=self._feed.progress().name)
        self._playing = True
        self._nudge.set()
        try:
            await _all(self._play(), self._mend())
        finally:
            self._playing = False

    def nudge(self, connected: bool = True) -> None:
        """NATS is back (or not): look at once for what it lost."""
        if connected:
            self._nudge.set()

    async def status(self, _request: AskStatus, _context: Context) -> Status:
        """The endpoint `status`."""
        return Status(
            playing=self._playing,
            symbols=sorted(self._books),
            lost=self._lost,
            feed=self._feed.progress(),
        )

    async def _play(self) -> None:
        async with contextlib.aclosing(self._feed.beats()) as beats:
            async for beat in beats:
                if beat.opens:
                    self._books.clear()
                # All of a beat is folded before the first wait: being canceled loses no volume.
                changed = dict.fromkeys(tick.symbol for tick in beat.ticks)
                for tick in beat.ticks:
                    book = self._books.get(tick.symbol) or Book(symbol=tick.symbol)
                    self._books[tick.symbol] = fold(book, tick)
                await self._publish(changed)
        self._logger.info("prices.feed_ended", symbols=len(self._books))

    async def _publish(self, symbols: Iterable[str]) -> None:
        at = self._now()
        keys = []
        for symbol in symbols:
            update = quote(self._books[symbol], at)
            if update is not None:
                keys.append(key := token(symbol))
                self._quotes[key] = CODEC.encode(update)
        await self._post(keys)

    async def _post(self, keys: Iterable[str]) -> None:
        for number, key in enumerate(keys, start=1):
            try:
                await self._market.post(key, self._quotes[key])
            except LogError:
                self._lost += 1  # the connection has logged its loss; `_mend` posts again
            if number % POSTS_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _mend(self) -> None:
        wait = self._mend_seconds
        trouble: LogError | None = None
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._nudge.wait()
            self._nudge.clear()
            before, trouble = trouble, await self._compare()
            wait = RETRY_SECONDS if trouble else self._mend_seconds
            if trouble and not before:
                self._logger.warning("prices.market_unreadable", error=str(trouble))
            if before and not trouble:
                self._logger.info("prices.market_readable_again")

    async def _compare(self) -> LogError | None:
        """Post again what MARKET does not hold; why that was not possible."""
        ours = self._quotes.copy()
        try:
            stored = await self._market.all()
        except LogError as error:
            return error
        # What was published while MARKET was read is for the next comparison.
        await self._post(
            key
            for key, data in ours.items()
            if stored.get(key) != data and self._quotes[key] is data
        )
        return None


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
