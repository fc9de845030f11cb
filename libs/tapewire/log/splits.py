"""Splits of symbols in the journal, and a follower that tells a process of every split.

Start at `SplitFollower`.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from datetime import datetime

import structlog

from tapewire.events import (
    CATALOGUE,
    SplitExecuted,
    SplitRatio,
    Undecodable,
    UnknownType,
)
from tapewire.events.splits import SPLIT_DOMAINS, SPLITS_DOMAIN
from tapewire.log.backoff import jittered, retry
from tapewire.log.ports import EventDraft, EventLog, EventMetadata, RecordedEvent, Subscription
from tapewire.log.subjects import EVERYBODY, EventSubject, pattern

SPLITS_FILTER = pattern(owner=EVERYBODY, domain=SPLITS_DOMAIN)
POLL_SECONDS = 2.0
"""Time between reads without a notification, before jitter."""
_SPLIT_TAG = CATALOGUE.tag_of(SplitExecuted)

logger = structlog.get_logger("tapewire.splits")


def split_of(recorded: RecordedEvent) -> SplitExecuted | None:
    """The split that `recorded` is; None for any other event."""
    if recorded.tag != _SPLIT_TAG:
        return None
    try:
        event = recorded.event
    except (UnknownType, Undecodable):
        return None
    return event if isinstance(event, SplitExecuted) else None


async def read_splits(log: EventLog, symbol: str) -> list[RecordedEvent]:
    """The splits of `symbol`, the oldest first. Raises LogError."""
    subject = EventSubject(EVERYBODY, SPLITS_DOMAIN, symbol)
    page = await log.page(str(subject), after=0)
    return [one for one in page.events if split_of(one) is not None]


def make_split_drafts(split: SplitExecuted, last_sequence: int) -> list[EventDraft]:
    """The events to append, one for each domain, as one batch. `last_sequence` is that of the
    symbol's split before it, 0 without one."""
    return [
        EventDraft(
            subject=EventSubject(EVERYBODY, domain, split.symbol),
            event=split,
            metadata=EventMetadata(id=f"{split.split_id}.{domain}", correlation=split.split_id),
            expected_sequence=last_sequence if domain == SPLITS_DOMAIN else None,
        )
        for domain in SPLIT_DOMAINS
    ]


def make_split(
    split_id: str,
    symbol: str,
    ratio: SplitRatio,
    number: int,
    quotes: tuple[str, int],
    at: datetime,
) -> SplitExecuted:
    """The split; `quotes` are the epoch and the last sequence of the market stream."""
    return SplitExecuted(
        split_id=split_id,
        symbol=symbol,
        ratio=ratio,
        number=number,
        quotes_epoch=quotes[0],
        quotes_sequence=quotes[1],
        timestamp=at,
    )


class SplitQuotes:
    """Tells the quotes of the shares before a split from those after it."""

    def __init__(self) -> None:
        self._last: dict[str, SplitExecuted] = {}

    def add(self, split: SplitExecuted) -> bool:
        """Take note of `split`. Returns whether it is new."""
        known = self._last.get(split.symbol)
        if known is not None and known.number >= split.number:
            return False
        self._last[split.symbol] = split
        return True

    def count(self, symbol: str) -> int:
        """How many splits of `symbol` are known."""
        split = self._last.get(symbol)
        return 0 if split is None else split.number

    def is_before_split(
        self, symbol: str, epoch: str | None, sequence: int, timestamp: datetime | None
    ) -> bool:
        """Whether the quote at `sequence` of the market stream named `epoch` is of the shares
        before the last split. Of one that was read from disk (0), only its `timestamp` is known."""
        split = self._last.get(symbol)
        if split is None:
            return False
        if not sequence:
            return timestamp is None or timestamp <= split.timestamp
        return epoch == split.quotes_epoch and sequence <= split.quotes_sequence


class SplitFollower:
    """Calls `on_split` with every split in the journal, the oldest first, and with each new one
    within moments."""

    def __init__(
        self, log: EventLog, on_split: Callable[[SplitExecuted], None], rng: random.Random
    ) -> None:
        self._log = log
        self._on_split = on_split
        self._rng = rng
        self._as_of = 0
        self._wake = asyncio.Event()
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Subscribe, and read all splits. Raises LogError."""
        if self._subscription is None:
            self._subscription = await self._log.subscribe(
                SPLITS_FILTER, self._receive, lambda _: self._wake.set()
            )
        await self._read()

    async def run(self) -> None:
        """Follow the journal until cancelled; `start` need not have been called."""
        try:
            if self._subscription is None:
                await retry(self.start, self._rng, logger, "splits.read_failed")
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(jittered(POLL_SECONDS, self._rng)):
                        await self._wake.wait()
                self._wake.clear()
                await retry(self._read, self._rng, logger, "splits.read_failed")
        finally:
            await self.close()

    async def close(self) -> None:
        """Unsubscribe."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.close()

    def _receive(self, recorded: RecordedEvent) -> None:
        split = split_of(recorded)
        if split is not None:
            self._on_split(split)
        self._wake.set()

    async def _read(self) -> None:
        last = await self._log.last_sequence(SPLITS_FILTER)
        if last < self._as_of:
            self._as_of = 0  # the journal was recreated
        while self._as_of < last:
            page = await self._log.page(SPLITS_FILTER, after=self._as_of)
            for recorded in page.events:
                split = split_of(recorded)
                if split is not None:
                    self._on_split(split)
                self._as_of = recorded.sequence
            if not page.events:
                return  # a replica lags: the next read has it
