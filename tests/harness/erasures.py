"""Erasures of users, as `tapewire journal erase` appends them."""

from datetime import UTC, datetime

from tapewire.events import CODEC
from tapewire.log import EventLog, RecordedEvent
from tapewire.log.erasures import ERASURE_TAG, make_erasure, make_erasure_drafts

ERASED_AT = datetime(2026, 3, 2, 15, tzinfo=UTC)


async def append_erasure(log: EventLog, user: str) -> int:
    """Append the erasure of `user`; the sequence of its last event."""
    return await log.append(make_erasure_drafts(make_erasure(f"of-{user}", user, ERASED_AT)))


def recorded_erasure(user: str, sequence: int, domain: str) -> RecordedEvent:
    """The erasure of `user` in `domain`, stored at `sequence`."""
    drafts = make_erasure_drafts(make_erasure(f"of-{user}", user, ERASED_AT))
    [draft] = [one for one in drafts if one.subject.domain == domain]
    return RecordedEvent(
        sequence=sequence,
        subject=str(draft.subject),
        tag=ERASURE_TAG,
        data=CODEC.encode(draft.event),
        metadata=draft.metadata,
        time=ERASED_AT,
    )
