"""Checks each event of the log against the invariants of its type.

Pure: `apply` receives every event in order and reports to `Findings`. Each event goes to the
invariants of its type, to the checkpoints that it concerns, and to the index of facts that may
occur only once. Start at `LogInspector.apply`.
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
    ItemChangedEvent,
    NotificationCreated,
    NotificationsRead,
    OrderEvent,
    OrderReport,
    PositionEvent,
    RuleEvent,
    SplitExecuted,
    StopLossReport,
    StrategyEvent,
    StrategyReport,
    TradeCorrected,
    TradeExecuted,
    Undecodable,
    UnknownType,
)
from tapewire.log import BadSubject, Bounds, RecordedEvent
from tapewire.verify.checkpoints import CheckpointVerifier
from tapewire.verify.erasures import ErasedUsers
from tapewire.verify.findings import Findings, VerificationDifference
from tapewire.verify.invariants.accounts import AccountInvariants
from tapewire.verify.invariants.alerts import NOTIFICATION_DOMAINS, AlertInvariants
from tapewire.verify.invariants.insights import InsightInvariants
from tapewire.verify.invariants.orders import OrderInvariants
from tapewire.verify.invariants.positions import PositionInvariants
from tapewire.verify.invariants.splits import SplitInvariants
from tapewire.verify.invariants.strategies import StrategyInvariants
from tapewire.verify.reference_index import ReferenceIndex
from tapewire.verify.successors import SuccessorChecker

FILLS_CHECKPOINT = "strategies-fills"
NOTIFICATION_CHECKPOINTS = {domain: f"notifications-of-{domain}" for domain in NOTIFICATION_DOMAINS}
"""The subscriptions whose checkpoints say which notifications must exist by now."""

REPORT_EVENT_TYPES = (StrategyReport, OrderReport, StopLossReport, ErrorReported)
"""Reports of other programs."""

Invariant = Callable[[RecordedEvent, Event, RecordedEvent | None], None]


class VerificationScope(msgspec.Struct, frozen=True, kw_only=True):
    """What is verified: the whole log, or the events of one user. `last_position_trade_sequence` is
    that of the trade that the last position event is for. `removed_count` events may be missing;
    those of `erased_users` before their erasure do not count."""

    bounds: Bounds
    last_position_trade_sequence: int
    user: str | None
    removed_count: int
    erased_users: ErasedUsers

    @property
    def has_full_history(self) -> bool:
        """Whether the log reaches back to its first event."""
        return self.bounds.first <= 1


class LogInspector:
    """Checks one log from its first event to its last."""

    def __init__(
        self, findings: Findings, checkpoints: CheckpointVerifier, scope: VerificationScope
    ) -> None:
        self._findings = findings
        self._checkpoints = checkpoints
        self._scope = scope
        self._successors = SuccessorChecker(findings, reads_all=scope.user is None)
        self.event_ids, self.unique_facts = ReferenceIndex(), ReferenceIndex()
        is_full, cursors = scope.has_full_history, checkpoints.cursors
        notified_up_to = {
            domain: cursors.get(name, 0) for domain, name in NOTIFICATION_CHECKPOINTS.items()
        }
        self._splits = SplitInvariants(findings, self.unique_facts, has_full_history=is_full)
        self._orders = OrderInvariants(
            findings, self.unique_facts, self._splits, has_full_history=is_full
        )
        self._positions = PositionInvariants(
            findings,
            last_position_trade_sequence=scope.last_position_trade_sequence,
            first_sequence=scope.bounds.first,
        )
        self._strategies = StrategyInvariants(
            findings,
            self.unique_facts,
            self._splits,
            fills_processed_up_to=cursors.get(FILLS_CHECKPOINT, 0),
            has_full_history=is_full,
        )
        self._alerts = AlertInvariants(
            findings,
            self.event_ids,
            self.unique_facts,
            self._splits,
            notified_up_to=notified_up_to,
            has_full_history=is_full,
        )
        self._insights = InsightInvariants(findings, self.unique_facts, has_full_history=is_full)
        self._accounts = AccountInvariants(findings, has_full_history=is_full)
        self._invariants_by_type: dict[type[Event], tuple[str, Invariant]] = {}
        self.event_count = 0
        self.unknown_type_counts: Counter[str] = Counter()
        self._next_sequence = scope.bounds.first
        self.missing_count = 0
        """The number of events that are not in the log."""
        self._allowed_gaps: list[tuple[int, int]] = []

    def apply(self, recorded: RecordedEvent) -> None:
        """Check the next event."""
        if self._scope.user is None and recorded.sequence != self._next_sequence:
            self._add_gap(recorded.sequence - 1)
        self._next_sequence = recorded.sequence + 1
        if self._is_erased(recorded):
            return
        self.event_count += 1
        self.event_ids.define(f"event {recorded.metadata.id}", recorded.sequence)
        event = self._decode(recorded)
        predecessor = self._successors.match_predecessor(recorded, event)
        if event is None:
            return
        self._checkpoints.apply(recorded)
        command, causation = getattr(event, "command_id", None), recorded.metadata.causation
        if command is not None and causation not in (None, command):
            self._findings.compare(recorded, "causation", causation, command)
        domain, check = self._invariant_for(type(event))
        if domain and recorded.event_subject.domain != domain:
            self._findings.report_event(recorded, f"{recorded.tag} belongs to {domain}")
        check(recorded, event, predecessor)
        self._accounts.apply(recorded, event)

    def _decode(self, recorded: RecordedEvent) -> Event | None:
        try:
            subject, event = recorded.event_subject, recorded.event
        except UnknownType:
            self.unknown_type_counts[recorded.tag] += 1
        except (Undecodable, BadSubject) as error:
            self._findings.report_event(recorded, str(error))
        else:
            if not (subject.owner and recorded.metadata.id):
                self._findings.report_event(recorded, "the event has no id")
            return event
        return None

    def _is_erased(self, recorded: RecordedEvent) -> bool:
        try:
            owner = recorded.event_subject.owner
        except BadSubject:
            return False
        return recorded.sequence < self._scope.erased_users.erased_up_to(owner)

    def _add_gap(self, last: int) -> None:
        """Count the sequences before the current event that are missing. Report all of them once
        they are more than were removed on purpose."""
        self.missing_count += last - self._next_sequence + 1
        self._allowed_gaps.append((self._next_sequence, last))
        if self.missing_count > self._scope.removed_count:
            for first, end in self._allowed_gaps:
                what = f"{first} to {end} are not in the log"
                self._findings.report(_log_difference(first, what))
            self._allowed_gaps.clear()

    def _invariant_for(self, event_type: type[Event]) -> tuple[str, Invariant]:
        if event_type not in self._invariants_by_type:
            matching = (
                (domain, check)
                for base, domain, check in self._invariants()
                if issubclass(event_type, base)
            )
            self._invariants_by_type[event_type] = next(matching, ("", _no_invariant))
        return self._invariants_by_type[event_type]

    def finish(self) -> None:
        """Report what is missing at the end of the log. The caller evaluates the indexes."""
        if self._scope.user is None and self._next_sequence <= self._scope.bounds.last:
            self._add_gap(self._scope.bounds.last)
        self._successors.finish()
        self._positions.finish()
        self._strategies.finish()
        self._alerts.finish()
        self._accounts.finish()
        self._checkpoints.finish()

    def _invariants(self) -> tuple[tuple[type[Event], str, Any], ...]:
        """Event types, the domain of each, and the check of its events."""
        return (
            (OrderEvent, "orders", self._check_order),
            (TradeExecuted, "trades", self._check_trade),
            (TradeCorrected, "trades", self._check_trade_correction),
            (PositionEvent, "positions", _without_predecessor(self._positions.check_position)),
            (StrategyEvent, "strategies", self._check_strategy),
            (DecisionMade, "decisions", self._strategies.check_decision),
            (RuleEvent, "rules", _without_predecessor(self._alerts.check_rule)),
            (AlertRaised, "alerts", self._check_alert),
            (
                NotificationCreated,
                "notifications",
                _without_predecessor(self._alerts.check_notification),
            ),
            (
                NotificationsRead,
                "notifications",
                _without_predecessor(self._alerts.check_notifications_read),
            ),
            (
                ConfigurationEvent,
                "configurations",
                _without_predecessor(self._insights.check_configuration),
            ),
            (SplitExecuted, "", self._check_split),
            (ItemAnalysed, "items", _without_predecessor(self._insights.check_item)),
            (ItemChangedEvent, "items", _without_predecessor(self._insights.check_item_change)),
            (AgentStatusChanged, "", _without_predecessor(self._insights.check_agent_status)),
            *(
                (kind, "reports", _without_predecessor(self._alerts.record_cause))
                for kind in REPORT_EVENT_TYPES
            ),
        )

    def _check_order(
        self, recorded: RecordedEvent, event: OrderEvent, _: RecordedEvent | None
    ) -> None:
        self._orders.check_order(recorded, event)
        self._strategies.record_fill(recorded, event)
        self._alerts.record_cause(recorded, event)

    def _check_trade(
        self, recorded: RecordedEvent, event: TradeExecuted, fill: RecordedEvent | None
    ) -> None:
        self._orders.check_trade(recorded, event, fill)
        self._positions.apply_trade(recorded, event)

    def _check_trade_correction(
        self, recorded: RecordedEvent, event: TradeCorrected, cause: RecordedEvent | None
    ) -> None:
        self._orders.check_trade_correction(recorded, event, cause)
        self._positions.apply_correction(recorded, event)

    def _check_split(
        self, recorded: RecordedEvent, event: SplitExecuted, _: RecordedEvent | None
    ) -> None:
        self._splits.check_split(recorded, event)
        if recorded.event_subject.domain == "trades":
            self._positions.apply_split(recorded, event)

    def _check_strategy(
        self, recorded: RecordedEvent, event: StrategyEvent, _: RecordedEvent | None
    ) -> None:
        self._strategies.check_strategy(recorded, event)
        self._alerts.record_cause(recorded, event)

    def _check_alert(
        self, recorded: RecordedEvent, event: AlertRaised, trigger: RecordedEvent | None
    ) -> None:
        self._alerts.check_alert(recorded, event, trigger)
        self._alerts.record_cause(recorded, event)


def _without_predecessor(check: Callable[[RecordedEvent, Any], None]) -> Invariant:
    return lambda recorded, event, _: check(recorded, event)


def _no_invariant(
    _recorded: RecordedEvent, _event: Event, _predecessor: RecordedEvent | None
) -> None:
    """No invariant concerns this type."""


def _log_difference(sequence: int, what: str) -> VerificationDifference:
    return VerificationDifference(owner="-", domain="log", entity="-", sequence=sequence, what=what)
