"""Selections: streams that show one strategy, or the items of one configuration. Pure.

A selection decides which events are shown. It observes the events that are delivered, to know the
current state of its strategy or configuration.
"""

from datetime import datetime
from typing import Protocol

from tapewire.events import (
    Configuration,
    ConfigurationEvent,
    DecisionMade,
    ErrorReported,
    Event,
    ItemAnalysed,
    ItemChangedEvent,
    OrderEvent,
    OrderReport,
    StopLossReport,
    Strategy,
    StrategyEvent,
    StrategyReport,
    TradeCorrected,
    TradeExecuted,
    Undecodable,
    UnknownType,
)
from tapewire.log import EVERYBODY, RecordedEvent
from tapewire.views.configurations import configuration_matches
from tapewire_services.edge.delivery.serializers import SseMessage
from tapewire_services.edge.delivery.serializers.strategies import state_update_message


class Selection(Protocol):
    """Selects the events that a stream shows."""

    def includes(self, recorded: RecordedEvent) -> bool:
        """Whether an event is shown."""

    def observe(self, recorded: RecordedEvent) -> None:
        """Update the selection; called once for each event of the owner, in order."""

    def idle_message(self, wall_time: datetime) -> SseMessage | None:
        """The message for an idle connection; None for the one of its family."""


class StrategySelection:
    """The events of a strategy and of its orders, and reports of other programs under its id.

    With `sends_state`, an idle connection is sent the current state of the strategy.
    """

    def __init__(self, owner: str, strategy: Strategy, *, sends_state: bool) -> None:
        self._owner = owner
        self._sends_state = sends_state
        self._strategy = strategy

    @property
    def strategy(self) -> Strategy:
        """The strategy as of the last observed event."""
        return self._strategy

    def update(self, strategy: Strategy) -> None:
        """Replace the state of the strategy by that of a snapshot."""
        self._strategy = strategy

    def observe(self, recorded: RecordedEvent) -> None:
        event = _decode(recorded)
        if isinstance(event, StrategyEvent) and self._is_selected(event.strategy.strategy_id):
            self._strategy = event.strategy

    def includes(self, recorded: RecordedEvent) -> bool:
        event = _decode(recorded)
        if event is None:
            return False
        if isinstance(event, StrategyEvent | StrategyReport):
            return self._is_selected(event.strategy.strategy_id)
        if isinstance(event, OrderEvent | OrderReport):
            return self._is_selected(event.order.strategy_id)
        if isinstance(
            event, TradeExecuted | TradeCorrected | DecisionMade | StopLossReport | ErrorReported
        ):
            return self._is_selected(event.strategy_id)
        return recorded.event_subject.owner == EVERYBODY

    def idle_message(self, wall_time: datetime) -> SseMessage | None:  # noqa: ARG002
        return state_update_message(self._strategy, self._owner) if self._sends_state else None

    def _is_selected(self, strategy_id: str | None) -> bool:
        return strategy_id == self._strategy.strategy_id


class ConfigurationSelection:
    """The items that match a configuration: one of its tickers, and one of its tags if it has
    any. A correction is included if the item matches before or after it."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    def observe(self, recorded: RecordedEvent) -> None:
        event = _decode(recorded)
        if (
            isinstance(event, ConfigurationEvent)
            and event.configuration.id == self._configuration.id
        ):
            self._configuration = event.configuration

    def includes(self, recorded: RecordedEvent) -> bool:
        event = _decode(recorded)
        if isinstance(event, ItemChangedEvent):
            return any(
                configuration_matches(self._configuration, item)
                for item in (event.previous, event.item)
            )
        return isinstance(event, ItemAnalysed) and configuration_matches(
            self._configuration, event.item
        )

    def idle_message(self, wall_time: datetime) -> SseMessage | None:  # noqa: ARG002
        return None


def _decode(recorded: RecordedEvent) -> Event | None:
    try:
        return recorded.event
    except (UnknownType, Undecodable):
        return None
