"""A user with a strategy and a configuration, and events of hers for every stream."""

from typing import Any

from tapewire.events import Event
from tapewire.log import EVERYBODY, EventDraft, EventMetadata, EventSubject, RecordedEvent, new_id
from tapewire.log.jetstream import JetStreamLatestValueStore
from tapewire.log.jetstream.streams import VIEWS
from tapewire.log.view_checkpoints import checkpoint_name, load, save
from tapewire.views import (
    MetricsView,
    NotificationsView,
    OrdersView,
    PositionsView,
    StrategiesView,
)
from tests.harness.golden_events import golden_event
from tests.harness.publishers import order_accepted, order_placed, order_rejected

TICKER = "ROWS"
"""The ticker of the strategy and of the configuration."""
USER_VIEWS = (OrdersView, PositionsView, StrategiesView, NotificationsView)


class UserScenario:
    """A user and her events. `seen_events` are those that she saw before the log was trimmed."""

    def __init__(
        self, journal: Any, user: str, seen_events: dict[int, RecordedEvent] | None = None
    ) -> None:
        self.journal = journal
        self.seen_events = {} if seen_events is None else seen_events
        self._unread: list[str] = []
        self.user = user
        self.strategy = f"s-{user}"
        self.configuration = f"c-{user}"

    async def create_strategy_and_configuration(self) -> None:
        """Append the events that create the strategy and the configuration."""
        await self._append(self.user, "strategies", self.strategy, self._strategy("created", 0))
        made = golden_event(
            "configuration.created",
            configuration__id=self.configuration,
            configuration__tickers=[TICKER],
            configuration__tags=[],
        )
        await self._append(self.user, "configurations", self.configuration, made)

    async def append_event(self, domain: str, number: int) -> int:
        """Append an event of `domain` that depends on `number`; return its sequence."""
        owner = EVERYBODY if domain == "items" else self.user
        id_, event = getattr(self, f"_{domain}")(number)
        return await self._append(owner, domain, id_, event)

    async def save_checkpoints(self) -> None:
        """Save the current views, as the owning services do about once a second."""
        values = JetStreamLatestValueStore(self.journal.connection, stream=VIEWS, prefix="view")
        for kind, owner in (
            *((one, self.user) for one in USER_VIEWS),
            (MetricsView, EVERYBODY),
        ):
            view, bounds = await load(self.journal.log, values, kind, owner)
            await save(values, owner, checkpoint_name(kind), view, bounds)

    async def visible_events(self) -> list[RecordedEvent]:
        """Return the events that the user may see, in order, including those trimmed since."""
        self.seen_events |= {
            recorded.sequence: recorded
            for recorded in await self.journal.read()
            if recorded.event_subject.owner in (self.user, EVERYBODY)
        }
        return [self.seen_events[sequence] for sequence in sorted(self.seen_events)]

    async def _append(self, owner: str, domain: str, entity: str, event: Event) -> int:
        meta = EventMetadata(id=new_id(), correlation="c-rows")
        subject = EventSubject(owner, domain, entity)
        return int(
            await self.journal.log.append([EventDraft(subject=subject, event=event, metadata=meta)])
        )

    def _orders(self, number: int) -> tuple[str, Any]:
        id_ = f"o{number // 3}"
        return id_, (order_placed, order_accepted, order_rejected)[number % 3](
            id_, strategy_id=self.strategy
        )

    def _positions(self, number: int) -> tuple[str, Any]:
        symbol, quantity = f"POS{number % 4}", number % 7
        tag = "changed" if quantity else "closed"
        what = {"symbol": symbol, "quantity": quantity, "costBasis": quantity * 10}
        changes = {f"position__{name}": value for name, value in what.items()}
        return symbol, golden_event(f"position.{tag}", **changes)

    def _strategies(self, number: int) -> tuple[str, Any]:
        tags = ("started", "signaled", "updated", "stopped")
        return self.strategy, self._strategy(tags[number % 4], number)

    def _strategy(self, tag: str, number: int) -> Event:
        what = {"strategyId": self.strategy, "symbol": TICKER, "position": number}
        changes = {f"strategy__{name}": value for name, value in what.items()}
        return golden_event(f"strategy.{tag}", **changes)

    def _decisions(self, number: int) -> tuple[str, Any]:
        return f"{number}", golden_event("decision.made", decisionId=f"d{number}")

    def _alerts(self, number: int) -> tuple[str, Any]:
        level = ("info", "warning", "error")[number % 3]
        return f"{number}", golden_event("alert.raised", alertId=f"a{number}", level=level)

    def _items(self, number: int) -> tuple[str, Any]:
        id_, ticker = f"{self.user}-i{number}", TICKER if number % 2 == 0 else "OTHER"
        return id_, golden_event("item.analysed", item__id=id_, item__tickers=[ticker])

    def _notifications(self, number: int) -> tuple[str, Any]:
        if number % 5 == 4 and self._unread:
            return "read", golden_event("notification.read", ids=[self._unread.pop()])
        id_ = f"n{number}"
        self._unread.append(id_)
        return id_, golden_event("notification.created", notification__id=id_)
