"""The view of a user's alerts."""

from datetime import UTC, datetime

from tapewire.events import AlertLevel, AlertRaised
from tapewire.views import AlertsView
from tapewire.views.alerts import MAX_ALERTS


def raised(number: int) -> AlertRaised:
    return AlertRaised(
        alert_id=f"a{number}",
        level=AlertLevel.ERROR,
        message="it is",
        symbol=None,
        rule_id=None,
        timestamp=datetime(2026, 3, 2, tzinfo=UTC),
    )


def test_the_view_has_the_last_alerts_in_order() -> None:
    view = AlertsView()
    for number in range(MAX_ALERTS + 5):
        view.apply(raised(number))
        view = AlertsView.decode(view.encode())
    ids = [one.alert_id for one in view.alerts()]
    assert ids == [f"a{number}" for number in range(5, MAX_ALERTS + 5)]
