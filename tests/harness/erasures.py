"""Erasures of users, as `tapewire journal erase` appends them, and what is left in files."""

from datetime import UTC, datetime
from pathlib import Path

from tapewire.events import CODEC
from tapewire.log import EventLog, RecordedEvent, encode_token
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


def find_in_files(folder: Path, user: str) -> list[str]:
    """The files below `folder` that hold the user's id, as text or as a token of a subject."""
    forms = {user.encode(), encode_token(user).encode()}
    return [
        str(file.relative_to(folder))
        for file in folder.rglob("*")
        if file.is_file() and any(form in file.read_bytes() for form in forms)
    ]
