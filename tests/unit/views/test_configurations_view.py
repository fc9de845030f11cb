"""The view of a user's configurations."""

from datetime import UTC, datetime

from tapewire.events import (
    Configuration,
    ConfigurationChanged,
    ConfigurationCreated,
    ConfigurationDeleted,
)
from tapewire.views import ConfigurationsView


def configuration(id: str, name: str = "Tech") -> Configuration:  # noqa: A002
    when = datetime(2026, 3, 2, tzinfo=UTC)
    return Configuration(id=id, name=name, tickers=("IBM",), tags=(), timestamp=when)


def test_the_view_has_the_existing_configurations_in_order() -> None:
    view = ConfigurationsView()
    for id_ in ("a", "b", "c"):
        view.apply(ConfigurationCreated(configuration=configuration(id_), command_id=id_))
    view = ConfigurationsView.decode(view.encode())
    view.apply(ConfigurationChanged(configuration=configuration("a", "New"), command_id="d"))
    view.apply(ConfigurationDeleted(configuration=configuration("b"), command_id="e"))
    view = ConfigurationsView.decode(view.encode())
    assert [(one.id, one.name) for one in view.configurations()] == [("a", "New"), ("c", "Tech")]
    assert view.get("b") is None
    assert view.get("a") == configuration("a", "New")
