"""Views: pure folds of one owner's events into the state that a client sees now.

Each view is a class that implements `View`. It changes only in `apply` and reads no clock.
`tapewire.log.view_checkpoints` loads and saves views. Start at `orders`.
"""

from typing import ClassVar, Protocol, Self

from tapewire.events import Event
from tapewire.views.agents import AgentsView
from tapewire.views.configurations import ConfigurationsView
from tapewire.views.histories import (
    AlertHistory,
    ItemHistory,
    NotificationHistory,
    OrderHistory,
    StrategyHistory,
    TradeHistory,
)
from tapewire.views.history import HistoryView
from tapewire.views.metrics import MetricsView
from tapewire.views.notifications import NotificationsView
from tapewire.views.orders import OrdersView
from tapewire.views.positions import PositionsView
from tapewire.views.rules import RulesView
from tapewire.views.strategies import StrategiesView


class View(Protocol):
    """A fold of ``ev.{owner}.{domain}.>``. The constructor without arguments returns an empty
    view."""

    domain: ClassVar[str]

    def apply(self, event: Event) -> None:
        """Apply one event. Call it in the order of the log. Events of other types change
        nothing."""

    def encode(self) -> bytes:
        """The state as one line of JSON, with exact numbers."""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Restore the state that `encode` returned. Raises msgspec.DecodeError."""


__all__ = [
    "AgentsView",
    "AlertHistory",
    "ConfigurationsView",
    "HistoryView",
    "ItemHistory",
    "MetricsView",
    "NotificationHistory",
    "NotificationsView",
    "OrderHistory",
    "OrdersView",
    "PositionsView",
    "RulesView",
    "StrategiesView",
    "StrategyHistory",
    "TradeHistory",
    "View",
]
