"""Where the failed events of durable subscriptions are recorded.

`FailedEventStore` is the port; `tapewire.log.failed_events` uses it.
"""

from datetime import datetime
from typing import Protocol

import msgspec

REMOVAL_MEMORY_SECONDS = 60
"""How long a store knows that an event was removed."""


class FailedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that is tried again or parked.

    `attempts` counts tries that were begun. `error` is the last error. `next_attempt_at` is None
    once the event is parked. An event without attempts waits for an earlier one of its subject.
    """

    subscription: str
    sequence: int
    subject: str
    tag: str
    event_id: str
    attempts: int
    error: str
    failed_at: datetime
    next_attempt_at: datetime | None

    @property
    def is_parked(self) -> bool:
        return self.next_attempt_at is None


class StoredFailedEvent(msgspec.Struct, frozen=True):
    """A failed event as stored; `revision` changes with every change of it."""

    event: FailedEvent
    revision: int


class StorePosition(msgspec.Struct, frozen=True):
    """How far the changes of a store were read: up to `revision` of the incarnation `epoch`."""

    epoch: str
    revision: int


class FailedEventChanges(msgspec.Struct, frozen=True):
    """Changes of the failed events of one subscription, up to `position`. `removed` has sequences
    of events, and the revision of the removal of each. With `is_all`, `stored` has all failed
    events, and those that are not in it are gone."""

    stored: list[StoredFailedEvent]
    removed: dict[int, int]
    position: StorePosition
    is_all: bool


class FailedEventStore(Protocol):
    """Where failed events are recorded. All methods raise LogError."""

    async def get_all(self, subscription: str | None = None) -> list[StoredFailedEvent]:
        """The failed events of one subscription or of all, in the order of the log. The newest may
        be missing."""

    async def changes(self, subscription: str, since: StorePosition | None) -> FailedEventChanges:
        """What was stored and removed after `since`, a position of less than
        `REMOVAL_MEMORY_SECONDS` ago; everything if it is None or belongs to a store that was
        replaced. The newest may be missing; later changes have it."""

    async def sequences(self, subscription: str, subject: str) -> list[int]:
        """The sequences of all failed events of `subject`, ascending, as of this moment."""

    async def put(self, event: FailedEvent, expected_revision: int) -> int:
        """Store `event` in place of its stored version and return the new revision.

        Args:
            expected_revision: 0 if the event is not stored yet.

        Raises:
            Conflict: the stored version has another revision.
        """

    async def remove(self, event: FailedEvent, revision: int) -> bool:
        """Remove the event unless it was changed since `revision`; whether it was removed."""


async def retry_parked(store: FailedEventStore, stored: StoredFailedEvent, now: datetime) -> None:
    """Ask the processes of the subscription to try the event once more.

    Raises:
        Conflict: somebody else changed the event meanwhile.
    """
    await store.put(msgspec.structs.replace(stored.event, next_attempt_at=now), stored.revision)
