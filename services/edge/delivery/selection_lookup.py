"""Looks up what a request picked by its path: a strategy, or a configuration, of the user's own.

The last event of the entity is its whole state, so one read of the log decides; no service is
asked. What belongs to somebody else is as good as unknown.
"""

from tapewire.events import (
    ConfigurationDeleted,
    ConfigurationEvent,
    Event,
    StrategyEvent,
)
from tapewire.log import EventLog, EventSubject, Unavailable
from tapewire_services.edge.delivery.selection import (
    ConfigurationSelection,
    Selection,
    StrategySelection,
)
from tapewire_services.edge.delivery.stream_routes import RouteParameter, StreamRoute

MAX_ID_CHARACTERS = 64


class SelectionNotFound(LookupError):
    """There is no such thing of this user's; says what."""


async def load_selection(
    log: EventLog, route: StreamRoute, owner: str, entity_id: str
) -> Selection:
    """What `id_` names for `feed`.

    Raises:
        Unknown: nothing of the user's.
        Unavailable: the log cannot be asked.
    """
    if route.parameter is RouteParameter.STRATEGY:
        event = await _read_last_event(log, owner, "strategies", entity_id)
        if not isinstance(event, StrategyEvent):
            raise SelectionNotFound("Strategy not found")
        state_name = "state_update" if route.family.name == "strategies" else None
        return StrategySelection(owner, event.strategy, state_name)
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
        raise Unavailable(f"{subject} should reach {last}, a replica does not")
    return page.events[0].event
