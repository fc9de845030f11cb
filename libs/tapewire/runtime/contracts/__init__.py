"""The requests between services and their replies, one module per service.

A caller (the gateway, the strategies service, another team's program) needs no import of the
service that answers. The structs have no behaviour; the answering service validates their fields.
`CALLS` lists every request with its reply type.
"""

from typing import Any

from tapewire.runtime.contracts import (
    alerts,
    bars,
    configurations,
    insights,
    notifications,
    orders,
    positions,
    strategies,
)
from tapewire.runtime.contracts.request import ServiceCall

CALLS: tuple[ServiceCall[Any, Any], ...] = (
    *orders.CALLS,
    *positions.CALLS,
    *strategies.CALLS,
    *alerts.CALLS,
    *notifications.CALLS,
    *insights.CALLS,
    *configurations.CALLS,
    *bars.CALLS,
)

__all__ = [
    "CALLS",
    "ServiceCall",
    "alerts",
    "bars",
    "configurations",
    "insights",
    "notifications",
    "orders",
    "positions",
    "strategies",
]
