"""What a request picked of a stream: one strategy, or the items of one configuration. Pure.

A selection says which events it takes, and learns from those that pass what it must know later: the
strategy as it is now, or the configuration as it was changed.
"""

from datetime import datetime
from typing import Protocol

from tapewire.events import (
    Configuration,
    ConfigurationEvent,
    DecisionMade,
    ErrorReported,
    ItemAnalysed,
    OrderEvent,
    OrderReport,
    StopLossReport,
    Strategy,
    StrategyEvent,
    StrategyReport,
    TradeExecuted,
    Undecodable,
    UnknownType,
)
from tapewire.log import EVERYBODY, RecordedEvent
from tapewire.views.configurations import configuration_matches
from tapewire_services.edge.delivery.serializers import SseMessage
from tapewire_services.edge.delivery.serializers.strategies import strategy_state_payload


class Selection(Protocol):
    """What is shown of a stream."""

    def includes(self, recorded: RecordedEvent) -> bool:
        """Whether an event is shown. Called once for each event of the stream, in order."""

    def idle_message(self, wall_time: datetime) -> SseMessage | None:
        """What an idle connection is sent; None for what its family is sent."""


class StrategySelection:
    """The events of a strategy and of its orders, and what other programs report of it by its id.
    `state_name` is what its state is told as to an idle connection; None tells none."""

    def __init__(self, owner: str, strategy: Strategy, state_event_name: str | None) -> None:
        self._owner = owner
        self._state_event_name = state_event_name
        self.strategy = strategy

    def includes(self, recorded: RecordedEvent) -> bool:
        try:
            event = recorded.event
        except (UnknownType, Undecodable):
            return False
        id_ = self.strategy.strategy_id
        if isinstance(event, StrategyEvent):
            if event.strategy.strategy_id != id_:
                return False
            self.strategy = event.strategy
            return True
        if isinstance(event, StrategyReport):
            return event.strategy.strategy_id == id_
        if isinstance(event, OrderEvent | OrderReport):
            return event.order.strategy_id == id_
        if isinstance(event, TradeExecuted | DecisionMade | StopLossReport | ErrorReported):
            return event.strategy_id == id_
        return recorded.event_subject.owner == EVERYBODY

    def idle_message(self, wall_time: datetime) -> SseMessage | None:  # noqa: ARG002
        if self._state_event_name is None:
            return None
        return self._state_event_name, strategy_state_payload(
            self._state_event_name, self.strategy, self._owner
        )


class ConfigurationSelection:
    """Items that a configuration shows: of any of its tickers, with any of its tags if there are
    some."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration

    def includes(self, recorded: RecordedEvent) -> bool:
        try:
            event = recorded.event
        except (UnknownType, Undecodable):
            return False
        if isinstance(event, ConfigurationEvent):
            if event.configuration.id == self.configuration.id:
                self.configuration = event.configuration
            return False
        return isinstance(event, ItemAnalysed) and configuration_matches(
            self.configuration, event.item
        )

    def idle_message(self, wall_time: datetime) -> SseMessage | None:  # noqa: ARG002
        return None
