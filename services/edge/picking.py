"""Looks up what a request picked by its path: a strategy, or a configuration, of the user's own.

The last event of the entity is its whole state, so one read of the log decides; no service is
asked. What belongs to somebody else is as good as unknown.
"""

from services.edge.feeds import Feed, Picks
from services.edge.selection import OneConfiguration, OneStrategy, Selection
from tapewire.events import (
    ConfigurationDeleted,
    ConfigurationEvent,
    Event,
    StrategyEvent,
)
from tapewire.log import EventLog, Subject, Unavailable

ID_CHARACTERS = 64


class Unknown(LookupError):
    """There is no such thing of this user's; says what."""


async def pick(log: EventLog, feed: Feed, owner: str, id_: str) -> Selection:
    """What `id_` names for `feed`.

    Raises:
        Unknown: nothing of the user's.
        Unavailable: the log cannot be asked.
    """
    if feed.picks is Picks.STRATEGY:
        event = await _last(log, owner, "strategies", id_)
        if not isinstance(event, StrategyEvent):
            raise Unknown("Strategy not found")
        state_name = "state_update" if feed.family.name == "strategies" else None
        return OneStrategy(owner, event.strategy, state_name)
    event = await _last(log, owner, "configurations", id_)
    if not isinstance(event, ConfigurationEvent) or isinstance(event, ConfigurationDeleted):
        raise Unknown("Configuration not found")
    return OneConfiguration(event.configuration)


async def _last(log: EventLog, owner: str, domain: str, id_: str) -> Event | None:
    if not 1 <= len(id_) <= ID_CHARACTERS:
        return None
    subject = str(Subject(owner, domain, id_))
    last = await log.last(subject)
    if not last:
        return None
    page = await log.page(subject, after=last - 1, limit=1)
    if not page.events:
        raise Unavailable(f"{subject} should reach {last}, a replica does not")
    return page.events[0].event
