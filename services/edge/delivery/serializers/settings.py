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
from tapewire.payloads.trading import ConfigurationUpdatePayload, RuleUpdatePayload
from tapewire_services.edge.delivery.serializers.serializer import PricingContext, SseMessage

_CHANGE_BY_EVENT: dict[type[Event], str] = {
    RuleCreated: "created",
    RuleTriggered: "triggered",
    RuleArmed: "armed",
    RuleSplit: "split",
    RuleDeleted: "deleted",
    ConfigurationCreated: "created",
    ConfigurationChanged: "changed",
    ConfigurationDeleted: "deleted",
}


def serialize_settings(event: Event, owner: str, pricing: PricingContext) -> SseMessage | None:  # noqa: ARG001
    """The message for `event`; None for anything but a change of a rule or configuration."""
    change = _CHANGE_BY_EVENT.get(type(event))
    if change is None:
        return None
    if isinstance(event, RuleEvent):
        alert_id = event.alert_id if isinstance(event, RuleTriggered) else None
        fields = msgspec.structs.asdict(event.rule)
        return "rule:update", RuleUpdatePayload(**fields, change=change, alert_id=alert_id)
    if isinstance(event, ConfigurationEvent):
        fields = msgspec.structs.asdict(event.configuration)
        return "configuration:update", ConfigurationUpdatePayload(**fields, change=change)
    return None
