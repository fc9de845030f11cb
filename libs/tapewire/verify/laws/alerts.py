"""The laws of alert rules, alerts and notifications.

A rule is created once, armed; it is triggered only while armed, which it then is no more, with its
alert right behind; a deleted one is no more. Only that and the time ever change. There is one alert
an arming, and one notification a cause, which stands in the log before it.
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
    RuleTriggered,
    StopLossReportedTriggered,
    StopLossTriggered,
    StrategyFailed,
    StrategyReportedFailed,
)
from tapewire.log import Recorded
from tapewire.verify.findings import Findings, Place, place
from tapewire.verify.register import Register

SAME = ("rule_id", "kind", "level", "symbol", "price", "percent", "window_seconds")
OF_EVENTS = (RuleKind.ORDER_REJECTED, RuleKind.STRATEGY_ERROR, RuleKind.STOP_LOSS)
"""Rules that events of the log trigger."""
NOTIFY = ":notify"
"""Ends the id of a command that notifies of the event it is named after."""
TOLD: dict[type[Event], str] = {
    OrderFilled: "orders",
    OrderRejected: "orders",
    OrderFailed: "orders",
    StrategyFailed: "strategies",
    StopLossTriggered: "strategies",
    AlertRaised: "alerts",
    OrderReportedExecuted: "reports",
    OrderReportedRejected: "reports",
    OrderReportedFailed: "reports",
    StrategyReportedFailed: "reports",
    StopLossReportedTriggered: "reports",
    ErrorReported: "reports",
}
"""Events that users are notified of, and the domain whose follower does."""
TOLD_DOMAINS = tuple(dict.fromkeys(TOLD.values()))


class Alerts:
    """The law. `told_upto` is how far each domain was followed for notifications."""

    def __init__(
        self,
        findings: Findings,
        ids: Register,
        once: Register,
        *,
        told_upto: dict[str, int],
        whole: bool,
    ) -> None:
        self._findings = findings
        self._ids = ids
        self._register = once
        self._told_upto = told_upto
        self._whole = whole
        self._rules: dict[str, AlertRule] = {}
        self._causes: dict[str, tuple[Place, str]] = {}

    def __len__(self) -> int:
        return len(self._rules)

    def rule(self, recorded: Recorded, event: RuleEvent) -> None:
        """Take an event of a rule."""
        findings, rule = self._findings, event.rule
        findings.compare(recorded, "ruleId", rule.rule_id, recorded.place.entity)
        before = self._rules.get(recorded.subject)
        if isinstance(event, RuleCreated):
            findings.entities["rules"] += 1
            self._register.claim(f"created {recorded.subject}", recorded.sequence)
        elif before is None:
            if self._whole:
                findings.at(recorded, "the rule was never created, or deleted before")
        else:
            self._later(recorded, event, before)
        armed = isinstance(event, RuleCreated | RuleArmed)
        findings.compare(recorded, "armed", rule.armed, armed)
        if isinstance(event, RuleTriggered) and rule.kind in OF_EVENTS and self._whole:
            cause = event.command_id.removesuffix(f":{rule.rule_id}")
            self._ids.refer(f"event {cause}", recorded.sequence)
        self._rules[recorded.subject] = rule
        if isinstance(event, RuleDeleted):
            del self._rules[recorded.subject]

    def _later(self, recorded: Recorded, event: RuleEvent, before: AlertRule) -> None:
        findings, rule = self._findings, event.rule
        for name in SAME:
            if getattr(rule, name) != getattr(before, name):
                findings.compare(recorded, name, getattr(rule, name), getattr(before, name))
        if rule.timestamp < before.timestamp:
            findings.at(recorded, f"its time goes back to {rule.timestamp.isoformat()}")
        if isinstance(event, RuleTriggered) and not before.armed:
            findings.at(recorded, "the rule was not armed")
        if isinstance(event, RuleArmed) and before.armed:
            findings.at(recorded, "the rule was armed before")

    def alert(self, recorded: Recorded, alert: AlertRaised, trigger: Recorded | None) -> None:
        """Take an alert, and the trigger right before it."""
        findings = self._findings
        findings.entities["alerts"] += 1
        self._register.claim(f"raised {recorded.subject}", recorded.sequence)
        findings.compare(recorded, "alertId", alert.alert_id, recorded.place.entity)
        triggered = trigger.event if trigger is not None else None
        if isinstance(triggered, RuleTriggered) and trigger is not None:
            rule = triggered.rule
            told = (recorded.place.owner, alert.alert_id, alert.rule_id, alert.level)
            was = (trigger.place.owner, triggered.alert_id, rule.rule_id, rule.level)
            findings.compare(recorded, "the alert", told, was)
        elif alert.rule_id is not None and self._whole:
            findings.at(recorded, f"rule {alert.rule_id} was not triggered right before")

    def cause(self, recorded: Recorded, event: Event) -> None:
        """Note an event that its user must be notified of."""
        follower = TOLD.get(type(event))
        if follower is None:
            return
        if (
            isinstance(event, OrderFilled | OrderReportedExecuted)
            and event.order.status is not OrderStatus.FILLED
        ):
            return
        self._causes[f"{recorded.meta.id}{NOTIFY}"] = (place(recorded), follower)

    def notification(self, recorded: Recorded, event: NotificationCreated) -> None:
        """Take a new notification."""
        findings, owner = self._findings, recorded.place.owner
        findings.entities["notifications"] += 1
        self._register.claim(f"notified {owner} of {event.command_id}", recorded.sequence)
        self._register.claim(f"notification {owner} {event.notification.id}", recorded.sequence)
        findings.compare(recorded, "id", event.notification.id, recorded.place.entity)
        findings.compare(recorded, "isRead", event.notification.is_read, False)
        cause = self._causes.pop(event.command_id, None)
        if cause is None and event.command_id.endswith(NOTIFY) and self._whole:
            named = event.command_id.removesuffix(NOTIFY)
            findings.at(recorded, f"event {named} is not there, or was told of before")

    def read(self, recorded: Recorded, event: NotificationsRead) -> None:
        """Take what was read."""
        if self._whole:
            for id_ in event.ids or ():
                self._register.refer(
                    f"notification {recorded.place.owner} {id_}", recorded.sequence
                )

    def finish(self) -> None:
        """All was told."""
        for at, follower in self._causes.values():
            if at.sequence <= self._told_upto.get(follower, 0):
                self._findings.after(at, "its user was not notified")
            else:
                self._findings.pending["notifications"] += 1
