"""How events become messages: a serializer for each kind of front end. Pure.

A serializer gives an event the SSE name and payload that its front ends expect, or None when it
does not show the event; `PricingContext` supplies prices and totals that the event itself lacks. An
`ApiFamily` adds the rest of a front end's conventions: how a stream begins, and what an idle one is
sent. All names of SSE events are in this package. Start reading at `api_family`.
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
