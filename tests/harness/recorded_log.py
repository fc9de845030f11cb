"""Reads what tests cause: typed events, the log of a trial, and the services' log lines."""

from typing import TypeVar

import msgspec

from tapewire.events import Event
from tapewire.log import EventLog, RecordedEvent

EventT = TypeVar("EventT", bound=Event)


def event_of(recorded: RecordedEvent, event_type: type[EventT]) -> EventT:
    """The event, which must have that type."""
    event = recorded.event
    assert isinstance(event, event_type), recorded
    return event


async def read_events(log: EventLog, filter_: str = "ev.>", after: int = 0) -> list[RecordedEvent]:
    """All events after sequence `after` that match `filter_`, read page by page."""
    events: list[RecordedEvent] = []
    more = True
    while more:
        page = await log.page(filter_, after=after)
        events += page.events
        after = events[-1].sequence if events else after
        more = page.has_more
    return events


async def read_new_events(log: EventLog, events: list[RecordedEvent]) -> None:
    """Append to `events` what the log holds beyond them."""
    events += await read_events(log, after=events[-1].sequence if events else 0)


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
