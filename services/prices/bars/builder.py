"""Builds bars: reads every quote, folds it, and stores the result. Start at `BarBuilder.run`."""

import asyncio
import contextlib

import msgspec
from structlog.typing import FilteringBoundLogger

from tapewire.log import LogError
from tapewire.log.backoff import Backoff, new_rng
from tapewire.log.jetstream.bar_streams import BarStore, QuoteHistory
from tapewire_services.prices.bars.book import BarBook

READ_INTERVAL_SECONDS = 0.1
"""The wait at the end of the quotes. New ones are in the bars that late at most."""
STORE_INTERVAL_SECONDS = 10.0
MAX_UNSTORED_QUOTES = 50_000
"""Quotes after which bars are stored earlier: the next owner must find all of them in QUOTES."""
CHECK_INTERVAL_SECONDS = 2.0
"""How often it is checked that the quotes continue: QUOTES is kept in memory."""
QUOTES_PER_TURN = 256
"""Quotes folded before other tasks get a turn."""
STOP_SECONDS = 2.0
"""How long storing may take when the process stops."""
MAX_SILENCE_SECONDS = 10.0
"""A builder that could not read for so long is reported."""


def _clock() -> float:
    return asyncio.get_running_loop().time()


class BarBuilder:
    """Builds the bars of `book` while `run` runs."""

    def __init__(
        self,
        book: BarBook,
        quotes: QuoteHistory,
        store: BarStore,
        *,
        logger: FilteringBoundLogger,
        store_interval_seconds: float = STORE_INTERVAL_SECONDS,
    ) -> None:
        self.missed_quote_count = 0
        self._book = book
        self._quotes = quotes
        self._store = store
        self._logger = logger
        self._store_interval_seconds = store_interval_seconds
        self._is_running = False
        self._read_at = self._stored_at = self._checked_at = 0.0
        self._must_check = True

    def request_check(self, _is_connected: bool = True) -> None:
        """Check that the quotes continue before the next one is read. A connection state
        listener."""
        self._must_check = True

    def find_problem(self) -> str | None:
        """Why bars stand still although this process builds them; None if they do not."""
        if not self._is_running or _clock() - self._read_at < MAX_SILENCE_SECONDS:
            return None
        return f"no quotes could be read for bars for more than {MAX_SILENCE_SECONDS:.0f} s"

    async def run(self) -> None:
        """Build bars until canceled. What cannot be read or stored now is tried again, from the
        last position that was stored."""
        self._is_running, self._read_at = True, _clock()
        backoff = Backoff(new_rng())
        try:
            while True:
                try:
                    await self._restore()
                    await self._build()
                except LogError as error:
                    self._logger.warning("bars.interrupted", error=str(error))
                    await backoff.wait()
        finally:
            self._is_running = False

    async def _restore(self) -> None:
        states, position = await self._store.claim()
        bounds = await self._quotes.bounds()
        self._book.restore(states, position, bounds.epoch)
        self._must_check = True
        self._stored_at = _clock()
        self._logger.info(
            "bars.restored", symbols=self._book.symbol_count(), after=self._book.position.sequence
        )

    async def _build(self) -> None:
        try:
            while True:
                await self._check_history()
                if not await self._read_page():
                    await asyncio.sleep(READ_INTERVAL_SECONDS)
                if self._is_store_due():
                    await self._store_unsaved()
        except asyncio.CancelledError:
            with contextlib.suppress(LogError, TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await self._store_unsaved()
            raise

    async def _check_history(self) -> None:
        """Notice that QUOTES began anew, or that quotes were dropped before they were read."""
        if not self._must_check and _clock() - self._checked_at < CHECK_INTERVAL_SECONDS:
            return
        self._must_check = False
        bounds = await self._quotes.bounds()
        self._checked_at = _clock()
        position = self._book.position
        if bounds.epoch != position.epoch:
            self._logger.info("bars.history_began", epoch=bounds.epoch)
            self._book.begin_history(bounds.epoch)
        elif position.sequence and bounds.first > position.sequence + 1:
            missed = bounds.first - position.sequence - 1
            self.missed_quote_count += missed
            self._logger.warning("bars.quotes_missed", count=missed)

    async def _read_page(self) -> bool:
        """Fold the next quotes; whether there may be more."""
        page = await self._quotes.read_after(self._book.position.sequence)
        self._read_at = _clock()
        for number, stored in enumerate(page, start=1):
            try:
                self._book.add_quote(stored)
            except msgspec.DecodeError as error:
                self._logger.warning("bars.quote_undecodable", error=str(error))
            if number % QUOTES_PER_TURN == 0:
                await asyncio.sleep(0)
        return len(page) >= QUOTES_PER_TURN

    def _is_store_due(self) -> bool:
        count = self._book.unsaved_quote_count
        is_time = _clock() - self._stored_at >= self._store_interval_seconds
        return count >= MAX_UNSTORED_QUOTES or (is_time and count > 0)

    async def _store_unsaved(self) -> None:
        records, position = self._book.collect_unsaved()
        await self._store.store(records, position)
        self._stored_at = _clock()
