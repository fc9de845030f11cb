"""Small events for the contract tests, on any subject, distinguished by a note."""

from collections.abc import Sequence
from datetime import UTC, datetime

from tapewire.events import AgentState, AgentStatusChanged
from tapewire.log import EventDraft, EventMetadata, EventSubject, RecordedEvent, new_id

EVENT_TIME = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


def make_event(note: str = "") -> AgentStatusChanged:
    """An event that carries `note`."""
    return AgentStatusChanged(
        service="test", instance="1", state=AgentState.RUNNING, detail=note, timestamp=EVENT_TIME
    )


def make_subject(name: str) -> EventSubject:
    """``alice/orders/7`` as a subject; the parts are plain texts."""
    owner, domain, entity = name.split("/")
    return EventSubject(owner, domain, entity)


def make_draft(
    subject_name: str = "alice/orders/1",
    note: str = "",
    *,
    event_id: str = "",
    expected_sequence: int | None = None,
) -> EventDraft:
    meta = EventMetadata(id=event_id or new_id(), correlation="c-1")
    return EventDraft(
        subject=make_subject(subject_name),
        event=make_event(note),
        metadata=meta,
        expected_sequence=expected_sequence,
    )


def notes_of(events: Sequence[RecordedEvent]) -> list[str]:
    """The notes of the events."""
    return [note_of(recorded) for recorded in events]


def note_of(recorded: RecordedEvent) -> str:
    event = recorded.event
    assert isinstance(event, AgentStatusChanged)
    return event.detail or ""


def sequences_of(events: Sequence[RecordedEvent]) -> list[int]:
    return [recorded.sequence for recorded in events]
