"""The board: the newest quote of every symbol, and the lanes that carry them to readers.

One subscription a process hears all quotes. Each quote's frame is made once a family; lanes join
them by what their readers want.
"""

import asyncio
import contextlib
import random
from collections.abc import Iterable
from functools import partial

import msgspec
import structlog

from services.edge.dialects import TRADING, Family
from services.edge.dialects.trading import PriceView, price_view
from services.edge.frames import RETRY_MS, frame
from services.edge.lanes import Outbox, Wants
from services.edge.newest import Lane
from tapewire.events import CODEC, PriceUpdated
from tapewire.log import LogError, Values

MOST_RATE = 10.0
"""Updates a second a symbol that a reader gets at the most."""
RELOAD_SECONDS = 15.0
"""How often all values are read again: the only thing that mends a lost last quote."""
RETRY_SECONDS = 1.0

logger = structlog.get_logger("edge.board")


class Board:
    """Run it by `run`; readers `join` and `leave`."""

    def __init__(
        self,
        market: Values,
        window_seconds: float,
        busy_seconds: float = 0.0,
        *,
        retry_ms: int = RETRY_MS,
    ) -> None:
        self._market = market
        self._retry_ms = retry_ms
        self._windows = window_seconds, busy_seconds
        self._views: dict[str, PriceView] = {}
        self._frames: dict[str, dict[str, bytes]] = {}
        """By family, by symbol; made when first wanted."""
        self._lanes: dict[Wants, Lane] = {}
        self._look = asyncio.Event()

    async def run(self) -> None:
        """Follow the market until cancelled."""
        while True:
            try:
                subscription = await self._market.live(self._hear, self._on_gap)
            except LogError as error:
                logger.warning("cannot follow the market yet", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            try:
                while True:
                    await self._reload()
                    await self._pause()
            finally:
                await subscription.close()

    def prices(self, symbols: frozenset[str] | None) -> list[PriceView]:
        """The newest quotes, by symbol; None is all."""
        return [
            view
            for symbol, view in sorted(self._views.items())
            if symbols is None or symbol in symbols
        ]

    def price(self, symbol: str) -> PriceView | None:
        """The newest quote of `symbol`."""
        return self._views.get(symbol)

    def join(self, outbox: Outbox, wants: Wants, family: Family = TRADING) -> Lane:
        """Let `outbox` have what changes from now on, as `family` tells it."""
        wants = msgspec.structs.replace(wants, told=family.name)
        lane = self._lanes.get(wants)
        if lane is None:
            lane = self._lanes[wants] = Lane(wants, partial(self._newest, family), *self._windows)
        lane.members.add(outbox)
        return lane

    def leave(self, outbox: Outbox, lane: Lane) -> None:
        """Let `outbox` have no more of `lane`."""
        outbox.forget(lane)
        lane.members.discard(outbox)
        if not lane.members:
            lane.close()
            self._lanes.pop(lane.wants, None)

    def _newest(self, family: Family, symbols: Iterable[str]) -> bytes:
        frames = self._frames.setdefault(family.name, {})
        return b"".join(
            frames.get(symbol) or self._frame(family, frames, symbol) for symbol in sorted(symbols)
        )

    def _frame(self, family: Family, frames: dict[str, bytes], symbol: str) -> bytes:
        made = frame(*family.price(self._views[symbol]), retry_ms=self._retry_ms)
        frames[symbol] = made
        return made

    def _hear(self, _key: str, data: bytes) -> None:
        try:
            quote = CODEC.decode(data, PriceUpdated)
        except msgspec.DecodeError as error:
            logger.warning("a quote cannot be read", error=str(error))
            return
        known = self._views.get(quote.symbol)
        if known is not None and known.timestamp >= quote.timestamp:
            return
        self._views[quote.symbol] = price_view(quote)
        for frames in self._frames.values():
            frames.pop(quote.symbol, None)
        for lane in self._lanes.values():
            lane.changed(quote.symbol)

    def _on_gap(self, _reason: str) -> None:
        self._look.set()

    async def _reload(self) -> None:
        try:
            for key, data in (await self._market.all()).items():
                self._hear(key, data)
        except LogError as error:
            logger.info("cannot read the market now", error=str(error))

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RELOAD_SECONDS * random.uniform(0.5, 1.5)):  # noqa: S311
                await self._look.wait()
        self._look.clear()
