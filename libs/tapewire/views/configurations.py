"""A user's configurations, and which items match one."""

from typing import ClassVar, Self

from tapewire.events import (
    CODEC,
    Configuration,
    ConfigurationDeleted,
    ConfigurationEvent,
    Event,
    Item,
)


def configuration_matches(configuration: Configuration, item: Item) -> bool:
    """Whether `item` has any of the configuration's tickers and, if the configuration has tags, any
    of those."""
    if set(configuration.tickers).isdisjoint(item.tickers):
        return False
    return not configuration.tags or not set(configuration.tags).isdisjoint(item.tags)


class ConfigurationsView:
    """The configurations of one user that were not deleted."""

    domain: ClassVar[str] = "configurations"

    def __init__(self) -> None:
        self._configurations: dict[str, Configuration] = {}

    def apply(self, event: Event) -> None:
        """Apply one event of the user's configurations."""
        if isinstance(event, ConfigurationDeleted):
            self._configurations.pop(event.configuration.id, None)
        elif isinstance(event, ConfigurationEvent):
            self._configurations[event.configuration.id] = event.configuration

    def configurations(self) -> list[Configuration]:
        """The configurations, the oldest first."""
        return list(self._configurations.values())

    def get(self, configuration_id: str) -> Configuration | None:
        """The configuration with that id, or None."""
        return self._configurations.get(configuration_id)

    def encode(self) -> bytes:
        return CODEC.encode(self.configurations())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        view = cls()
        for configuration in CODEC.decode(data, list[Configuration]):
            view._configurations[configuration.id] = configuration
        return view
