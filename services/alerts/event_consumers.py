"""The consumers of events that trigger rules or cause notifications, each run under a lease.

An event triggers the rules that were armed before it in the log. `EventRuleConsumer` therefore
waits until the index of armed rules has reached the event; later rules do no harm, because each has
the sequence at which it was armed. `NotificationConsumer` writes a notification per event. Handling
an event again changes nothing (`rule_trigger`, `notification_writer`), so both keep no state but
their position.
"""

import asyncio
from collections.abc import Collection, Sequence

import structlog

from tapewire.events import CATALOGUE, Event, Undecodable, UnknownType
from tapewire.log import BadSubject, RecordedEvent, pattern
from tapewire.log.catch_up_subscription import EventConsumer
from tapewire_services.alerts.armed_rule_index import ArmedRuleIndex
from tapewire_services.alerts.domain.armed_rules import ArmedRule, TriggerCandidate
from tapewire_services.alerts.domain.event_messages import (
    NOTIFIED_EVENT_TYPES,
    RULE_KIND_BY_EVENT_TYPE,
    to_notification_content,
    to_trigger_candidate,
)
from tapewire_services.alerts.domain.notifications import CreateNotificationCommand
from tapewire_services.alerts.notification_writer import NotificationWriter, PendingNotification
from tapewire_services.alerts.rule_trigger import RuleTrigger, TriggerCause

RULE_TRIGGER_FILTERS = {
    "alerts-of-orders": pattern(domain="orders"),
    "alerts-of-strategies": pattern(domain="strategies"),
    "alerts-of-reports": pattern(domain="reports"),
}
"""The filter of each subscription that triggers rules, by its name. Tapewire's own events of one
kind come from one domain, so a rule sees them in the order of the log. Reports of other programs
are in order too, but in a subscription of their own: when an event and a report come at once, the
one that is read first triggers the rule."""
NOTIFICATION_FILTERS = {
    "notifications-of-orders": pattern(domain="orders"),
    "notifications-of-strategies": pattern(domain="strategies"),
    "notifications-of-alerts": pattern(domain="alerts"),
    "notifications-of-reports": pattern(domain="reports"),
}
"""The filter of each subscription that writes notifications, by its name."""

logger = structlog.get_logger("alerts")


class EventRuleConsumer(EventConsumer):
    """Triggers the rules of users whose events fit them."""

    def __init__(self, armed_rules: ArmedRuleIndex, rule_trigger: RuleTrigger) -> None:
        self._armed_rules = armed_rules
        self._rule_trigger = rule_trigger

    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        candidates = [(one, found) for one in events if (found := _to_candidate(one))]
        if not candidates:
            return
        await self._armed_rules.wait_until_applied(candidates[-1][0].sequence)
        first: dict[str, tuple[ArmedRule, TriggerCause]] = {}
        for recorded, found in candidates:
            user = recorded.event_subject.owner
            for armed in self._armed_rules.find_triggered(
                user, found.kind, found.symbol, recorded.sequence
            ):
                first.setdefault(armed.rule.rule_id, (armed, _to_cause(recorded, found)))
        await asyncio.gather(*[self._rule_trigger.trigger(*one) for one in first.values()])


def _to_candidate(recorded: RecordedEvent) -> TriggerCandidate | None:
    event = _decode_if_relevant(recorded, RULE_KIND_BY_EVENT_TYPE)
    return None if event is None else to_trigger_candidate(event)


def _to_cause(recorded: RecordedEvent, candidate: TriggerCandidate) -> TriggerCause:
    return TriggerCause(
        id=recorded.metadata.id,
        at=candidate.at,
        symbol=candidate.symbol,
        message=candidate.message,
        correlation=recorded.metadata.correlation,
        traceparent=recorded.metadata.traceparent,
    )


class NotificationConsumer(EventConsumer):
    """Writes the notifications that events cause."""

    def __init__(self, writer: NotificationWriter) -> None:
        self._writer = writer
        self._check_existing = True
        """The previous consumer may have written the first notifications already."""

    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        pending = [one for one in map(_to_pending_notification, events) if one is not None]
        if pending:
            existing_count = await self._writer.write_notifications(
                pending, check_existing=self._check_existing
            )
            self._check_existing = existing_count > 0


def _to_pending_notification(recorded: RecordedEvent) -> PendingNotification | None:
    event = _decode_if_relevant(recorded, NOTIFIED_EVENT_TYPES)
    content = None if event is None else to_notification_content(event)
    if content is None:
        return None
    meta = recorded.metadata
    command = CreateNotificationCommand(
        id=f"{meta.id}:notify", user=recorded.event_subject.owner, content=content
    )
    return PendingNotification(command, meta.correlation, meta.traceparent)


def _decode_if_relevant(
    recorded: RecordedEvent, event_types: Collection[type[Event]]
) -> Event | None:
    """The event if it has one of `event_types` and a valid subject, and can be decoded."""
    try:
        if CATALOGUE.struct_for_tag(recorded.tag) not in event_types:
            return None
        recorded.event_subject  # noqa: B018  # raises BadSubject
        return recorded.event
    except (UnknownType, Undecodable, BadSubject) as error:
        logger.warning("event.skipped", sequence=recorded.sequence, error=str(error))
        return None
