"""Reads what tests cause: typed events, the log of a trial, and the services' log lines."""

from typing import TypeVar

import msgspec

from tapewire.events import Event
from tapewire.log import RecordedEvent
from tapewire.log.jetstream import JetStreamEventLog

EventT = TypeVar("EventT", bound=Event)


def event_of(recorded: RecordedEvent, event_type: type[EventT]) -> EventT:
    """The event, which must have that type."""
    event = recorded.event
    assert isinstance(event, event_type), recorded
    return event


async def read_new_events(log: JetStreamEventLog, events: list[RecordedEvent]) -> None:
    """Append to `events` what the log holds beyond them."""
    more = True
    while more:
        page = await log.page("ev.>", after=events[-1].sequence if events else 0)
        events += page.events
        more = page.has_more


def error_lines(log: str) -> list[str]:
    """Return the lines logged as errors, and the lines that are not JSON, such as a traceback."""
    found = []
    for line in log.splitlines():
        try:
            level = msgspec.json.decode(line)["level"]
        except (msgspec.DecodeError, TypeError, KeyError):
            level = "none"
        if level not in ("debug", "info", "warning"):
            found.append(line)
    return found
