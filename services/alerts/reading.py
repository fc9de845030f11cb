"""Which of the recorded events are worth decoding."""

from collections.abc import Collection

import structlog

from tapewire.events import CATALOGUE, Event, Undecodable, UnknownType
from tapewire.log import BadSubject, Recorded

logger = structlog.get_logger("alerts")


def read(recorded: Recorded, wanted: Collection[type[Event]]) -> Event | None:
    """The event, when it is of a type that is wanted, at a subject of ours, and can be read."""
    try:
        if CATALOGUE.struct(recorded.tag) not in wanted:
            return None
        recorded.place  # noqa: B018  # raises
        return recorded.event
    except (UnknownType, Undecodable, BadSubject) as error:
        logger.warning("passes over an event", sequence=recorded.sequence, error=str(error))
        return None
