"""Events for the contract: small ones, told apart by a note, on any subject."""

from collections.abc import Sequence
from datetime import UTC, datetime

from tapewire.events import AgentState, AgentStatusChanged
from tapewire.log import Draft, EventLog, Meta, Recorded, Subject, new_id

TIME = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


def happened(note: str = "") -> AgentStatusChanged:
    """An event that carries `note`."""
    return AgentStatusChanged(
        service="test", instance="1", state=AgentState.RUNNING, detail=note, timestamp=TIME
    )


def subject(name: str) -> Subject:
    """``alice/orders/7`` as a subject; the parts are plain texts."""
    owner, domain, entity = name.split("/")
    return Subject(owner, domain, entity)


def draft(
    on: str = "alice/orders/1", note: str = "", *, event_id: str = "", expect: int | None = None
) -> Draft:
    meta = Meta(id=event_id or new_id(), correlation="c-1")
    return Draft(subject=subject(on), event=happened(note), meta=meta, expect=expect)


def notes(events: Sequence[Recorded]) -> list[str]:
    """What the events carry."""
    return [note(recorded) for recorded in events]


def note(recorded: Recorded) -> str:
    event = recorded.event
    assert isinstance(event, AgentStatusChanged)
    return event.detail or ""


def sequences(events: Sequence[Recorded]) -> list[int]:
    return [recorded.sequence for recorded in events]


async def everything(log: EventLog, filter_: str = "ev.>", after: int = 0) -> list[Recorded]:
    """All that `filter_` takes, page by page."""
    events: list[Recorded] = []
    more = True
    while more:
        page = await log.page(filter_, after=after)
        events += page.events
        after = events[-1].sequence if events else after
        more = page.more
    return events
