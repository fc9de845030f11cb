"""The board: the newest quote of every symbol, and the lanes that carry them to readers.

One subscription a process hears all quotes. Each quote's frame is made once; lanes join them by
what their readers want.
"""

import asyncio
import contextlib
import random
from collections.abc import Iterable

import msgspec
import structlog

from services.edge.frames import RETRY_MS, PriceView, frame, price_view
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

    def __init__(self, market: Values, window_seconds: float, *, retry_ms: int = RETRY_MS) -> None:
        self._market = market
        self._retry_ms = retry_ms
        self._window = window_seconds
        self._views: dict[str, PriceView] = {}
        self._frames: dict[str, bytes] = {}
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

    def join(self, outbox: Outbox, wants: Wants) -> None:
        """Let `outbox` have what changes from now on."""
        lane = self._lanes.get(wants)
        if lane is None:
            lane = self._lanes[wants] = Lane(wants, self._newest, self._window)
        lane.members.add(outbox)

    def leave(self, outbox: Outbox, wants: Wants) -> None:
        """Let `outbox` have no more."""
        lane = self._lanes[wants]
        lane.members.discard(outbox)
        if not lane.members:
            lane.close()
            del self._lanes[wants]

    def _newest(self, symbols: Iterable[str]) -> bytes:
        return b"".join(self._frames[symbol] for symbol in sorted(symbols))

    def _hear(self, _key: str, data: bytes) -> None:
        try:
            quote = CODEC.decode(data, PriceUpdated)
        except msgspec.DecodeError as error:
            logger.warning("a quote cannot be read", error=str(error))
            return
        known = self._views.get(quote.symbol)
        if known is not None and known.timestamp >= quote.timestamp:
            return
        view = price_view(quote)
        self._views[quote.symbol] = view
        self._frames[quote.symbol] = frame("price:update", view, retry_ms=self._retry_ms)
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
