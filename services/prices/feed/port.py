"""The port for market data: ticks in batches, as they fall due."""

from collections.abc import AsyncGenerator, Iterator
from typing import Protocol

import msgspec

from tapewire_services.prices.domain import MalformedLine, Tick

HEARTBEAT_SECONDS = 0.25
"""The longest time between two batches of a feed that hears its market."""


class FeedError(Exception):
    """The market data cannot be played. The message says which data, why, and what to do."""


class TickBatch(msgspec.Struct, frozen=True):
    """Ticks that are due now, in order.

    `is_day_start`: a new day begins with them, so volumes and changes start over.
    `is_catch_up`: another process has played them; fold them, but do not publish them.
    """

    ticks: tuple[Tick, ...]
    is_day_start: bool = False
    is_catch_up: bool = False


class FeedProgress(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How far a feed has played.

    `rows` and `malformed` count since the process started. `malformed_by_reason` says what could
    not be taken, in the words of `LineFault` and `tapewire.values.FaultReason`. `day` counts the
    days begun, and `ms` is the time of the last tick in milliseconds since the feed's midnight.
    `ended` is true when no more ticks will come.
    """

    name: str
    rows: int
    malformed: int
    day: int
    ms: int
    ended: bool
    malformed_by_reason: dict[str, int] = {}


class MarketDataFeed(Protocol):
    """What the price service publishes from. A vendor's adapter implements it."""

    def stream_batches(self) -> AsyncGenerator[TickBatch, None]:
        """Yield ticks as they fall due, until the feed ends.

        Every batch says that the feed hears its market, and vouches for the quotes that it does not
        change. Yield an empty batch every `HEARTBEAT_SECONDS` while nothing changes, and nothing
        while the market cannot be heard: its quotes then become stale.

        If the generator was closed early, a second call continues where the first one stopped: it
        neither skips nor repeats a tick.

        Raises:
            FeedError: The data cannot be played any further.
        """

    def progress(self) -> FeedProgress: ...

    async def close(self) -> None:
        """Release files and connections. Ends `stream_batches`, if it still runs."""


class TickSource(Protocol):
    """Ticks that carry their own time, one day at a time, for `ReplayFeed` to play."""

    @property
    def name(self) -> str: ...

    def read_day(self) -> Iterator[Tick | MalformedLine]:
        """Yield the ticks of the next day in order of time. May raise FeedError."""
