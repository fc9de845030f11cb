"""Which old events the journal keeps when it is archived: those of entities that are not finished.

A fold of what is left has the same open orders, positions, strategies, rules and configurations as
a fold of everything, an append still finds the sequence that it expects, and each entity is kept or
removed as a whole. What nobody folds by entity (trades, alerts, notifications, items) is removed;
its lists are stored in VIEWS. Start at `RetentionPlan`.
"""

from array import array
from collections.abc import Callable, Collection

from tapewire.events import (
    AgentState,
    AgentStatusChanged,
    ConfigurationDeleted,
    Event,
    OrderEvent,
    RuleDeleted,
    StrategyEvent,
    StrategyStatus,
    Undecodable,
    UnknownType,
)
from tapewire.log import BadSubject, RecordedEvent
from tapewire.log.erasures import ERASURE_TAG

_FINISHED_BY_DOMAIN: dict[str, Callable[[Event], bool]] = {
    "orders": lambda event: isinstance(event, OrderEvent) and not event.order.status.is_open,
    "strategies": lambda event: (
        isinstance(event, StrategyEvent)
        and event.strategy.status in (StrategyStatus.COMPLETED, StrategyStatus.DELETED)
        and event.strategy.order is None
    ),
    "rules": lambda event: isinstance(event, RuleDeleted),
    "configurations": lambda event: isinstance(event, ConfigurationDeleted),
    "agents": lambda event: (
        isinstance(event, AgentStatusChanged) and event.state is AgentState.STOPPED
    ),
}
"""Whether an entity of the domain is finished with an event: nothing can happen to it any more."""
_STATE_IN_LAST_EVENT = frozenset({"positions", "agents"})
"""Domains of which only the last event of an entity is read."""
_REMOVED_DOMAINS = frozenset(
    {"trades", "alerts", "notifications", "items", "decisions", "reports", "keys", "executions"}
)


class RetentionPlan:
    """Learns, event by event in the order of the journal, which ones it keeps.

    Events of domains that are not Tapewire's are all kept: only their package knows which of them
    are needed. So are events that this version cannot read, erasures of users, and the events at
    the sequences `needed`.
    """

    def __init__(self, needed: Collection[int] = ()) -> None:
        self._needed = frozenset(needed)
        self._sequences = array("Q")
        self._kept_by_subject: dict[str, array[int]] = {}

    def apply(self, recorded: RecordedEvent) -> None:
        """Take note of the next event before the horizon."""
        self._sequences.append(recorded.sequence)
        try:
            domain = recorded.event_subject.domain
        except BadSubject:
            domain = ""
        if domain in _REMOVED_DOMAINS and recorded.tag != ERASURE_TAG:
            return
        kept = self._kept_by_subject.setdefault(recorded.subject, array("Q"))
        if domain in _STATE_IN_LAST_EVENT:
            del kept[:]
        kept.append(recorded.sequence)
        if _is_finished(domain, recorded):
            del self._kept_by_subject[recorded.subject]

    def retained(self) -> list[int]:
        """The sequences of the events that stay, in order."""
        kept = {one for sequences in self._kept_by_subject.values() for one in sequences}
        return [one for one in self._sequences if one in kept or one in self._needed]

    def removable(self) -> list[int]:
        """The sequences of the events that go, in order."""
        kept = set(self.retained())
        return [one for one in self._sequences if one not in kept]


def _is_finished(domain: str, recorded: RecordedEvent) -> bool:
    finished = _FINISHED_BY_DOMAIN.get(domain)
    try:
        return finished is not None and finished(recorded.event)
    except (UnknownType, Undecodable):
        return False
