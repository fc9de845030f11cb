"""One reading of the log against all laws. Pure: told of every event in order, it tells `Findings`.

Each event goes to the laws of its type, to the checkpoints that it concerns, and to the register of
what may be said once. Start at `Inspector.take`.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from tapewire.events import (
    AgentStatusChanged,
    AlertRaised,
    ConfigurationEvent,
    DecisionMade,
    ErrorReported,
    Event,
    ItemAnalysed,
    NotificationCreated,
    NotificationsRead,
    OrderEvent,
    OrderReport,
    PositionEvent,
    RuleEvent,
    StopLossReport,
    StrategyEvent,
    StrategyReport,
    TradeExecuted,
    Undecodable,
    UnknownType,
)
from tapewire.log import BadSubject, Bounds, Recorded
from tapewire.verify.checkpoints import Checkpoints
from tapewire.verify.companions import Companions
from tapewire.verify.findings import Difference, Findings
from tapewire.verify.laws.alerts import TOLD_DOMAINS, Alerts
from tapewire.verify.laws.insights import Insights
from tapewire.verify.laws.orders import Orders
from tapewire.verify.laws.positions import Positions
from tapewire.verify.laws.strategies import Strategies
from tapewire.verify.register import Register

FILLS = "strategies-fills"
NOTICES = {domain: f"notifications-of-{domain}" for domain in TOLD_DOMAINS}
"""Followers whose cursors say what must be there by now."""

REPORTS = (StrategyReport, OrderReport, StopLossReport, ErrorReported)
"""What other programs tell of themselves."""

Law = Callable[[Recorded, Event, Recorded | None], None]


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What is read: all of `bounds`, or what one user has of it. `frontier` is the trade that the
    last event of any position was for."""

    bounds: Bounds
    frontier: int
    user: str | None

    @property
    def whole(self) -> bool:
        """Whether the log reaches back to its beginning."""
        return self.bounds.first <= 1


class Inspector:
    """One reading."""

    def __init__(self, findings: Findings, checkpoints: Checkpoints, scope: Scope) -> None:
        self._findings = findings
        self._checkpoints = checkpoints
        self._scope = scope
        self._companions = Companions(findings)
        self.ids, self.once = Register(), Register()
        whole, cursors = scope.whole, checkpoints.cursors
        told = {domain: cursors.get(name, 0) for domain, name in NOTICES.items()}
        self._orders = Orders(findings, self.once, whole=whole)
        self._positions = Positions(findings, frontier=scope.frontier, first=scope.bounds.first)
        self._strategies = Strategies(
            findings, self.once, told_upto=cursors.get(FILLS, 0), whole=whole
        )
        self._alerts = Alerts(findings, self.ids, self.once, told_upto=told, whole=whole)
        self._insights = Insights(findings, self.once, whole=whole)
        self._laws: dict[type[Event], tuple[str, Law]] = {}
        self.events = 0
        self.unknown: Counter[str] = Counter()
        self._next = scope.bounds.first

    def take(self, recorded: Recorded) -> None:
        """Take the next event."""
        self.events += 1
        if self._scope.user is None and recorded.sequence != self._next:
            self._gap(recorded.sequence - 1)
        self._next = recorded.sequence + 1
        self.ids.claim(f"event {recorded.meta.id}", recorded.sequence)
        event = self._read(recorded)
        before = self._companions.of(recorded, event)
        if event is None:
            return
        self._checkpoints.take(recorded)
        command, causation = getattr(event, "command_id", None), recorded.meta.causation
        if command is not None and causation not in (None, command):
            self._findings.compare(recorded, "causation", causation, command)
        domain, law = self._law(type(event))
        if domain and recorded.place.domain != domain:
            self._findings.at(recorded, f"{recorded.tag} belongs to {domain}")
        law(recorded, event, before)

    def _read(self, recorded: Recorded) -> Event | None:
        try:
            place, event = recorded.place, recorded.event
        except UnknownType:
            self.unknown[recorded.tag] += 1
        except (Undecodable, BadSubject) as error:
            self._findings.at(recorded, str(error))
        else:
            if not (place.owner and recorded.meta.id):
                self._findings.at(recorded, "the event has no id")
            return event
        return None

    def _gap(self, upto: int) -> None:
        """Sequences that are not there."""
        what = f"{self._next} to {upto} are not in the log"
        self._findings.difference(_of_the_log(self._next, what))

    def _law(self, kind: type[Event]) -> tuple[str, Law]:
        if kind not in self._laws:
            fits = ((domain, law) for base, domain, law in self._table() if issubclass(kind, base))
            self._laws[kind] = next(fits, ("", _nothing))
        return self._laws[kind]

    def finish(self) -> None:
        """No event follows. What the registers know is for the reader to tell."""
        if self._scope.user is None and self._next <= self._scope.bounds.last:
            self._gap(self._scope.bounds.last)
        self._companions.finish()
        self._positions.finish()
        self._strategies.finish()
        self._alerts.finish()
        self._checkpoints.finish()

    def _table(self) -> tuple[tuple[type[Event], str, Any], ...]:
        """Types, the domain that each belongs to, and what is done with its events."""
        return (
            (OrderEvent, "orders", self._order),
            (TradeExecuted, "trades", self._trade),
            (PositionEvent, "positions", self._position),
            (StrategyEvent, "strategies", self._strategy),
            (DecisionMade, "decisions", self._strategies.decision),
            (RuleEvent, "rules", self._rule),
            (AlertRaised, "alerts", self._alert),
            (NotificationCreated, "notifications", self._notification),
            (NotificationsRead, "notifications", self._read_by_user),
            (ConfigurationEvent, "configurations", self._configuration),
            (ItemAnalysed, "items", self._item),
            (AgentStatusChanged, "", self._agent),
            *((kind, "reports", self._report) for kind in REPORTS),
        )

    def _order(self, recorded: Recorded, event: OrderEvent, _: Recorded | None) -> None:
        self._orders.order(recorded, event)
        self._strategies.order(recorded, event)
        self._alerts.cause(recorded, event)

    def _trade(self, recorded: Recorded, event: TradeExecuted, fill: Recorded | None) -> None:
        self._orders.trade(recorded, event, fill)
        self._positions.trade(recorded, event)

    def _position(self, recorded: Recorded, event: PositionEvent, _: Recorded | None) -> None:
        self._positions.position(recorded, event)

    def _strategy(self, recorded: Recorded, event: StrategyEvent, _: Recorded | None) -> None:
        self._strategies.strategy(recorded, event)
        self._alerts.cause(recorded, event)

    def _rule(self, recorded: Recorded, event: RuleEvent, _: Recorded | None) -> None:
        self._alerts.rule(recorded, event)

    def _alert(self, recorded: Recorded, event: AlertRaised, trigger: Recorded | None) -> None:
        self._alerts.alert(recorded, event, trigger)
        self._alerts.cause(recorded, event)

    def _notification(
        self, recorded: Recorded, event: NotificationCreated, _: Recorded | None
    ) -> None:
        self._alerts.notification(recorded, event)

    def _read_by_user(
        self, recorded: Recorded, event: NotificationsRead, _: Recorded | None
    ) -> None:
        self._alerts.read(recorded, event)

    def _configuration(
        self, recorded: Recorded, event: ConfigurationEvent, _: Recorded | None
    ) -> None:
        self._insights.configuration(recorded, event)

    def _item(self, recorded: Recorded, event: ItemAnalysed, _: Recorded | None) -> None:
        self._insights.item(recorded, event)

    def _report(self, recorded: Recorded, event: Event, _: Recorded | None) -> None:
        self._alerts.cause(recorded, event)

    def _agent(self, recorded: Recorded, event: AgentStatusChanged, _: Recorded | None) -> None:
        self._insights.agent(recorded, event)


def _nothing(_recorded: Recorded, _event: Event, _before: Recorded | None) -> None:
    """Of a type that no law is about."""


def _of_the_log(sequence: int, what: str) -> Difference:
    return Difference(owner="-", domain="log", entity="-", sequence=sequence, what=what)
