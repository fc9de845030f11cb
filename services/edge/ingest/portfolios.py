"""What connected users hold, and what it is worth: for the positions streams.

A user's positions are folded from the tape while somebody watches them, beginning with the view at
a place of the log; the positions service values them in MARKET, and a lane takes those values to
the readers. `Portfolios` is also the scene that dialects ask.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from functools import partial

import msgspec
import structlog

from tapewire.events import CODEC, PositionValued
from tapewire.log import EventLog, LatestValueStore, LogError, RecordedEvent, Subscription
from tapewire.log.backoff import Backoff
from tapewire.log.view_checkpoints import apply_event, load
from tapewire.views import PositionsView
from tapewire.views.positions import sum_exact, value_position
from tapewire_services.edge.delivery.conflation import ConflationGroup
from tapewire_services.edge.delivery.frames import DEFAULT_RETRY_MS, render_frame
from tapewire_services.edge.delivery.outbox import Outbox, ValueSubscription
from tapewire_services.edge.delivery.resume_policy import NotReady
from tapewire_services.edge.delivery.serializers.trading import (
    PositionsPayload,
    PositionView,
    position_view,
    valuation_view,
)
from tapewire_services.edge.ingest.log_tail import LogTail
from tapewire_services.edge.ingest.quote_feed import QuoteFeed
from tapewire_services.edge.light_event import LightEvent

LOAD_TIMEOUT_SECONDS = 0.5

logger = structlog.get_logger("edge.portfolios")


class Portfolio:
    """One user's. `view` is None while it is being read."""

    def __init__(self) -> None:
        self.view: PositionsView | None = None
        self.loaded = LightEvent()
        self.valuations: dict[str, PositionValued] = {}
        self.groups: dict[float, ConflationGroup] = {}
        self.watcher_count = 0
        self.read_task: asyncio.Task[None] | None = None
        self.subscription: Subscription | None = None

    def mark_changed(self, symbol: str) -> None:
        """The position in `symbol` is worth something else."""
        for lane in self.groups.values():
            lane.mark_changed(symbol)


class PortfolioTracker:
    """All users' that are watched here. Tell it of every event by `take`, before the hub."""

    def __init__(
        self,
        *,
        log: EventLog,
        views: LatestValueStore,
        user_valuations: Callable[[str], LatestValueStore],
        log_tail: LogTail,
        quote_feed: QuoteFeed,
        now: Callable[[], datetime],
        window_seconds: float,
        rng: random.Random,
        retry_ms: int = DEFAULT_RETRY_MS,
    ) -> None:
        self._log = log
        self._views = views
        self._user_valuations = user_valuations
        self._log_tail = log_tail
        self._quote_feed = quote_feed
        self._now = now
        self._window_seconds = window_seconds
        self._rng = rng
        self._retry_ms = retry_ms
        self._by_owner: dict[str, Portfolio] = {}

    def price(self, symbol: str) -> Decimal | None:
        """See `Scene`."""
        quote = self._quote_feed.quote(symbol)
        return None if quote is None else quote.price

    def total_value(self, owner: str) -> Decimal | None:
        """See `Scene`. A position without a price counts as what was paid for it."""
        portfolio = self._by_owner.get(owner)
        if portfolio is None or portfolio.view is None:
            return None
        amounts = []
        for position in portfolio.view.positions():
            price = self.price(position.symbol)
            held = position.cost_basis if price is None else value_position(position, price).value
            amounts.append(held)
        return sum_exact(amounts)

    def watch(self, owner: str) -> None:
        """Somebody watches `owner`'s positions, until `leave`."""
        portfolio = self._by_owner.setdefault(owner, Portfolio())
        portfolio.watcher_count += 1
        if portfolio.read_task is None:
            portfolio.read_task = asyncio.create_task(self._follow_valuations(owner, portfolio))

    def unwatch(self, owner: str) -> None:
        """One watcher less; with the last one it is forgotten."""
        portfolio = self._by_owner[owner]
        portfolio.watcher_count -= 1
        if portfolio.watcher_count:
            return
        del self._by_owner[owner]
        if portfolio.read_task is not None:
            portfolio.read_task.cancel()

    async def wait_until_loaded(self, owner: str) -> None:
        """Return when it is known what `owner` holds. Raises NotYet when that takes long."""
        try:
            async with asyncio.timeout(LOAD_TIMEOUT_SECONDS):
                await self._by_owner[owner].loaded.wait()
        except TimeoutError:
            raise NotReady(f"the positions of {owner} cannot be read yet") from None

    def subscribe(self, owner: str, outbox: Outbox, max_rate: float) -> ConflationGroup:
        """Let `outbox` have what the positions of `owner` are worth: now, and when it changes."""
        portfolio = self._by_owner[owner]
        lane = portfolio.groups.get(max_rate)
        if lane is None:
            make = partial(self._render_latest, owner, portfolio)
            lane = portfolio.groups[max_rate] = ConflationGroup(
                ValueSubscription(None, max_rate), make, self._window_seconds
            )
        lane.outboxes.add(outbox)
        return lane

    def unsubscribe(self, owner: str, outbox: Outbox, group: ConflationGroup) -> None:
        """Let `outbox` have no more of `lane`."""
        outbox.discard_group(group)
        group.outboxes.discard(outbox)
        if not group.outboxes:
            group.close()
            self._by_owner[owner].groups.pop(group.subscription.max_rate, None)

    def apply(self, recorded: RecordedEvent) -> None:
        """The tape's next event."""
        portfolio = self._by_owner.get(recorded.event_subject.owner)
        if portfolio is None or recorded.event_subject.domain != PositionsView.domain:
            return
        if portfolio.view is not None:
            apply_event(portfolio.view, recorded)

    def on_log_recreated(self) -> None:
        """The log was made anew: what was folded is void."""
        for owner, portfolio in self._by_owner.items():
            portfolio.view = None
            portfolio.loaded.clear()
            if portfolio.read_task is not None:
                portfolio.read_task.cancel()
            portfolio.read_task = asyncio.create_task(self._follow_valuations(owner, portfolio))

    async def _follow_valuations(self, owner: str, portfolio: Portfolio) -> None:
        """Follow the values of `owner`, and know the positions, until cancelled."""
        patience = Backoff(self._rng)
        look = LightEvent()
        subscription: Subscription | None = None
        values = self._user_valuations(owner)
        hear = partial(self._receive, portfolio)
        try:
            while True:
                look.clear()
                try:
                    if subscription is None:
                        subscription = await values.subscribe(hear, lambda _: look.set())
                    for key, data in (await values.get_all()).items():
                        self._receive(portfolio, key, data)
                    if portfolio.view is None:
                        await self._load_view(owner, portfolio)
                except LogError as error:
                    logger.info("cannot read positions now", error=str(error))
                    await patience.wait()
                else:
                    patience.reset()
                    await look.wait()
        finally:
            if subscription is not None:
                await subscription.close()

    async def _load_view(self, owner: str, portfolio: Portfolio) -> None:
        """The view at the head of the tape. Raises LogError."""
        while True:
            bounds = self._log_tail.bounds
            view, _ = await load(self._log, self._views, PositionsView, owner, bounds=bounds)
            if self._log_tail.epoch == bounds.epoch and self._log_tail.covers(bounds.last):
                break
        # In one step with what follows: the tape tells of everything later by `take`.
        for recorded in self._log_tail.events_after((owner,), bounds.last):
            if recorded.event_subject.domain == PositionsView.domain:
                apply_event(view, recorded)
        portfolio.view = view
        portfolio.loaded.set()

    def _receive(self, portfolio: Portfolio, _key: str, data: bytes) -> None:
        try:
            valued = CODEC.decode(data, PositionValued)
        except msgspec.DecodeError as error:
            logger.warning("a valuation cannot be read", error=str(error))
            return
        known = portfolio.valuations.get(valued.symbol)
        if known is not None and known.timestamp >= valued.timestamp:
            return
        portfolio.valuations[valued.symbol] = valued
        portfolio.mark_changed(valued.symbol)

    def _render_latest(self, owner: str, portfolio: Portfolio, symbols: Iterable[str]) -> bytes:
        """One frame of all that changed."""
        told = PositionsPayload(
            positions=[self._position_view(portfolio, symbol) for symbol in sorted(symbols)],
            total_value=self.total_value(owner),
            timestamp=self._now(),
        )
        return render_frame("position:update", told, retry_ms=self._retry_ms)

    def _position_view(self, portfolio: Portfolio, symbol: str) -> PositionView:
        """What is held is the tape's to say, which may be ahead of the valuation."""
        valued = portfolio.valuations[symbol]
        position = portfolio.view.position(symbol) if portfolio.view is not None else None
        if position is None:
            return valuation_view(valued)
        return position_view(position, valued.current_price)
