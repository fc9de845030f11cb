"""Views: pure folds of one owner's events, the state that a client should see now.

Each view is a class that fits `View`: it holds the fold's state, changes it only in `apply`, and
reads no clock. `tapewire.log.view_checkpoints` loads and saves them.
"""

from typing import ClassVar, Protocol, Self

from tapewire.events import Event
from tapewire.views.agents import AgentsView
from tapewire.views.alerts import AlertsView
from tapewire.views.configurations import ConfigurationsView
from tapewire.views.items import ItemsView
from tapewire.views.metrics import MetricsView
from tapewire.views.notifications import NotificationsView
from tapewire.views.orders import OrdersView
from tapewire.views.positions import PositionsView
from tapewire.views.rules import RulesView
from tapewire.views.strategies import StrategiesView


class View(Protocol):
    """A fold over ``ev.{owner}.{domain}.>``; empty when made without arguments."""

    domain: ClassVar[str]

    def apply(self, event: Event) -> None:
        """Fold one event, in the order of the log. Events of other kinds change nothing."""

    def encode(self) -> bytes:
        """The state as one line of JSON, numbers digit for digit."""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The state that `encode` gave. Raises msgspec.DecodeError."""


__all__ = [
    "AgentsView",
    "AlertsView",
    "ConfigurationsView",
    "ItemsView",
    "MetricsView",
    "NotificationsView",
    "OrdersView",
    "PositionsView",
    "RulesView",
    "StrategiesView",
    "View",
]
