"""Looks up the strategy or configuration that the path of a request names.

The last event of an entity carries its complete state, so one read of the log suffices. An entity
of another user is not found.
"""

from tapewire.events import ConfigurationDeleted, ConfigurationEvent, Event, StrategyEvent
from tapewire.log import EventLog, EventSubject, Unavailable
from tapewire_services.edge.delivery.selection import (
    ConfigurationSelection,
    Selection,
    StrategySelection,
)
from tapewire_services.edge.delivery.serializers import STRATEGIES
from tapewire_services.edge.delivery.stream_routes import RouteParameter, StreamRoute

MAX_ID_CHARACTERS = 64


class SelectionNotFound(LookupError):
    """The user has no such strategy or configuration."""


async def load_selection(
    log: EventLog, route: StreamRoute, owner: str, entity_id: str
) -> Selection:
    """The selection of the user's entity `entity_id` for `route`.

    Raises:
        SelectionNotFound: the user has no such entity.
        Unavailable: the log cannot be reached.
    """
    if route.parameter is RouteParameter.STRATEGY:
        event = await _read_last_event(log, owner, "strategies", entity_id)
        if not isinstance(event, StrategyEvent):
            raise SelectionNotFound("Strategy not found")
        return StrategySelection(owner, event.strategy, sends_state=route.family is STRATEGIES)
    event = await _read_last_event(log, owner, "configurations", entity_id)
    if not isinstance(event, ConfigurationEvent) or isinstance(event, ConfigurationDeleted):
        raise SelectionNotFound("Configuration not found")
    return ConfigurationSelection(event.configuration)


async def _read_last_event(log: EventLog, owner: str, domain: str, entity_id: str) -> Event | None:
    if not 1 <= len(entity_id) <= MAX_ID_CHARACTERS:
        return None
    subject = str(EventSubject(owner, domain, entity_id))
    last = await log.last_sequence(subject)
    if not last:
        return None
    page = await log.page(subject, after=last - 1, limit=1)
    if not page.events:
        raise Unavailable(f"the last event of {subject}, {last}, is not on the replica yet")
    return page.events[0].event
