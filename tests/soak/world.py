"""What the visitors read of: users with a history, a market, and events that go on.

How much happens is counted in connects, not in seconds: a slow machine and a fast one store the
same. The size of a user's state is bounded, as it is for real users: orders, positions and the rest
change, and are not more and more; notifications are read; and views get checkpoints.
"""

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec

from tapewire.events import CODEC, Event
from tapewire.log import EVERYBODY, Draft, Meta, Subject, new_id, token
from tapewire.log.jetstream import JetStreamLog, JetStreamValues, Wire
from tapewire.log.jetstream.streams import MARKET, VIEWS
from tapewire.log.views import load, save
from tapewire.views import NotificationsView, OrdersView, PositionsView, StrategiesView
from tests.integration.edge.golden import golden
from tests.integration.edge.market import Market, filled, many, placed

USERS = tuple(f"steady-{number}" for number in range(50))
TORRENT = "torrent"
"""A user with so much history that whoever does not read it is stuck."""
TORRENT_EVENTS = 800
REMEMBERED = 16_384
"""Events that the edge remembers: so many happen before anything is measured."""
FILLED_AT_ONCE = 128
"""Fewer than an outbox holds: the reader is told live."""
PAST = "past"
PAST_STREAMS = (
    "/api/stream?topics=orders,positions,strategies,ai-decisions,alerts,agents",
    "/api/sse/notifications",
)
ORDERS = 12
SYMBOLS = ("IBM", "AAPL", "SPY", "MSFT")
CHECKPOINT_EVENTS = 60
VIEWS_KEPT = (OrdersView, PositionsView, StrategiesView, NotificationsView)


def strategy_of(user: str) -> str:
    return f"strategy-{user}"


def configuration_of(user: str) -> str:
    return f"configuration-{user}"


class World:
    """Makes things happen, over a wire."""

    def __init__(self, wire: Wire, rng: random.Random) -> None:
        self.log = JetStreamLog(wire)
        self.market = Market(wire)
        self.epoch = ""
        self.head = 0
        self.events = 0
        self._wire = wire
        self._rng = rng
        self._views = JetStreamValues(wire, stream=VIEWS, prefix="view")

    async def begin(self) -> None:
        """Everybody's state."""
        self.epoch = (await self.log.bounds()).epoch
        for user in USERS:
            strategy = strategy_of(user)
            await self._append(user, "orders", *many(ORDERS))
            await self._append(
                user, "strategies", golden("strategy.created", strategy__strategyId=strategy)
            )
            made = golden("configuration.created", configuration__id=configuration_of(user))
            await self._append(user, "configurations", made)
        await self._append(TORRENT, "orders", *many(TORRENT_EVENTS, "t"))
        for symbol in SYMBOLS:
            await self.market.quote(symbol)
        for user in USERS:
            await self._checkpoint(user)

    async def fill(self, told: Callable[[int], Awaitable[None]]) -> None:
        """As much as the edge remembers, of everything that happens later, and told to somebody:
        what was told is larger in its memory. `told` returns when a reader of `PAST` has seen the
        event of that sequence."""
        for _ in range(0, REMEMBERED, FILLED_AT_ONCE):
            happenings = [self._happening(PAST) for _ in range(FILLED_AT_ONCE - 1)]
            drafts = [_draft(*happening) for happening in happenings]
            self.head = await self.log.append([*drafts, _draft(PAST, "orders", placed("last"))])
            await told(self.head)

    async def go_on(self) -> None:
        """One thing more happens; some quotes and valuations with it."""
        rng, user = self._rng, self._rng.choice(USERS)
        owner, domain, event = self._happening(user)
        await self._append(owner, domain, event)
        await self.market.post(rng.choice(SYMBOLS), rng.randrange(50, 150))
        await self._value(user)
        if self.events % CHECKPOINT_EVENTS == 0:
            await self._checkpoint(USERS[self.events // CHECKPOINT_EVENTS % len(USERS)])

    def _happening(self, user: str) -> tuple[str, str, Event]:
        rng = self._rng
        order, now = f"o-{rng.randrange(ORDERS)}", datetime.now(UTC).isoformat()
        kind = rng.randrange(12)
        if kind < 5:
            return user, "orders", placed(order) if kind < 3 else filled(order, "1", "12.30")
        if kind == 5:
            named = {"strategy__strategyId": strategy_of(user), "strategy__timestamp": now}
            return user, "strategies", golden("strategy.signaled", **named)
        if kind == 6:
            symbol = rng.choice(SYMBOLS)
            return user, "positions", golden("position.changed", position__symbol=symbol)
        if kind == 7:
            return user, "decisions", golden("decision.made", strategyId=strategy_of(user))
        if kind == 8:
            if rng.random() < 0.2:
                return user, "notifications", golden("notification.read", ids=None)
            made = golden("notification.created", notification__id=new_id())
            return user, "notifications", made
        if kind == 9:
            return user, "alerts", golden("alert.raised", alertId=new_id())
        if kind == 10:
            return EVERYBODY, "agents", golden("agent.status", timestamp=now)
        return EVERYBODY, "items", golden("item.analysed", item__id=new_id(), item__timestamp=now)

    async def _append(self, owner: str, domain: str, *events: Event) -> None:
        drafts = [_draft(owner, domain, event) for event in events]
        self.head = await self.log.append(drafts)
        self.events += len(drafts)

    async def _value(self, user: str) -> None:
        symbol = self._rng.choice(SYMBOLS)
        valued = golden("position.valued", symbol=symbol, timestamp=datetime.now(UTC).isoformat())
        name = token(user)
        values = JetStreamValues(
            self._wire, stream=MARKET, prefix=f"mk.{name}", live=f"live.mk.{name}"
        )
        await values.post(token(symbol), CODEC.encode(valued))

    async def _checkpoint(self, user: str) -> None:
        """What the services do about once a second."""
        for kind in VIEWS_KEPT:
            view, bounds = await load(self.log, self._views, kind, user)
            await save(self._views, user, kind.domain, view, bounds)


def _draft(owner: str, domain: str, event: Event) -> Draft:
    subject = Subject(owner, domain, _entity(event))
    return Draft(subject=subject, event=event, meta=Meta(id=new_id(), correlation="soak"))


def _entity(event: Event) -> str:
    """What an event is about: its order, strategy or configuration; of the rest there is one."""
    for name in ("order", "strategy", "configuration"):
        about = getattr(event, name, None)
        if about is not None:
            fields = msgspec.structs.asdict(about)
            return str(fields.get(f"{name}_id") or fields.get("id"))
    return "1"
