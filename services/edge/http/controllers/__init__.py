"""Doing things: REST calls become requests to the services that own what they touch.

A body is decoded strictly, a refusal becomes a status with the field's path, and a service that is
away a 503. Every call carries its correlation id into the command it makes. `shared` is what all
handlers stand on; the modules beside it are a resource each.
"""

from litestar.handlers import HTTPRouteHandler

from tapewire_services.edge.http.controllers import (
    alerts,
    insights,
    market,
    notifications,
    operations,
    orders,
    sessions,
    strategies,
)
from tapewire_services.edge.http.controllers.context import ControllerContext

__all__ = ["ControllerContext", "routes"]


def routes(context: ControllerContext) -> list[HTTPRouteHandler]:
    """Every REST handler, over `gateway`."""
    return [
        handler
        for resource in (
            sessions,
            orders,
            market,
            strategies,
            alerts,
            notifications,
            insights,
            operations,
        )
        for handler in resource.routes(context)
    ]
