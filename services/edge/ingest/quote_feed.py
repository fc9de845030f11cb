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

from tapewire.events import CODEC, PriceUpdated
from tapewire.log import LatestValueStore, LogError
from tapewire_services.edge.delivery.conflation import ConflationGroup
from tapewire_services.edge.delivery.frames import DEFAULT_RETRY_MS, render_frame
from tapewire_services.edge.delivery.outbox import Outbox, ValueSubscription
from tapewire_services.edge.delivery.serializers import TRADING, ApiFamily
from tapewire_services.edge.delivery.serializers.trading import PriceView, price_view

MAX_UPDATE_RATE = 10.0
"""Updates a second a symbol that a reader gets at the most."""
RELOAD_INTERVAL_SECONDS = 15.0
"""How often all values are read again: the only thing that mends a lost last quote."""
RETRY_SECONDS = 1.0

logger = structlog.get_logger("edge.board")


class QuoteFeed:
    """Run it by `run`; readers `join` and `leave`."""

    def __init__(
        self,
        quote_store: LatestValueStore,
        window_seconds: float,
        busy_window_seconds: float = 0.0,
        *,
        retry_ms: int = DEFAULT_RETRY_MS,
    ) -> None:
        self._quote_store = quote_store
        self._retry_ms = retry_ms
        self._flush_windows = window_seconds, busy_window_seconds
        self._quotes: dict[str, PriceView] = {}
        self._frames: dict[str, dict[str, bytes]] = {}
        """By family, by symbol; made when first wanted."""
        self._groups: dict[ValueSubscription, ConflationGroup] = {}
        self._reload_requested = asyncio.Event()

    async def run(self) -> None:
        """Follow the market until cancelled."""
        while True:
            try:
                subscription = await self._quote_store.subscribe(self._receive, self._on_gap)
            except LogError as error:
                logger.warning("cannot follow the market yet", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            try:
                while True:
                    await self._reload()
                    await self._wait_for_reload()
            finally:
                await subscription.close()

    def quotes(self, symbols: frozenset[str] | None) -> list[PriceView]:
        """The newest quotes, by symbol; None is all."""
        return [
            view
            for symbol, view in sorted(self._quotes.items())
            if symbols is None or symbol in symbols
        ]

    def quote(self, symbol: str) -> PriceView | None:
        """The newest quote of `symbol`."""
        return self._quotes.get(symbol)

    def subscribe(
        self, outbox: Outbox, subscription: ValueSubscription, family: ApiFamily = TRADING
    ) -> ConflationGroup:
        """Let `outbox` have what changes from now on, as `family` tells it."""
        subscription = msgspec.structs.replace(subscription, family_name=family.name)
        lane = self._groups.get(subscription)
        if lane is None:
            lane = self._groups[subscription] = ConflationGroup(
                subscription, partial(self._render_latest, family), *self._flush_windows
            )
        lane.outboxes.add(outbox)
        return lane

    def unsubscribe(self, outbox: Outbox, group: ConflationGroup) -> None:
        """Let `outbox` have no more of `lane`."""
        outbox.discard_group(group)
        group.outboxes.discard(outbox)
        if not group.outboxes:
            group.close()
            self._groups.pop(group.subscription, None)

    def _render_latest(self, family: ApiFamily, symbols: Iterable[str]) -> bytes:
        frames = self._frames.setdefault(family.name, {})
        return b"".join(
            frames.get(symbol) or self._render_quote(family, frames, symbol)
            for symbol in sorted(symbols)
        )

    def _render_quote(self, family: ApiFamily, frames: dict[str, bytes], symbol: str) -> bytes:
        made = render_frame(*family.price_message(self._quotes[symbol]), retry_ms=self._retry_ms)
        frames[symbol] = made
        return made

    def _receive(self, _key: str, data: bytes) -> None:
        try:
            quote = CODEC.decode(data, PriceUpdated)
        except msgspec.DecodeError as error:
            logger.warning("a quote cannot be read", error=str(error))
            return
        known = self._quotes.get(quote.symbol)
        if known is not None and known.timestamp >= quote.timestamp:
            return
        self._quotes[quote.symbol] = price_view(quote)
        for frames in self._frames.values():
            frames.pop(quote.symbol, None)
        for lane in self._groups.values():
            lane.mark_changed(quote.symbol)

    def _on_gap(self, _reason: str) -> None:
        self._reload_requested.set()

    async def _reload(self) -> None:
        try:
            for key, data in (await self._quote_store.get_all()).items():
                self._receive(key, data)
        except LogError as error:
            logger.info("cannot read the market now", error=str(error))

    async def _wait_for_reload(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RELOAD_INTERVAL_SECONDS * random.uniform(0.5, 1.5)):  # noqa: S311
                await self._reload_requested.wait()
        self._reload_requested.clear()
