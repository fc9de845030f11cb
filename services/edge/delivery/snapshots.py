"""Snapshots: the state at one sequence of the log, with which a fresh stream starts.

All messages of a snapshot are true as of the same sequence. Only the last one carries it as an
event id, so a client that disconnects in between starts afresh. Start reading at
`SnapshotReader.read_snapshot`.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import chain
from operator import itemgetter

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
from tapewire.views import AgentsView, NotificationsView, OrdersView, PositionsView, StrategiesView
from tapewire_services.edge.delivery.connection import Connection
from tapewire_services.edge.delivery.hub import Hub
from tapewire_services.edge.delivery.selection import StrategySelection
from tapewire_services.edge.delivery.serializers import PricingContext, SseMessage
from tapewire_services.edge.delivery.serializers.control_messages import CHECKPOINT
from tapewire_services.edge.delivery.serializers.notifications import unread_count_message
from tapewire_services.edge.delivery.serializers.strategies import (
    initial_state_message,
    initial_states_message,
)
from tapewire_services.edge.delivery.serializers.trading_views import (
    orders_snapshot_message,
    position_view,
    positions_snapshot_message,
)
from tapewire_services.edge.delivery.topics import Interest, SnapshotKind
from tapewire_services.edge.ingest.log_tail import LogTail, NotReady
from tapewire_services.edge.ingest.portfolios import total_market_value

MAX_RECENT_EVENTS = 100
MAX_RECENT_AGE = timedelta(minutes=5)
"""A snapshot of recent events has at most this many of each domain, and none older than this."""
MAX_RECENT_PAGES = 40
"""Pages of one domain that are read for recent events at most."""


_MAY_BE_EMPTY = frozenset((SnapshotKind.RECENT, SnapshotKind.AGENTS))
"""Kinds of snapshots that may have no message, which would carry the event id."""


class SnapshotReader:
    """Reads snapshots for all connections of a process. `replay_slots` bounds concurrent reads."""

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
            SnapshotKind, Callable[[Connection, Interest, Bounds], Awaitable[list[SseMessage]]]
        ] = {
            SnapshotKind.RECENT: self._read_recent,
            SnapshotKind.AGENTS: self._read_agents,
            SnapshotKind.POSITIONS: self._read_positions,
            SnapshotKind.STRATEGIES: self._read_strategies,
            SnapshotKind.UNREAD: self._read_unread_count,
            SnapshotKind.ORDERS: self._read_orders,
        }

    async def read_snapshot(
        self, connection: Connection, interest: Interest
    ) -> tuple[list[SseMessage], Bounds]:
        """Read the messages that `connection` starts with when it is shown `interest`, and the
        bounds of the log at whose end they are true. The last message is to carry that sequence as
        its event id. The selection of the connection is brought to that state.

        Raises:
            NotReady: the log was recreated meanwhile.
            LogError: the log cannot be read now.
        """
        async with self._replay_slots:
            bounds = self._log_tail.bounds
            messages: list[SseMessage] = []
            try:
                for kind in interest.snapshot_kinds:
                    messages += await self._readers[kind](connection, interest, bounds)
            except LogError:
                self._log_tail.request_check()  # newer bounds may suffice
                raise
        if self._log_tail.epoch != bounds.epoch:
            raise NotReady("the log was recreated while a snapshot was read")
        if _MAY_BE_EMPTY.issuperset(interest.snapshot_kinds):
            messages.append(CHECKPOINT)
        return messages, bounds

    async def _read_orders(
        self, connection: Connection, _interest: Interest, bounds: Bounds
    ) -> list[SseMessage]:
        owner = connection.info.owner or ""
        view, _ = await load(self._log, self._views, OrdersView, owner, bounds=bounds)
        return [orders_snapshot_message(view.orders(), self._now())]

    async def _read_agents(
        self, connection: Connection, _interest: Interest, bounds: Bounds
    ) -> list[SseMessage]:
        view, _ = await load(self._log, self._views, AgentsView, EVERYBODY, bounds=bounds)
        serialize = connection.route.family.serializer
        messages = (serialize(one, EVERYBODY, self._pricing) for one in view.agents())
        return [one for one in messages if one is not None]

    async def _read_positions(
        self, connection: Connection, _interest: Interest, bounds: Bounds
    ) -> list[SseMessage]:
        owner = connection.info.owner or ""
        view, _ = await load(self._log, self._views, PositionsView, owner, bounds=bounds)
        positions, price = view.positions(), self._pricing.price
        views = [
            position_view(
                position,
                price(position.symbol),
                is_stale=self._pricing.is_stale(position.symbol),
            )
            for position in positions
        ]
        return [
            positions_snapshot_message(views, total_market_value(positions, price), self._now())
        ]

    async def _read_strategies(
        self, connection: Connection, _interest: Interest, bounds: Bounds
    ) -> list[SseMessage]:
        owner = connection.info.owner or ""
        view, _ = await load(self._log, self._views, StrategiesView, owner, bounds=bounds)
        strategies, selection = view.strategies(), connection.selection
        if not isinstance(selection, StrategySelection):
            return [initial_states_message(strategies, owner, self._now())]
        selected_id = selection.strategy.strategy_id
        for strategy in strategies:
            if strategy.strategy_id == selected_id:
                selection.update(strategy)
        return [initial_state_message(selection.strategy, owner)]

    async def _read_unread_count(
        self, connection: Connection, _interest: Interest, bounds: Bounds
    ) -> list[SseMessage]:
        owner = connection.info.owner or ""
        view, _ = await load(self._log, self._views, NotificationsView, owner, bounds=bounds)
        return [unread_count_message(view.unread_count, self._now())]

    async def _read_recent(
        self, connection: Connection, interest: Interest, bounds: Bounds
    ) -> list[SseMessage]:
        """The most recent events of the topics, in order. A busy topic takes no room from the
        others."""
        since = await self._log.last_sequence_before(self._now() - MAX_RECENT_AGE)
        by_domain: defaultdict[str, deque[tuple[int, SseMessage]]] = defaultdict(
            lambda: deque(maxlen=MAX_RECENT_EVENTS)
        )
        for recorded in await self._recent_events(connection, interest, since, bounds):
            message = self._hub.serialize(connection, interest, recorded)
            if message is not None:
                by_domain[recorded.event_subject.domain].append((recorded.sequence, message))
        recent = sorted(chain(*by_domain.values()), key=itemgetter(0))
        return [message for _, message in recent]

    async def _recent_events(
        self, connection: Connection, interest: Interest, after: int, bounds: Bounds
    ) -> list[RecordedEvent]:
        """The events of the recent domains after `after`: from the log tail's buffer when it
        reaches back far enough, otherwise from the log."""
        owner = connection.info.owner
        owners = [one for one in (owner, EVERYBODY) if one is not None]
        if self._log_tail.covers(after):
            events = self._log_tail.events_after(owners, after)
        else:
            events = []
            for domain in sorted(interest.recent_domains):
                domain_owner = EVERYBODY if domain in interest.shared_domains else owner
                filter_ = pattern(owner=domain_owner, domain=domain)
                events += await self._read_last_pages(filter_, after, bounds)
            events.sort(key=lambda recorded: recorded.sequence)
        return [
            recorded
            for recorded in events
            if recorded.event_subject.domain in interest.recent_domains
            and recorded.sequence <= bounds.last
        ]

    async def _read_last_pages(
        self, filter_: str, after: int, bounds: Bounds
    ) -> deque[RecordedEvent]:
        events: deque[RecordedEvent] = deque(maxlen=MAX_RECENT_EVENTS)
        for _ in range(MAX_RECENT_PAGES):
            page = await self._log.page(filter_, after=after)
            events.extend(page.events)
            if not page.has_more or not page.events or page.events[-1].sequence >= bounds.last:
                break
            after = page.events[-1].sequence
        return events
