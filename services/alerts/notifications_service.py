"""The requests that the alerts service answers about notifications: list, read, send."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from tapewire.events import NotificationsRead
from tapewire.log import (
    AlreadyStored,
    CommandRejected,
    Conflict,
    EventDraft,
    EventLog,
    EventMetadata,
    EventSubject,
    IdempotencyKey,
    LatestValueStore,
    Unavailable,
    derive_id,
    event_id,
    view_checkpoints,
)
from tapewire.log.history import HistoryReader
from tapewire.log.idempotency import is_key_used
from tapewire.log.list_cursor import check_limit
from tapewire.runtime import RequestContext
from tapewire.runtime.contracts.notifications import (
    MAX_LISTED_NOTIFICATIONS,
    ListNotifications,
    NotificationsReply,
    ReadNotifications,
    ReadReply,
    SendNotification,
    SendReply,
)
from tapewire.views import NotificationHistory, NotificationsView
from tapewire_services.alerts.domain.notifications import (
    CreateNotificationCommand,
    NotificationContent,
    derive_notification_id,
    validate_content,
    validate_user_ids,
)
from tapewire_services.alerts.notification_writer import NotificationWriter, PendingNotification
from tapewire_services.alerts.service import utc_now

MAX_IDS_PER_READ = 200
"""Ids that one request may mark as read."""
MAX_ID_CHARACTERS = 64
READ_ENTITY_ID = "all"
"""The entity whose subject records what was read."""


class NotificationsService:
    """The handlers of `svc.alerts.*` about notifications."""

    def __init__(
        self,
        log: EventLog,
        checkpoint_store: LatestValueStore,
        writer: NotificationWriter,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = log
        self._checkpoint_store = checkpoint_store
        self._writer = writer
        self._history = HistoryReader(log, checkpoint_store, NotificationHistory)
        self._clock = clock

    async def list(self, request: ListNotifications, _: RequestContext) -> NotificationsReply:
        """A page of the user's notifications as of the end of the log."""
        check_limit(request.limit, MAX_LISTED_NOTIFICATIONS)
        page = await self._history.read_page(request.user_id, request.limit, request.cursor)
        view, bounds = await view_checkpoints.load(
            self._log,
            self._checkpoint_store,
            NotificationsView,
            request.user_id,
            bounds=page.bounds,
        )
        unread_ids = set(view.filter_unread(one.id for one in page.rows))
        return NotificationsReply(
            notifications=[
                msgspec.structs.replace(one, is_read=one.id not in unread_ids) for one in page.rows
            ],
            unread=view.unread_count,
            next=page.next,
            as_of=bounds.last,
            epoch=bounds.epoch,
        )

    async def read(self, request: ReadNotifications, context: RequestContext) -> ReadReply:
        """Mark the given notifications, or all, as read. Append nothing if nothing changes."""
        _validate_ids(request.ids)
        user = request.user_id
        view, _ = await view_checkpoints.load(
            self._log, self._checkpoint_store, NotificationsView, user
        )
        before, key = view.unread_count, context.key(user)
        if key is not None and await is_key_used(self._log, key):
            return ReadReply(read=0, unread=before)
        ids = None if request.ids is None else tuple(view.filter_unread(request.ids))
        if not before or ids == ():
            return ReadReply(read=0, unread=before)
        event = NotificationsRead(ids=ids, timestamp=self._clock(), command_id=context.command_id)
        await self._append_read_event(user, event, context, key)
        view.apply(event)
        return ReadReply(read=before - view.unread_count, unread=view.unread_count)

    async def send(self, request: SendNotification, context: RequestContext) -> SendReply:
        """Notify every user. After an error, the same command again notifies the rest."""
        users = validate_user_ids(request.user_ids)
        content = validate_content(
            NotificationContent(
                type=request.type,
                title=request.title,
                message=request.message,
                payload=request.payload,
                at=self._clock(),
            )
        )
        # Event ids are made of command ids, so every user's command needs its own.
        commands = [
            CreateNotificationCommand(
                id=f"{context.command_id}:{derive_id(user)}", user=user, content=content
            )
            for user in users
        ]
        await self._writer.write_notifications(
            [PendingNotification(one, context.correlation, context.traceparent) for one in commands]
        )
        return SendReply(ids=[derive_notification_id(one) for one in commands])

    async def _append_read_event(
        self,
        user: str,
        event: NotificationsRead,
        context: RequestContext,
        key: IdempotencyKey | None,
    ) -> None:
        """Append without an expected sequence: the event is valid whatever else happened, and
        repeating it changes nothing. Raises CommandRejected if `key` was used for another
        command."""
        subject = EventSubject(user, NotificationsView.domain, READ_ENTITY_ID)
        meta = EventMetadata(
            id=event_id(context.command_id, subject, 0, 0),
            correlation=context.correlation,
            causation=context.command_id,
            traceparent=context.traceparent,
        )
        drafts = [EventDraft(subject=subject, event=event, metadata=meta)]
        if key is not None:
            drafts.append(key.draft(context.correlation, context.traceparent))
        try:
            await self._log.append(drafts)
        except (AlreadyStored, Conflict) as error:
            if key is not None and not await is_key_used(self._log, key):
                raise Unavailable(f"{subject} could not be written: {error}") from error


def _validate_ids(ids: tuple[str, ...] | None) -> None:
    if ids is None:
        return
    if not 1 <= len(ids) <= MAX_IDS_PER_READ:
        raise CommandRejected(
            "invalid", f"ids must name 1 to {MAX_IDS_PER_READ}, not {len(ids)}", "ids"
        )
    for number, id_ in enumerate(ids):
        if not 1 <= len(id_) <= MAX_ID_CHARACTERS:
            message = f"an id has 1 to {MAX_ID_CHARACTERS} characters, not {len(id_)}"
            raise CommandRejected("invalid", message, f"ids[{number}]")
