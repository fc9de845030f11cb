"""What services ask of each other: request and reply structs, a module a service.

They are here so that a caller (the gateway, a strategy's runner, another team's program) needs no
import of the service. Structs only, no behavior: what a field may hold is judged by the service
that answers. `CALLS` is every request there is, with the types of its question and answer.
"""

from typing import Any

from tapewire.runtime.contracts import (
    alerts,
    configurations,
    insights,
    notifications,
    orders,
    positions,
    strategies,
)
from tapewire.runtime.contracts.service_call import ServiceCall

CALLS: tuple[ServiceCall[Any, Any], ...] = (
    *orders.CALLS,
    *positions.CALLS,
    *strategies.CALLS,
    *alerts.CALLS,
    *notifications.CALLS,
    *insights.CALLS,
    *configurations.CALLS,
)

__all__ = [
    "CALLS",
    "ServiceCall",
    "alerts",
    "configurations",
    "insights",
    "notifications",
    "orders",
    "positions",
    "strategies",
]
