"""Triggers rules by what happens to orders and strategies: a consumer, followed under a lease.

A rule is triggered by the first fitting event that stands after its arming in the log. To judge
that, the rulebook must have come as far; what it knows beyond does no harm, for rules know where
they were armed. Taking events again changes nothing (`alarms`).
"""

import asyncio
from collections.abc import Sequence

from tapewire.log import RecordedEvent, pattern
from tapewire.log.catch_up_subscription import EventConsumer
from tapewire_services.alerts.armed_rule_index import ArmedRuleIndex
from tapewire_services.alerts.domain.armed_rules import ArmedRule
from tapewire_services.alerts.domain.event_messages import (
    RULE_KIND_BY_EVENT_TYPE,
    to_trigger_candidate,
)
from tapewire_services.alerts.domain.message_types import TriggerCandidate
from tapewire_services.alerts.event_decoding import decode_if_wanted
from tapewire_services.alerts.rule_trigger import RuleTrigger, TriggerCause

FILTERS_BY_CHECKPOINT_NAME = {
    "alerts-of-orders": pattern(domain="orders"),
    "alerts-of-strategies": pattern(domain="strategies"),
    "alerts-of-reports": pattern(domain="reports"),
}
"""Names of followers and what they follow. Tapewire's own events of one kind come from one domain,
so for each rule they are in the order of the log. What other programs report is in order too, and
beside it: of one of each that come at once, the one that is found first triggers the rule."""


class EventRuleConsumer(EventConsumer):
    """Keeps no state but the cursor that its follower keeps."""

    def __init__(self, armed_rules: ArmedRuleIndex, rule_trigger: RuleTrigger) -> None:
        self._armed_rules = armed_rules
        self._rule_trigger = rule_trigger

    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        occasions = [(recorded, found) for recorded in events if (found := _to_candidate(recorded))]
        if not occasions:
            return
        await self._armed_rules.wait_until_applied(occasions[-1][0].sequence)
        first: dict[str, tuple[ArmedRule, TriggerCause]] = {}
        for recorded, found in occasions:
            user = recorded.event_subject.owner
            for armed in self._armed_rules.find_triggered(
                user, found.kind, found.symbol, recorded.sequence
            ):
                first.setdefault(armed.rule.rule_id, (armed, _to_cause(recorded, found)))
        await asyncio.gather(*[self._rule_trigger.trigger(*one) for one in first.values()])


def _to_candidate(recorded: RecordedEvent) -> TriggerCandidate | None:
    event = decode_if_wanted(recorded, RULE_KIND_BY_EVENT_TYPE)
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
