"""The REST API: one Litestar controller for each resource.

A controller decodes the request's body strictly, turns it into a request to the service that owns
the resource, and returns the service's reply. A rejected command becomes an HTTP status with the
path of the field at fault; a service that does not answer becomes a 503. Each call carries its
correlation id into the command that it causes.

Handlers receive two dependencies: `context` (`context.ControllerContext`, shared by the process)
and `session` (who calls; 401 for nobody). Start reading at `orders`.
"""

from collections.abc import Sequence

from litestar import Controller

from tapewire_services.edge.http.controllers.admin import AdminController
from tapewire_services.edge.http.controllers.alerts import AlertController, AlertRuleController
from tapewire_services.edge.http.controllers.bars import BarController
from tapewire_services.edge.http.controllers.configurations import ConfigurationController
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    build_dependencies,
    reject_unknown_parameters,
)
from tapewire_services.edge.http.controllers.health import HealthController
from tapewire_services.edge.http.controllers.items import ItemController
from tapewire_services.edge.http.controllers.metrics import MetricsController
from tapewire_services.edge.http.controllers.notifications import NotificationController
from tapewire_services.edge.http.controllers.operations import OperationsController
from tapewire_services.edge.http.controllers.orders import OrderController
from tapewire_services.edge.http.controllers.positions import AccountController, PositionController
from tapewire_services.edge.http.controllers.prices import PriceController
from tapewire_services.edge.http.controllers.session import SessionController
from tapewire_services.edge.http.controllers.strategies import StrategyController
from tapewire_services.edge.http.controllers.stream_tickets import StreamTicketController
from tapewire_services.edge.http.controllers.streams import StreamController
from tapewire_services.edge.http.controllers.trades import TradeController

__all__ = [
    "CONTROLLERS",
    "ControllerContext",
    "build_dependencies",
    "reject_unknown_parameters",
]

CONTROLLERS: Sequence[type[Controller]] = (
    SessionController,
    StreamTicketController,
    StreamController,
    OrderController,
    TradeController,
    PriceController,
    BarController,
    PositionController,
    AccountController,
    StrategyController,
    AlertRuleController,
    AlertController,
    NotificationController,
    MetricsController,
    ItemController,
    ConfigurationController,
    OperationsController,
    AdminController,
    HealthController,
)
