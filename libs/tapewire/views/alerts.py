"""A user's most recent alerts."""

from collections import deque
from collections.abc import Iterable
from typing import ClassVar, Self

from tapewire.events import CODEC, AlertRaised, Event

MAX_ALERTS = 100
"""Alerts that the view retains."""


class AlertsView:
    """The alerts of one user."""

    domain: ClassVar[str] = "alerts"

    def __init__(self, alerts: Iterable[AlertRaised] = ()) -> None:
        self._alerts = deque(alerts, maxlen=MAX_ALERTS)

    def apply(self, event: Event) -> None:
        """Apply one event of the user's alerts."""
        if isinstance(event, AlertRaised):
            self._alerts.append(event)

    def alerts(self) -> list[AlertRaised]:
        """The alerts in the order of the log, the newest last."""
        return list(self._alerts)

    def encode(self) -> bytes:
        return CODEC.encode(self.alerts())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        return cls(CODEC.decode(data, list[AlertRaised]))
