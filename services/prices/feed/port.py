"""The port of market data: ticks in bunches, as they fall due."""

from collections.abc import AsyncGenerator, Iterator
from typing import Protocol

import msgspec

from tapewire_services.prices.domain import MalformedLine, Tick


class FeedError(Exception):
    """Market data that cannot be played. The message says which, why, and what to do."""


class TickBatch(msgspec.Struct, frozen=True):
    """Ticks that are due now, in order. `opens`: a new day begins with them, so that volumes and
    changes start over. `past`: they were played by another process, and are not to be published,
    only what they led to."""

    ticks: tuple[Tick, ...]
    is_day_start: bool = False
    is_catch_up: bool = False


class FeedProgress(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How far a feed has come. `rows` and `malformed` count since the process started, `day` the
    days begun; `ms` is the time of the last tick, in milliseconds since the feed's midnight.
    `ended`: no more will come."""

    name: str
    rows: int
    malformed: int
    day: int
    ms: int
    ended: bool


class MarketDataFeed(Protocol):
    """What the price service publishes from. A vendor's adapter is one of these."""

    def stream_batches(self) -> AsyncGenerator[TickBatch, None]:
        """Ticks as they fall due. Ends when the feed does. When it was closed early, a second call
        goes on where the first one was left: no tick is skipped or given twice.

        Raises:
            FeedError: the data cannot be played on.
        """

    def progress(self) -> FeedProgress: ...

    async def close(self) -> None:
        """Let go of files and connections. `beats` ends, or is not running any more."""


class TickSource(Protocol):
    """Ticks that carry their own time, a day at a time, for `Replay` to play."""

    @property
    def name(self) -> str: ...

    def read_day(self) -> Iterator[Tick | MalformedLine]:
        """The ticks of the next day, in order of time. May raise FeedError."""
