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

from services.edge.connection import Connection
from services.edge.dialects import Scene, Told
from services.edge.dialects.strategies import StrategyState, state_told
from services.edge.dialects.trading import OrdersSnapshot, PositionsSnapshot, position_view
from services.edge.feeds import Begin
from services.edge.follow.beginning import NotYet
from services.edge.follow.tape import Tape
from services.edge.frames import CHECKPOINT
from services.edge.hub import Hub
from services.edge.selection import OneStrategy
from tapewire.log import EVERYBODY, Bounds, EventLog, LogError, Recorded, Values, pattern
from tapewire.log.views import load
from tapewire.views import NotificationsView, OrdersView, PositionsView, StrategiesView
from tapewire.views.positions import total, worth

RECENT_EVENTS = 100
RECENT_AGE = timedelta(minutes=5)
"""Happenings that a fresh connection begins with: the last so many of the last so long."""
RECENT_PAGES = 40
"""Pages read of a domain for that, at the most."""


class InitialStates(msgspec.Struct, frozen=True, kw_only=True):
    """All strategies of a user."""

    type: str
    timestamp: datetime
    user_id: str
    strategies: list[StrategyState]


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """How many notifications the user has not read."""

    unread: int
    timestamp: datetime


class Snapshots:
    """Made for every connection of a process, a bounded number at a time."""

    def __init__(
        self,
        *,
        log: EventLog,
        views: Values,
        tape: Tape,
        hub: Hub,
        scene: Scene,
        now: Callable[[], datetime],
        replays: asyncio.Semaphore,
    ) -> None:
        self._log = log
        self._views = views
        self._tape = tape
        self._hub = hub
        self._scene = scene
        self._now = now
        self._replays = replays
        self._makers: dict[Begin, Callable[[Connection, Bounds], Awaitable[list[Told]]]] = {
            Begin.RECENT: self._recent,
            Begin.POSITIONS: self._positions,
            Begin.STRATEGIES: self._strategies,
            Begin.UNREAD: self._unread,
            Begin.ORDERS: self._orders,
        }

    async def take(self, connection: Connection) -> tuple[list[Told], Bounds]:
        """What `connection` begins with, true at the end of the bounds. The last one is to carry
        that place.

        Raises:
            NotYet: the log was made anew meanwhile.
            LogError: it cannot be read now.
        """
        async with self._replays:
            bounds = self._tape.bounds
            told: list[Told] = []
            try:
                for begin in connection.interest.begins:
                    told += await self._makers[begin](connection, bounds)
            except LogError:
                self._tape.look()  # newer bounds may be all it takes
                raise
        if self._tape.epoch != bounds.epoch:
            raise NotYet("the log was made anew while a snapshot was read")
        if connection.interest.begins in ((), (Begin.RECENT,)):
            told.append((CHECKPOINT, {}))
        return told, bounds

    async def _orders(self, connection: Connection, bounds: Bounds) -> list[Told]:
        owner = connection.opening.owner or ""
        view, _ = await load(self._log, self._views, OrdersView, owner, bounds=bounds)
        snapshot = OrdersSnapshot(snapshot=True, orders=view.orders(), timestamp=self._now())
        return [("order:update", snapshot)]

    async def _positions(self, connection: Connection, bounds: Bounds) -> list[Told]:
        owner = connection.opening.owner or ""
        view, _ = await load(self._log, self._views, PositionsView, owner, bounds=bounds)
        shown, values = [], list[Decimal]()
        for position in view.positions():
            price = self._scene.price(position.symbol)
            shown.append(position_view(position, price))
            held = position.cost_basis if price is None else worth(position, price).value
            values.append(held)
        snapshot = PositionsSnapshot(
            positions=shown, total_value=total(values), timestamp=self._now()
        )
        return [("position:update", snapshot)]

    async def _strategies(self, connection: Connection, bounds: Bounds) -> list[Told]:
        owner = connection.opening.owner or ""
        view, _ = await load(self._log, self._views, StrategiesView, owner, bounds=bounds)
        strategies = view.strategies()
        picked = connection.opening.selection
        if isinstance(picked, OneStrategy):
            id_ = picked.strategy.strategy_id
            one = next((s for s in strategies if s.strategy_id == id_), picked.strategy)
            picked.strategy = one
            return [("initial_state", state_told("initial_state", one, owner))]
        states = [state_told("initial_state", strategy, owner) for strategy in strategies]
        told = InitialStates(
            type="initial_state", timestamp=self._now(), user_id=owner, strategies=states
        )
        return [("initial_state", told)]

    async def _unread(self, connection: Connection, bounds: Bounds) -> list[Told]:
        owner = connection.opening.owner or ""
        view, _ = await load(self._log, self._views, NotificationsView, owner, bounds=bounds)
        return [("notification:unread", Unread(unread=view.unread, timestamp=self._now()))]

    async def _recent(self, connection: Connection, bounds: Bounds) -> list[Told]:
        """The last happenings, in order."""
        since = await self._log.before(self._now() - RECENT_AGE)
        kept: deque[Told] = deque(maxlen=RECENT_EVENTS)
        for recorded in await self._since(connection, since, bounds):
            told = self._hub.tell(connection, recorded)
            if told is not None:
                kept.append(told)
        return [*kept]

    async def _since(self, connection: Connection, since: int, bounds: Bounds) -> list[Recorded]:
        interest, owner = connection.interest, connection.opening.owner
        owners = [one for one in (owner, EVERYBODY) if one is not None]
        if self._tape.covers(since):
            found = self._tape.since(owners, since)
        else:
            found = []
            for domain in sorted(interest.recent):
                of = EVERYBODY if domain in interest.shared else owner
                found += await self._read(pattern(owner=of, domain=domain), since, bounds)
            found.sort(key=lambda recorded: recorded.sequence)
        return [
            recorded
            for recorded in found
            if recorded.place.domain in interest.recent and recorded.sequence <= bounds.last
        ]

    async def _read(self, filter_: str, after: int, bounds: Bounds) -> deque[Recorded]:
        kept: deque[Recorded] = deque(maxlen=RECENT_EVENTS)
        for _ in range(RECENT_PAGES):
            page = await self._log.page(filter_, after=after)
            kept.extend(page.events)
            if not page.more or not page.events or page.events[-1].sequence >= bounds.last:
                break
            after = page.events[-1].sequence
        return kept
