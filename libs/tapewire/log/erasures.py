"""Erasures of users in the log: how one is appended, and how a consumer recognises it.

`tapewire journal erase` appends an erasure before it removes the user's events. A consumer that
reads one forgets the user; one that starts later finds the erasure in the log, and none of the
events. Start at `erasure_of`.
"""

import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime

from tapewire.events import CATALOGUE, ERASURE_DOMAINS, Undecodable, UnknownType, UserErased
from tapewire.events.erasure import digest_user
from tapewire.log.ports import EventDraft, EventMetadata, RecordedEvent
from tapewire.log.subjects import EVERYBODY, EventSubject

ERASURE_TAG = CATALOGUE.tag_of(UserErased)
_SALT_BYTES = 16


def erasure_of(recorded: RecordedEvent) -> UserErased | None:
    """The erasure that `recorded` is; None for any other event."""
    if recorded.tag != ERASURE_TAG:
        return None
    try:
        event = recorded.event
    except (UnknownType, Undecodable):
        return None
    return event if isinstance(event, UserErased) else None


def split_at_erasures(
    events: Sequence[RecordedEvent],
) -> Iterator[tuple[Sequence[RecordedEvent], UserErased | None]]:
    """The events up to each erasure, with that erasure, and last those after it with None."""
    start = 0
    for index, recorded in enumerate(events):
        erasure = erasure_of(recorded)
        if erasure is not None:
            yield events[start:index], erasure
            start = index + 1
    yield events[start:], None


def make_erasure(erasure_id: str, user: str, at: datetime) -> UserErased:
    """The erasure of `user`, with a new salt."""
    salt = secrets.token_hex(_SALT_BYTES)
    return UserErased(
        erasure_id=erasure_id, salt=salt, digest=digest_user(salt, user), timestamp=at
    )


def make_erasure_drafts(erasure: UserErased) -> list[EventDraft]:
    """The events to append, one for each domain, as one batch."""
    return [
        EventDraft(
            subject=EventSubject(EVERYBODY, domain, erasure.erasure_id),
            event=erasure,
            metadata=EventMetadata(
                id=f"{erasure.salt}.{domain}", correlation=erasure.erasure_id, causation=None
            ),
        )
        for domain in ERASURE_DOMAINS
    ]
