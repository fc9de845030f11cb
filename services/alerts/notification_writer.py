"""Writes notifications, for events and for requests of other programs.

The id of a notification follows from its cause, so writing it again finds it there. Each is
appended as the first event of its subject. When an append is rejected, or all notifications may
exist already, one query asks the log which of many exist. Start at `write_notifications`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from tapewire.log import (
    AlreadyStored,
    Conflict,
    EventDraft,
    EventLog,
    EventMetadata,
    OutcomeUnknown,
    Unavailable,
)
from tapewire_services.alerts.domain.notifications import (
    NOTIFICATION_DECIDER,
    CreateNotificationCommand,
    notification_subject,
)

MAX_SUBJECTS_PER_QUERY = 256
"""Notifications in one query."""
MAX_CONCURRENT_USERS = 64
"""Users notified at the same time; the order of each user's notifications is kept."""
MAX_ATTEMPTS = 8
"""Rounds of query and append before a conflict is reported as Unavailable."""
INITIAL_LAG_WAIT_SECONDS = 0.02
"""Time for a replica to catch up before the next query; it doubles with every round."""


class PendingNotification(msgspec.Struct, frozen=True):
    """A notification to write, with its correlation."""

    command: CreateNotificationCommand
    correlation: str
    traceparent: str | None


class NotificationWriter:
    """Writes each notification once."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_USERS)

    async def write_notifications(
        self, pending: Sequence[PendingNotification], *, check_existing: bool = False
    ) -> int:
        """Write notifications, those of each user in the order given. Return how many existed.

        Args:
            check_existing: query first, because some probably exist; it saves rejected appends.

        Raises:
            LogError: some may be missing; writing all of them again is safe.
        """
        drafts = {str(notification_subject(one.command)): one for one in pending}
        existing_count, subjects = 0, list(drafts)
        for start in range(0, len(subjects), MAX_SUBJECTS_PER_QUERY):
            batch = {
                one: _to_draft(drafts[one])
                for one in subjects[start : start + MAX_SUBJECTS_PER_QUERY]
            }
            existing_count += await self._write_batch(batch, check_existing)
        return existing_count

    async def _write_batch(self, drafts: dict[str, EventDraft], check_existing: bool) -> int:
        missing, existing_count = dict(drafts), 0
        for attempt in range(MAX_ATTEMPTS):
            if check_existing:
                for recorded in await self._log.last_events(list(missing)):
                    del missing[recorded.subject]
                    existing_count += 1
            await self._append_missing(missing)
            if not missing:
                return existing_count
            check_existing = True
            await asyncio.sleep(INITIAL_LAG_WAIT_SECONDS * (2**attempt - 1))
        raise Unavailable(f"{len(missing)} notifications were refused {MAX_ATTEMPTS} times")

    async def _append_missing(self, missing: dict[str, EventDraft]) -> None:
        """Append missing notifications and remove each stored one from `missing`. For each user,
        stop at the first that is not stored."""
        users: defaultdict[str, list[str]] = defaultdict(list)
        for name, draft in missing.items():
            users[draft.subject.owner].append(name)
        outcomes = await asyncio.gather(
            *[self._append_in_order(names, missing) for names in users.values()],
            return_exceptions=True,
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _append_in_order(
        self, subjects: Sequence[str], missing: dict[str, EventDraft]
    ) -> None:
        async with self._slots:
            for name in subjects:
                try:
                    await self._log.append([missing[name]])
                except (Conflict, AlreadyStored, OutcomeUnknown):
                    return
                del missing[name]


def _to_draft(pending: PendingNotification) -> EventDraft:
    """The first event of a notification, with the id that `CommandHandler` would give it."""
    command = pending.command
    [new_event] = NOTIFICATION_DECIDER.decide(NOTIFICATION_DECIDER.initial_state, command)
    meta = EventMetadata(
        id=f"{command.id}.0.0",
        correlation=pending.correlation,
        causation=command.id,
        traceparent=pending.traceparent,
    )
    return EventDraft(
        subject=new_event.subject, event=new_event.event, metadata=meta, expected_sequence=0
    )
