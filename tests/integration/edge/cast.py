"""A user with a strategy and a configuration, who makes things happen on every stream."""

from typing import Any

from tapewire.log import EVERYBODY, Draft, Meta, Recorded, Subject, new_id
from tapewire.log.jetstream import JetStreamValues
from tapewire.log.jetstream.streams import VIEWS
from tapewire.log.views import load, name_of, save
from tapewire.views import (
    MetricsView,
    NotificationsView,
    OrdersView,
    PositionsView,
    StrategiesView,
)
from tests.integration.edge.golden import golden
from tests.integration.edge.market import accepted, placed, rejected

TICKER = "ROWS"
"""Of her strategy, and of what her configuration shows."""
VIEWS_OF_USERS = (OrdersView, PositionsView, StrategiesView, NotificationsView)


class Cast:
    """A user, and what happens to her. `known` is what she saw of the log before it was trimmed."""

    def __init__(self, journal: Any, user: str, known: dict[int, Recorded] | None = None) -> None:
        self.journal = journal
        self.known = {} if known is None else known
        self._unread: list[str] = []
        self.user = user
        self.strategy = f"s-{user}"
        self.configuration = f"c-{user}"

    async def enter(self) -> None:
        """Have a strategy and a configuration."""
        await self._append(self.user, "strategies", self.strategy, self._strategy("created", 0))
        made = golden(
            "configuration.created",
            configuration__id=self.configuration,
            configuration__tickers=[TICKER],
            configuration__tags=[],
        )
        await self._append(self.user, "configurations", self.configuration, made)

    async def happens(self, domain: str, number: int) -> int:
        """Something of `domain`, another thing for each number; its sequence."""
        owner = EVERYBODY if domain == "items" else self.user
        id_, event = getattr(self, f"_{domain}")(number)
        return await self._append(owner, domain, id_, event)

    async def checkpoint(self) -> None:
        """What the owning services do about once a second: views as of now."""
        values = JetStreamValues(self.journal.wire, stream=VIEWS, prefix="view")
        for kind, owner in (
            *((one, self.user) for one in VIEWS_OF_USERS),
            (MetricsView, EVERYBODY),
        ):
            view, bounds = await load(self.journal.log, values, kind, owner)
            await save(values, owner, name_of(kind), view, bounds)

    async def log(self) -> list[Recorded]:
        """What she and everybody can see, in order, and what was trimmed of it since."""
        self.known |= {
            recorded.sequence: recorded
            for recorded in await self.journal.read()
            if recorded.place.owner in (self.user, EVERYBODY)
        }
        return [self.known[sequence] for sequence in sorted(self.known)]

    async def _append(self, owner: str, domain: str, entity: str, event: Any) -> int:
        meta = Meta(id=new_id(), correlation="c-rows")
        subject = Subject(owner, domain, entity)
        return int(await self.journal.log.append([Draft(subject=subject, event=event, meta=meta)]))

    def _orders(self, number: int) -> tuple[str, Any]:
        id_ = f"o{number // 3}"
        return id_, (placed, accepted, rejected)[number % 3](id_, strategy_id=self.strategy)

    def _positions(self, number: int) -> tuple[str, Any]:
        symbol, quantity = f"POS{number % 4}", number % 7
        tag = "changed" if quantity else "closed"
        what = {"symbol": symbol, "quantity": quantity, "costBasis": quantity * 10}
        changes = {f"position__{name}": value for name, value in what.items()}
        return symbol, golden(f"position.{tag}", **changes)

    def _strategies(self, number: int) -> tuple[str, Any]:
        tags = ("started", "signaled", "updated", "stopped")
        return self.strategy, self._strategy(tags[number % 4], number)

    def _strategy(self, tag: str, number: int) -> Any:
        what = {"strategyId": self.strategy, "symbol": TICKER, "position": number}
        changes = {f"strategy__{name}": value for name, value in what.items()}
        return golden(f"strategy.{tag}", **changes)

    def _decisions(self, number: int) -> tuple[str, Any]:
        return f"{number}", golden("decision.made", decisionId=f"d{number}")

    def _alerts(self, number: int) -> tuple[str, Any]:
        level = ("info", "warning", "error")[number % 3]
        return f"{number}", golden("alert.raised", alertId=f"a{number}", level=level)

    def _items(self, number: int) -> tuple[str, Any]:
        id_, ticker = f"{self.user}-i{number}", TICKER if number % 2 == 0 else "OTHER"
        return id_, golden("item.analysed", item__id=id_, item__tickers=[ticker])

    def _notifications(self, number: int) -> tuple[str, Any]:
        if number % 5 == 4 and self._unread:
            return "read", golden("notification.read", ids=[self._unread.pop()])
        id_ = f"n{number}"
        self._unread.append(id_)
        return id_, golden("notification.created", notification__id=id_)
