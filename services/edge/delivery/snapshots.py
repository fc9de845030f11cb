"""What a fresh connection begins with: the state at a place of the log, and the last happenings.

Everything is told as of the same sequence, and only the last frame carries it as an id: a client
that leaves in between comes back fresh. Start at `Snapshots.take`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from tapewire.log import (
    EVERYBODY,
    Bounds,
    EventLog,
    LatestValueStore,
    LogError,
    RecordedEvent,
    pattern,
)
from tapewire.log.view_checkpoints import load
from tapewire.views import NotificationsView, OrdersView, PositionsView, StrategiesView
from tapewire.views.positions import sum_exact, value_position
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.frames import CHECKPOINT_EVENT
from tapewire_services.edge.delivery.hub import Hub
from tapewire_services.edge.delivery.resume_policy import NotReady
from tapewire_services.edge.delivery.selection import StrategySelection
from tapewire_services.edge.delivery.serializers import PricingContext, SseMessage
from tapewire_services.edge.delivery.serializers.strategies import (
    StrategyStatePayload,
    strategy_state_payload,
)
from tapewire_services.edge.delivery.serializers.trading import (
    OrdersSnapshotPayload,
    PositionsSnapshotPayload,
    position_view,
)
from tapewire_services.edge.delivery.stream_routes import SnapshotKind
from tapewire_services.edge.ingest.log_tail import LogTail

MAX_RECENT_EVENTS = 100
MAX_RECENT_AGE = timedelta(minutes=5)
"""Happenings that a fresh connection begins with: the last so many of the last so long."""
MAX_RECENT_PAGES = 40
"""Pages read of a domain for that, at the most."""


class InitialStatesPayload(msgspec.Struct, frozen=True, kw_only=True):
    """All strategies of a user."""

    type: str
    timestamp: datetime
    user_id: str
    strategies: list[StrategyStatePayload]


class UnreadCountPayload(msgspec.Struct, frozen=True, kw_only=True):
    """How many notifications the user has not read."""

    unread: int
    timestamp: datetime


class SnapshotReader:
    """Made for every connection of a process, a bounded number at a time."""

    def __init__(
        self,
        *,
        log: EventLog,
        views: LatestValueStore,
        log_tail: LogTail,
        hub: Hub,
        pricing: PricingContext,
        now: Callable[[], datetime],
        replay_slots: asyncio.Semaphore,
    ) -> None:
        self._log = log
        self._views = views
        self._log_tail = log_tail
        self._hub = hub
        self._pricing = pricing
        self._now = now
        self._replay_slots = replay_slots
        self._readers: dict[
            SnapshotKind, Callable[[Connection, Bounds], Awaitable[list[SseMessage]]]
        ] = {
            SnapshotKind.RECENT: self._read_recent,
            SnapshotKind.POSITIONS: self._read_positions,
            SnapshotKind.STRATEGIES: self._read_strategies,
            SnapshotKind.UNREAD: self._read_unread_count,
            SnapshotKind.ORDERS: self._read_orders,
        }

    async def read_snapshot(self, connection: Connection) -> tuple[list[SseMessage], Bounds]:
        """What `connection` begins with, true at the end of the bounds. The last one is to carry
        that place.

        Raises:
            NotYet: the log was made anew meanwhile.
            LogError: it cannot be read now.
        """
        async with self._replay_slots:
            bounds = self._log_tail.bounds
            told: list[SseMessage] = []
            try:
                for begin in connection.interest.snapshot_kinds:
                    told += await self._readers[begin](connection, bounds)
            except LogError:
                self._log_tail.request_check()  # newer bounds may be all it takes
                raise
        if self._log_tail.epoch != bounds.epoch:
            raise NotReady("the log was made anew while a snapshot was read")
        if connection.interest.snapshot_kinds in ((), (SnapshotKind.RECENT,)):
            told.append((CHECKPOINT_EVENT, {}))
        return told, bounds

    async def _read_orders(self, connection: Connection, bounds: Bounds) -> list[SseMessage]:
        owner = connection.info.owner or ""
        view, _ = await load(self._log, self._views, OrdersView, owner, bounds=bounds)
        snapshot = OrdersSnapshotPayload(snapshot=True, orders=view.orders(), timestamp=self._now())
        return [("order:update", snapshot)]

    async def _read_positions(self, connection: Connection, bounds: Bounds) -> list[SseMessage]:
        owner = connection.info.owner or ""
        view, _ = await load(self._log, self._views, PositionsView, owner, bounds=bounds)
        shown, values = [], list[Decimal]()
        for position in view.positions():
            price = self._pricing.price(position.symbol)
            shown.append(position_view(position, price))
            held = position.cost_basis if price is None else value_position(position, price).value
            values.append(held)
        snapshot = PositionsSnapshotPayload(
            positions=shown, total_value=sum_exact(values), timestamp=self._now()
        )
        return [("position:update", snapshot)]

    async def _read_strategies(self, connection: Connection, bounds: Bounds) -> list[SseMessage]:
        owner = connection.info.owner or ""
        view, _ = await load(self._log, self._views, StrategiesView, owner, bounds=bounds)
        strategies = view.strategies()
        picked = connection.info.selection
        if isinstance(picked, StrategySelection):
            id_ = picked.strategy.strategy_id
            one = next((s for s in strategies if s.strategy_id == id_), picked.strategy)
            picked.strategy = one
            return [("initial_state", strategy_state_payload("initial_state", one, owner))]
        states = [
            strategy_state_payload("initial_state", strategy, owner) for strategy in strategies
        ]
        told = InitialStatesPayload(
            type="initial_state", timestamp=self._now(), user_id=owner, strategies=states
        )
        return [("initial_state", told)]

    async def _read_unread_count(self, connection: Connection, bounds: Bounds) -> list[SseMessage]:
        owner = connection.info.owner or ""
        view, _ = await load(self._log, self._views, NotificationsView, owner, bounds=bounds)
        return [
            (
                "notification:unread",
                UnreadCountPayload(unread=view.unread_count, timestamp=self._now()),
            )
        ]

    async def _read_recent(self, connection: Connection, bounds: Bounds) -> list[SseMessage]:
        """The last happenings, in order."""
        since = await self._log.last_sequence_before(self._now() - MAX_RECENT_AGE)
        kept: deque[SseMessage] = deque(maxlen=MAX_RECENT_EVENTS)
        for recorded in await self._recent_events(connection, since, bounds):
            told = self._hub.serialize(connection, recorded)
            if told is not None:
                kept.append(told)
        return [*kept]

    async def _recent_events(
        self, connection: Connection, after: int, bounds: Bounds
    ) -> list[RecordedEvent]:
        interest, owner = connection.interest, connection.info.owner
        owners = [one for one in (owner, EVERYBODY) if one is not None]
        if self._log_tail.covers(after):
            found = self._log_tail.events_after(owners, after)
        else:
            found = []
            for domain in sorted(interest.recent_domains):
                of = EVERYBODY if domain in interest.shared_domains else owner
                found += await self._read_last_pages(
                    pattern(owner=of, domain=domain), after, bounds
                )
            found.sort(key=lambda recorded: recorded.sequence)
        return [
            recorded
            for recorded in found
            if recorded.event_subject.domain in interest.recent_domains
            and recorded.sequence <= bounds.last
        ]

    async def _read_last_pages(
        self, filter_: str, after: int, bounds: Bounds
    ) -> deque[RecordedEvent]:
        kept: deque[RecordedEvent] = deque(maxlen=MAX_RECENT_EVENTS)
        for _ in range(MAX_RECENT_PAGES):
            page = await self._log.page(filter_, after=after)
            kept.extend(page.events)
            if not page.has_more or not page.events or page.events[-1].sequence >= bounds.last:
                break
            after = page.events[-1].sequence
        return kept
