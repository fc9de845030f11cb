"""The invariants of alert rules, alerts and notifications.

A rule is created once, and armed. It triggers only while armed, is not armed afterwards, and its
alert follows at the next sequence. A deleted rule has no further events. Only `armed` and the time
change. There is one alert per arming, and one notification per cause, which precedes it in the log.
"""

from tapewire.events import (
    AlertRaised,
    AlertRule,
    ErrorReported,
    Event,
    NotificationCreated,
    NotificationsRead,
    OrderFailed,
    OrderFilled,
    OrderRejected,
    OrderReportedExecuted,
    OrderReportedFailed,
    OrderReportedRejected,
    OrderStatus,
    RuleArmed,
    RuleCreated,
    RuleDeleted,
    RuleEvent,
    RuleKind,
    RuleSplit,
    RuleTriggered,
    StopLossReportedTriggered,
    StopLossTriggered,
    StrategyFailed,
    StrategyPositionAdjusted,
    StrategyReportedFailed,
    TakeProfitTriggered,
)
from tapewire.log import RecordedEvent
from tapewire.verify.findings import EventLocation, Findings, location_of
from tapewire.verify.invariants.splits import SplitInvariants
from tapewire.verify.reference_index import ReferenceIndex

IMMUTABLE_FIELDS = ("rule_id", "kind", "level", "symbol", "price", "percent", "window_seconds")
EVENT_TRIGGERED_KINDS = (RuleKind.ORDER_REJECTED, RuleKind.STRATEGY_ERROR, RuleKind.STOP_LOSS)
"""Rules that events of the log trigger."""
NOTIFY_SUFFIX = ":notify"
"""The suffix of a command id that notifies of the event before the suffix."""
NOTIFICATION_DOMAIN_BY_EVENT: dict[type[Event], str] = {
    OrderFilled: "orders",
    OrderRejected: "orders",
    OrderFailed: "orders",
    StrategyFailed: "strategies",
    StopLossTriggered: "strategies",
    TakeProfitTriggered: "strategies",
    StrategyPositionAdjusted: "strategies",
    AlertRaised: "alerts",
    OrderReportedExecuted: "reports",
    OrderReportedRejected: "reports",
    OrderReportedFailed: "reports",
    StrategyReportedFailed: "reports",
    StopLossReportedTriggered: "reports",
    ErrorReported: "reports",
}
"""Event types that users are notified of, and the domain whose subscription does so."""
NOTIFICATION_DOMAINS = tuple(dict.fromkeys(NOTIFICATION_DOMAIN_BY_EVENT.values()))


class AlertInvariants:
    """Checks rules, alerts and notifications. `notified_up_to` is the sequence that the
    notifications of each domain have reached."""

    def __init__(
        self,
        findings: Findings,
        event_ids: ReferenceIndex,
        unique_facts: ReferenceIndex,
        splits: SplitInvariants,
        *,
        notified_up_to: dict[str, int],
        has_full_history: bool,
    ) -> None:
        self._findings = findings
        self._event_ids = event_ids
        self._unique_facts = unique_facts
        self._notified_up_to = notified_up_to
        self._has_full_history = has_full_history
        self._splits = splits
        self._rules: dict[str, AlertRule] = {}
        self._pending_causes: dict[str, tuple[EventLocation, str]] = {}

    def __len__(self) -> int:
        return len(self._rules)

    def check_rule(self, recorded: RecordedEvent, event: RuleEvent) -> None:
        """Check an event of a rule."""
        findings, rule = self._findings, event.rule
        findings.compare(recorded, "ruleId", rule.rule_id, recorded.event_subject.entity)
        before = self._rules.get(recorded.subject)
        if isinstance(event, RuleCreated):
            findings.entity_counts["rules"] += 1
            self._unique_facts.define(f"created {recorded.subject}", recorded.sequence)
        elif before is None:
            if self._has_full_history:
                findings.report_event(recorded, "the rule was never created, or deleted before")
        else:
            self._check_transition(recorded, event, before)
        armed = isinstance(event, RuleCreated | RuleArmed)
        if isinstance(event, RuleSplit):
            armed = rule.armed if before is None else before.armed
        findings.compare(recorded, "armed", rule.armed, armed)
        if (
            isinstance(event, RuleTriggered)
            and rule.kind in EVENT_TRIGGERED_KINDS
            and self._has_full_history
        ):
            cause = event.command_id.removesuffix(f":{rule.rule_id}")
            self._event_ids.reference(f"event {cause}", recorded.sequence)
        self._rules[recorded.subject] = rule
        if isinstance(event, RuleDeleted):
            del self._rules[recorded.subject]

    def _check_transition(
        self, recorded: RecordedEvent, event: RuleEvent, before: AlertRule
    ) -> None:
        findings, rule = self._findings, event.rule
        if isinstance(event, RuleSplit):
            self._splits.check_rule(recorded, event, before)
        for name in IMMUTABLE_FIELDS:
            if name == "price" and isinstance(event, RuleSplit):
                continue
            if getattr(rule, name) != getattr(before, name):
                findings.compare(recorded, name, getattr(rule, name), getattr(before, name))
        if rule.timestamp < before.timestamp:
            findings.report_event(recorded, f"its time goes back to {rule.timestamp.isoformat()}")
        if isinstance(event, RuleTriggered) and not before.armed:
            findings.report_event(recorded, "the rule was not armed")
        if isinstance(event, RuleArmed) and before.armed:
            findings.report_event(recorded, "the rule was armed before")

    def check_alert(
        self, recorded: RecordedEvent, alert: AlertRaised, trigger: RecordedEvent | None
    ) -> None:
        """Check an alert and the trigger right before it."""
        findings = self._findings
        findings.entity_counts["alerts"] += 1
        self._unique_facts.define(f"raised {recorded.subject}", recorded.sequence)
        findings.compare(recorded, "alertId", alert.alert_id, recorded.event_subject.entity)
        triggered = trigger.event if trigger is not None else None
        if isinstance(triggered, RuleTriggered) and trigger is not None:
            rule = triggered.rule
            found = (recorded.event_subject.owner, alert.alert_id, alert.rule_id, alert.level)
            expected = (trigger.event_subject.owner, triggered.alert_id, rule.rule_id, rule.level)
            findings.compare(recorded, "the alert", found, expected)
        elif alert.rule_id is not None and self._has_full_history:
            findings.report_event(recorded, f"rule {alert.rule_id} was not triggered right before")

    def record_cause(self, recorded: RecordedEvent, event: Event) -> None:
        """Record an event that the user must be notified of."""
        follower = NOTIFICATION_DOMAIN_BY_EVENT.get(type(event))
        if follower is None:
            return
        if (
            isinstance(event, OrderFilled | OrderReportedExecuted)
            and event.order.status is not OrderStatus.FILLED
        ):
            return
        self._pending_causes[f"{recorded.metadata.id}{NOTIFY_SUFFIX}"] = (
            location_of(recorded),
            follower,
        )

    def check_notification(self, recorded: RecordedEvent, event: NotificationCreated) -> None:
        """Check a new notification."""
        findings, owner = self._findings, recorded.event_subject.owner
        findings.entity_counts["notifications"] += 1
        self._unique_facts.define(f"notified {owner} of {event.command_id}", recorded.sequence)
        self._unique_facts.define(
            f"notification {owner} {event.notification.id}", recorded.sequence
        )
        findings.compare(recorded, "id", event.notification.id, recorded.event_subject.entity)
        findings.compare(recorded, "isRead", event.notification.is_read, False)
        cause = self._pending_causes.pop(event.command_id, None)
        if cause is None and event.command_id.endswith(NOTIFY_SUFFIX) and self._has_full_history:
            named = event.command_id.removesuffix(NOTIFY_SUFFIX)
            findings.report_event(
                recorded, f"event {named} is not in the log, or was notified before"
            )

    def check_notifications_read(self, recorded: RecordedEvent, event: NotificationsRead) -> None:
        """Check the ids that were read."""
        if self._has_full_history:
            for id_ in event.ids or ():
                self._unique_facts.reference(
                    f"notification {recorded.event_subject.owner} {id_}", recorded.sequence
                )

    def finish(self) -> None:
        """Report missing alerts and notifications at the end of the log."""
        for at, follower in self._pending_causes.values():
            if at.sequence <= self._notified_up_to.get(follower, 0):
                self._findings.report_at(at, "its user was not notified")
            else:
                self._findings.pending_counts["notifications"] += 1
