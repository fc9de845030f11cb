"""Which of the recorded events are worth decoding."""

from collections.abc import Collection

import structlog

from tapewire.events import CATALOGUE, Event, Undecodable, UnknownType
from tapewire.log import BadSubject, RecordedEvent

logger = structlog.get_logger("alerts")


def decode_if_wanted(
    recorded: RecordedEvent, wanted_types: Collection[type[Event]]
) -> Event | None:
    """The event, when it is of a type that is wanted, at a subject of ours, and can be read."""
    try:
        if CATALOGUE.struct_for_tag(recorded.tag) not in wanted_types:
            return None
        recorded.event_subject  # noqa: B018  # raises
        return recorded.event
    except (UnknownType, Undecodable, BadSubject) as error:
        logger.warning("passes over an event", sequence=recorded.sequence, error=str(error))
        return None
