"""The newest bars of the series that streams show.

Every bar of every symbol would be many times what is watched. The feed therefore asks the owner of
the bars a few times a second for the watched series: for each one from its newest known bar on. The
answer has what was closed meanwhile and the open bar, so none is missed, also not while the owner
is replaced. Start at `BarFeed.run`.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Container, Iterable

import msgspec
import structlog

from tapewire.log import CommandRejected, LogError
from tapewire.log.backoff import jittered
from tapewire.log.light_objects import LightEvent, OnExit
from tapewire.runtime import RequestTimeout
from tapewire.runtime.contracts.bars import (
    INTERVAL_SECONDS,
    MAX_NEWEST_BARS,
    MAX_SERIES,
    Bar,
    BarInterval,
    GetNewestBars,
    NewestBars,
    SeriesRequest,
)

POLL_INTERVAL_SECONDS = 0.25
RETRY_INTERVAL_SECONDS = 0.5
LINGER_SECONDS = 30.0
"""How long a series is followed after its last reader, who may be a client that polls."""
BAR_KEYS = 16
"""Values of one series that are newest-wins on their own: a reader who falls behind by more bars
misses closed ones, and asks for them by `/api/bars`."""

logger = structlog.get_logger("edge.bar_feed")


class BarSeries(msgspec.Struct, frozen=True, order=True):
    """The bars of one symbol and interval."""

    symbol: str
    interval: BarInterval

    def __str__(self) -> str:
        return f"{self.symbol}:{self.interval}"


class KeysOfSeries:
    """The keys of all values of some series."""

    def __init__(self, every: Iterable[BarSeries]) -> None:
        self._names = frozenset(map(str, every))

    def __contains__(self, key: object) -> bool:
        return str(key).rpartition(":")[0] in self._names


def snapshot_key(series: BarSeries) -> str:
    """The key of all bars of a series together."""
    return f"{series}:"


class _FollowedSeries:
    """The bars of a series, the newest last; None until they are known."""

    def __init__(self) -> None:
        self.bars: list[Bar] | None = None
        self.reader_count = 0
        self.released_at = 0.0


class BarFeed:
    """Run it with `run`. `get_newest` asks the owner of the bars. `on_change` is called with the
    key of every bar that has changed."""

    def __init__(
        self,
        get_newest: Callable[[GetNewestBars], Awaitable[NewestBars]],
        on_change: Callable[[str], None],
        rng: random.Random,
    ) -> None:
        self._get_newest = get_newest
        self._on_change = on_change
        self._rng = rng
        self._followed: dict[BarSeries, _FollowedSeries] = {}
        self._poll_requested = LightEvent()
        self._is_failing = False
        self._clock = asyncio.get_running_loop().time

    def watch(self, every: Iterable[BarSeries]) -> OnExit:
        """Follow the series until the end of the context."""
        watched = [self._followed.setdefault(series, _FollowedSeries()) for series in every]
        for followed in watched:
            followed.reader_count += 1
        if any(followed.bars is None for followed in watched):
            self._poll_requested.set()
        return OnExit(self._stop_watching, watched)

    def _stop_watching(self, watched: Iterable[_FollowedSeries]) -> None:
        for followed in watched:
            followed.reader_count -= 1
            followed.released_at = self._clock()

    def snapshot(self, series: BarSeries) -> list[Bar] | None:
        """The newest bars of a series, the oldest first; None while they are not known."""
        followed = self._followed.get(series)
        return None if followed is None else followed.bars

    def changed_bars(self, series: BarSeries, keys: Container[str]) -> list[Bar]:
        """The newest bars of a series whose keys are among `keys`, the oldest first."""
        newest = (self.snapshot(series) or [])[-BAR_KEYS:]
        return [bar for bar in newest if _key(series, bar) in keys]

    async def run(self) -> None:
        """Follow the watched series until cancelled."""
        while True:
            pause = await self._poll()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._poll_requested.wait()

    async def _poll(self) -> float | None:
        """Ask for all watched series. The seconds until the next time, None without a series."""
        self._poll_requested.clear()
        now = self._clock()
        self._followed = {
            series: followed
            for series, followed in self._followed.items()
            if followed.reader_count or now - followed.released_at < LINGER_SECONDS
        }
        if not self._followed:
            return None
        every = list(self._followed.items())
        try:
            for start in range(0, len(every), MAX_SERIES):
                await self._update(every[start : start + MAX_SERIES])
        except (RequestTimeout, CommandRejected, LogError) as error:
            if not self._is_failing:
                logger.warning("bars.request_failed", error=str(error))
            self._is_failing = True
            return jittered(RETRY_INTERVAL_SECONDS, self._rng)
        self._is_failing = False
        return POLL_INTERVAL_SECONDS

    async def _update(self, every: list[tuple[BarSeries, _FollowedSeries]]) -> None:
        requests = tuple(
            SeriesRequest(
                symbol=series.symbol,
                interval=series.interval,
                since=followed.bars[-1].start if followed.bars else None,
            )
            for series, followed in every
        )
        reply = await self._get_newest(GetNewestBars(series=requests))
        for (series, followed), bars in zip(every, reply.series, strict=True):
            self._apply(series, followed, bars)

    def _apply(self, series: BarSeries, followed: _FollowedSeries, bars: list[Bar]) -> None:
        known = followed.bars
        if not known or (bars and bars[0].start > known[-1].start):
            # These are the first bars, or there are more new ones than an answer has.
            if known is None or bars:
                followed.bars = bars
                self._on_change(snapshot_key(series))
            return
        changed = [bar for bar in bars if bar != known[-1]]
        if changed:
            followed.bars = [*known[:-1], *bars][-MAX_NEWEST_BARS:]
        for bar in changed[-BAR_KEYS:]:
            self._on_change(_key(series, bar))


def _key(series: BarSeries, bar: Bar) -> str:
    number = int(bar.start.timestamp()) // INTERVAL_SECONDS[series.interval]
    return f"{series}:{number % BAR_KEYS}"
