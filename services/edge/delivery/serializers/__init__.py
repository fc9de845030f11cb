"""How events are told: a dialect for each kind of front end. Pure.

A dialect gives an event of `owner` the name and the payload that its front ends know, or None when
it does not speak of it; a `Scene` is what it may ask beside the event. A `Family` is a dialect with
the rest of a front end's manners: how a stream begins, and what an idle one is sent. Start reading
at `family`.
"""

from tapewire_services.edge.delivery.serializers.api_family import (
    DASHBOARD,
    NOTIFICATIONS,
    STRATEGIES,
    TRADING,
    ApiFamily,
)
from tapewire_services.edge.delivery.serializers.serializer import (
    EmptyPricingContext,
    PricingContext,
    Serializer,
    SseMessage,
)

__all__ = [
    "DASHBOARD",
    "NOTIFICATIONS",
    "STRATEGIES",
    "TRADING",
    "ApiFamily",
    "EmptyPricingContext",
    "PricingContext",
    "Serializer",
    "SseMessage",
]
