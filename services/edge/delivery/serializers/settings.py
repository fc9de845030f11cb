"""The serializer of what a user sets up: ``rule:update`` (alert rules) and
``configuration:update``."""

import msgspec

from tapewire.events import (
    ConfigurationChanged,
    ConfigurationCreated,
    ConfigurationDeleted,
    ConfigurationEvent,
    Event,
    RuleArmed,
    RuleCreated,
    RuleDeleted,
    RuleEvent,
    RuleSplit,
    RuleTriggered,
)
from tapewire.payloads.trading import (
    ConfigurationChange,
    ConfigurationUpdatePayload,
    RuleChange,
    RuleUpdatePayload,
)
from tapewire_services.edge.delivery.serializers.serializer import PricingContext, SseMessage

RULE_CHANGES: dict[type[Event], RuleChange] = {
    RuleCreated: "created",
    RuleTriggered: "triggered",
    RuleArmed: "armed",
    RuleSplit: "split",
    RuleDeleted: "deleted",
}
CONFIGURATION_CHANGES: dict[type[Event], ConfigurationChange] = {
    ConfigurationCreated: "created",
    ConfigurationChanged: "changed",
    ConfigurationDeleted: "deleted",
}


def serialize_settings(event: Event, owner: str, pricing: PricingContext) -> SseMessage | None:  # noqa: ARG001
    """The message for `event`; None for anything but a change of a rule or configuration."""
    if isinstance(event, RuleEvent) and (rule_change := RULE_CHANGES.get(type(event))):
        alert_id = event.alert_id if isinstance(event, RuleTriggered) else None
        fields = msgspec.structs.asdict(event.rule)
        return "rule:update", RuleUpdatePayload(**fields, change=rule_change, alert_id=alert_id)
    if isinstance(event, ConfigurationEvent) and (change := CONFIGURATION_CHANGES.get(type(event))):
        fields = msgspec.structs.asdict(event.configuration)
        return "configuration:update", ConfigurationUpdatePayload(**fields, change=change)
    return None
