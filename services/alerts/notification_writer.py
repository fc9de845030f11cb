"""Writes notifications: of events (`Notifier`, a consumer followed under a lease), and as asked.

A notification's id is made of its cause, so whoever writes it again finds it there. Each is
appended as the first event of its subject. When one is refused, or all may have been told before,
the log is asked by one question which of many it has. Start at `Notifications.tell`.
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
    RecordedEvent,
    Unavailable,
    pattern,
)
from tapewire.log.catch_up_subscription import EventConsumer
from tapewire_services.alerts.domain.event_messages import (
    NOTIFIED_EVENT_TYPES,
    to_notification_content,
)
from tapewire_services.alerts.domain.notifications import (
    NOTIFICATION_DECIDER,
    CreateNotificationCommand,
    notification_subject,
)
from tapewire_services.alerts.event_decoding import decode_if_wanted

FILTERS_BY_CHECKPOINT_NAME = {
    "notifications-of-orders": pattern(domain="orders"),
    "notifications-of-strategies": pattern(domain="strategies"),
    "notifications-of-alerts": pattern(domain="alerts"),
    "notifications-of-reports": pattern(domain="reports"),
}
"""Names of followers and what they follow."""
MAX_SUBJECTS_PER_QUERY = 256
"""Notifications that one question is about."""
MAX_CONCURRENT_USERS = 64
"""Users notified at the same time; each in the order of the log."""
MAX_ATTEMPTS = 8
"""Times that the log is asked and told before its conflicts are given up, for now."""
INITIAL_LAG_WAIT_SECONDS = 0.02
"""What a replica is given to catch up before it is asked again; twice as long each later time."""


class PendingNotification(msgspec.Struct, frozen=True):
    """A notification to write, and what it belongs to."""

    command: CreateNotificationCommand
    correlation: str
    traceparent: str | None


class NotificationWriter:
    """All notifications, each told once."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_USERS)

    async def write_notifications(
        self, pending: Sequence[PendingNotification], *, check_existing: bool = False
    ) -> int:
        """Once this returns all of them are there, those of each user in the order given; how many
        were there before. `doubtful` guesses that some are, which saves appends that are refused.

        Raises LogError: perhaps not all are there; telling all again is harmless."""
        drafts = {str(notification_subject(one.command)): one for one in pending}
        there, subjects = 0, list(drafts)
        for start in range(0, len(subjects), MAX_SUBJECTS_PER_QUERY):
            some = {
                one: _to_draft(drafts[one])
                for one in subjects[start : start + MAX_SUBJECTS_PER_QUERY]
            }
            there += await self._write_batch(some, check_existing)
        return there

    async def _write_batch(self, drafts: dict[str, EventDraft], check_existing: bool) -> int:
        missing, there = dict(drafts), 0
        for attempt in range(MAX_ATTEMPTS):
            if check_existing:
                for recorded in await self._log.last_events(list(missing)):
                    del missing[recorded.subject]
                    there += 1
            await self._append_missing(missing)
            if not missing:
                return there
            check_existing = True
            await asyncio.sleep(INITIAL_LAG_WAIT_SECONDS * (2**attempt - 1))
        raise Unavailable(f"{len(missing)} notifications were refused {MAX_ATTEMPTS} times")

    async def _append_missing(self, missing: dict[str, EventDraft]) -> None:
        """Store what is missing, which is missing no more; of each user as far as it is taken."""
        users: defaultdict[str, list[str]] = defaultdict(list)
        for name, draft in missing.items():
            users[draft.subject.owner].append(name)
        done = await asyncio.gather(
            *[self._append_in_order(names, missing) for names in users.values()],
            return_exceptions=True,
        )
        for outcome in done:
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


class NotificationConsumer(EventConsumer):
    """Keeps no state but the cursor that its follower keeps."""

    def __init__(self, writer: NotificationWriter) -> None:
        self._writer = writer
        self._check_existing = True
        """Who followed before may have told what comes now."""

    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        tellings = [told for told in map(_to_pending_notification, events) if told is not None]
        if tellings:
            there = await self._writer.write_notifications(
                tellings, check_existing=self._check_existing
            )
            self._check_existing = there > 0


def _to_draft(pending: PendingNotification) -> EventDraft:
    """The first event of a notification, with the id that `Entities` would give it."""
    command = pending.command
    [happening] = NOTIFICATION_DECIDER.decide(NOTIFICATION_DECIDER.initial_state, command)
    meta = EventMetadata(
        id=f"{command.id}.0.0",
        correlation=pending.correlation,
        causation=command.id,
        traceparent=pending.traceparent,
    )
    return EventDraft(
        subject=happening.subject, event=happening.event, metadata=meta, expected_sequence=0
    )


def _to_pending_notification(recorded: RecordedEvent) -> PendingNotification | None:
    event = decode_if_wanted(recorded, NOTIFIED_EVENT_TYPES)
    found = None if event is None else to_notification_content(event)
    if found is None:
        return None
    meta = recorded.metadata
    command = CreateNotificationCommand(
        id=f"{meta.id}:notify", user=recorded.event_subject.owner, content=found
    )
    return PendingNotification(command, meta.correlation, meta.traceparent)
