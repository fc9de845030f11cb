"""Produces the events that the load reads: users with a history, a market, and continuing events.

The number of events depends on the number of connects and not on time, so a slow machine and a fast
one store the same events. The size of a user's state is bounded, as it is for real users: orders,
positions and other entities change and do not accumulate, notifications are read, and views get
checkpoints.
"""

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec

from tapewire.events import CODEC, Event
from tapewire.log import EVERYBODY, EventDraft, EventMetadata, EventSubject, encode_token, new_id
from tapewire.log.jetstream import JetStreamEventLog, JetStreamLatestValueStore, NatsConnection
from tapewire.log.jetstream.streams import MARKET, VIEWS
from tapewire.log.view_checkpoints import load, save
from tapewire.views import NotificationsView, OrdersView, PositionsView, StrategiesView
from tests.harness.golden_events import golden_event
from tests.harness.publishers import QuoteDriver, order_filled, order_placed, orders_placed

USERS = tuple(f"steady-{number}" for number in range(50))
BUSY_USER = "torrent"
"""A user with a history so long that a reader that stops reading blocks."""
BUSY_USER_EVENT_COUNT = 800
RECENT_EVENT_CAPACITY = 16_384
"""The capacity of the edge's memory of recent events; it is filled before the first measurement."""
FILL_BATCH_SIZE = 128
"""Smaller than an outbox, so the reader receives these events live."""
HISTORY_USER = "past"
HISTORY_STREAMS = (
    "/api/stream?topics=orders,positions,strategies,ai-decisions,alerts,agents",
    "/api/sse/notifications",
)
ORDERS_PER_USER = 12
SYMBOLS = ("IBM", "AAPL", "SPY", "MSFT")
EVENTS_PER_CHECKPOINT = 60
CHECKPOINTED_VIEWS = (OrdersView, PositionsView, StrategiesView, NotificationsView)


def strategy_id_of(user: str) -> str:
    return f"strategy-{user}"


def configuration_id_of(user: str) -> str:
    return f"configuration-{user}"


class SoakEventProducer:
    """Appends events and publishes quotes through NATS."""

    def __init__(self, connection: NatsConnection, rng: random.Random) -> None:
        self.log = JetStreamEventLog(connection)
        self.market = QuoteDriver(connection)
        self.epoch = ""
        self.last_sequence = 0
        self.events = 0
        self._connection = connection
        self._rng = rng
        self._views = JetStreamLatestValueStore(connection, stream=VIEWS, prefix="view")

    async def append_initial_state(self) -> None:
        """Append the initial state of every user."""
        self.epoch = (await self.log.bounds()).epoch
        for user in USERS:
            strategy = strategy_id_of(user)
            await self._append_events(user, "orders", *orders_placed(ORDERS_PER_USER))
            await self._append_events(
                user, "strategies", golden_event("strategy.created", strategy__strategyId=strategy)
            )
            made = golden_event(
                "configuration.created", configuration__id=configuration_id_of(user)
            )
            await self._append_events(user, "configurations", made)
        await self._append_events(BUSY_USER, "orders", *orders_placed(BUSY_USER_EVENT_COUNT, "t"))
        for symbol in SYMBOLS:
            await self.market.publish(symbol)
        for user in USERS:
            await self._save_checkpoint(user)

    async def fill_recent_events(self, user: Callable[[int], Awaitable[None]]) -> None:
        """Fill the edge's memory of recent events with all event types that occur later, each
        delivered to a reader, because a rendered event takes more memory. `user` returns once a
        reader of `HISTORY_USER` has received the event of that sequence."""
        for _ in range(0, RECENT_EVENT_CAPACITY, FILL_BATCH_SIZE):
            event_fields = [self._random_event(HISTORY_USER) for _ in range(FILL_BATCH_SIZE - 1)]
            drafts = [_make_draft(*draft_fields) for draft_fields in event_fields]
            self.last_sequence = await self.log.append(
                [*drafts, _make_draft(HISTORY_USER, "orders", order_placed("last"))]
            )
            await user(self.last_sequence)

    async def append_next_event(self) -> None:
        """Append one more event, and publish some quotes and valuations."""
        rng, user = self._rng, self._rng.choice(USERS)
        owner, domain, event = self._random_event(user)
        await self._append_events(owner, domain, event)
        await self.market.publish_without_ack(rng.choice(SYMBOLS), rng.randrange(50, 150))
        await self._put_valuation(user)
        if self.events % EVENTS_PER_CHECKPOINT == 0:
            await self._save_checkpoint(USERS[self.events // EVENTS_PER_CHECKPOINT % len(USERS)])

    def _random_event(self, user: str) -> tuple[str, str, Event]:
        rng = self._rng
        order, now = f"o-{rng.randrange(ORDERS_PER_USER)}", datetime.now(UTC).isoformat()
        kind = rng.randrange(12)
        if kind < 5:
            return (
                user,
                "orders",
                order_placed(order) if kind < 3 else order_filled(order, "1", "12.30"),
            )
        if kind == 5:
            named = {"strategy__strategyId": strategy_id_of(user), "strategy__timestamp": now}
            return user, "strategies", golden_event("strategy.signaled", **named)
        if kind == 6:
            symbol = rng.choice(SYMBOLS)
            return user, "positions", golden_event("position.changed", position__symbol=symbol)
        if kind == 7:
            return user, "decisions", golden_event("decision.made", strategyId=strategy_id_of(user))
        if kind == 8:
            if rng.random() < 0.2:
                return user, "notifications", golden_event("notification.read", ids=None)
            made = golden_event("notification.created", notification__id=new_id())
            return user, "notifications", made
        if kind == 9:
            return user, "alerts", golden_event("alert.raised", alertId=new_id())
        if kind == 10:
            return EVERYBODY, "agents", golden_event("agent.status", timestamp=now)
        return (
            EVERYBODY,
            "items",
            golden_event("item.analysed", item__id=new_id(), item__timestamp=now),
        )

    async def _append_events(self, owner: str, domain: str, *events: Event) -> None:
        drafts = [_make_draft(owner, domain, event) for event in events]
        self.last_sequence = await self.log.append(drafts)
        self.events += len(drafts)

    async def _put_valuation(self, user: str) -> None:
        symbol = self._rng.choice(SYMBOLS)
        valued = golden_event(
            "position.valued", symbol=symbol, timestamp=datetime.now(UTC).isoformat()
        )
        name = encode_token(user)
        values = JetStreamLatestValueStore(
            self._connection, stream=MARKET, prefix=f"mk.{name}", live_prefix=f"live.mk.{name}"
        )
        await values.put_unacknowledged(encode_token(symbol), CODEC.encode(valued))

    async def _save_checkpoint(self, user: str) -> None:
        """Save checkpoints, as the services do about once a second."""
        for kind in CHECKPOINTED_VIEWS:
            view, bounds = await load(self.log, self._views, kind, user)
            await save(self._views, user, kind.domain, view, bounds)


def _make_draft(owner: str, domain: str, event: Event) -> EventDraft:
    subject = EventSubject(owner, domain, _entity_id(event))
    return EventDraft(
        subject=subject, event=event, metadata=EventMetadata(id=new_id(), correlation="soak")
    )


def _entity_id(event: Event) -> str:
    """The entity that the event belongs to: its order, strategy or configuration; other domains
    have one entity."""
    for name in ("order", "strategy", "configuration"):
        about = getattr(event, name, None)
        if about is not None:
            fields = msgspec.structs.asdict(about)
            return str(fields.get(f"{name}_id") or fields.get("id"))
    return "1"
