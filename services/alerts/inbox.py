"""What the alerts service answers about notifications: list, read, send."""

from collections.abc import Callable
from datetime import datetime

from services.alerts.domain.figures import named
from services.alerts.domain.notices import Notify, checked, notification_id, receivers
from services.alerts.domain.telling import Notice
from services.alerts.notifying import Notifications, Telling
from services.alerts.service import utc_now
from tapewire.events import NotificationsRead
from tapewire.log import AlreadyStored, Draft, EventLog, Meta, Refusal, Subject, Values, views
from tapewire.runtime import Context
from tapewire.runtime.contracts.notifications import (
    MOST_LISTED,
    ListNotifications,
    NotificationsReply,
    ReadNotifications,
    ReadReply,
    SendNotification,
    SentReply,
)
from tapewire.views import NotificationsView

MOST_READ = 200
"""Ids that one request marks as read."""
ID_CHARACTERS = 64
READ = "all"
"""The entity that is told of reading."""


class Inbox:
    """The handlers of `svc.alerts.*` about notifications."""

    def __init__(
        self,
        log: EventLog,
        values: Values,
        notifications: Notifications,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._log = log
        self._values = values
        self._notifications = notifications
        self._clock = clock

    async def list(self, request: ListNotifications, _: Context) -> NotificationsReply:
        """The user's newest notifications, exactly as of the end of the log."""
        if not 1 <= request.limit <= MOST_LISTED:
            message = f"limit must be 1 to {MOST_LISTED}, not {request.limit}"
            raise Refusal("invalid", message, "limit")
        view, bounds = await views.load(self._log, self._values, NotificationsView, request.user_id)
        return NotificationsReply(
            notifications=view.newest(request.limit),
            unread=view.unread,
            as_of=bounds.last,
            epoch=bounds.epoch,
        )

    async def read(self, request: ReadNotifications, context: Context) -> ReadReply:
        """Mark some as read, or all. Nothing is appended when nothing changes."""
        _checked_ids(request.ids)
        user = request.user_id
        view, _ = await views.load(self._log, self._values, NotificationsView, user)
        before = view.unread
        ids = None if request.ids is None else tuple(view.unread_of(request.ids))
        if not before or ids == ():
            return ReadReply(read=0, unread=before)
        event = NotificationsRead(ids=ids, timestamp=self._clock(), command_id=context.command_id)
        await self._append(user, event, context)
        view.apply(event)
        return ReadReply(read=before - view.unread, unread=view.unread)

    async def send(self, request: SendNotification, context: Context) -> SentReply:
        """Notify every user, or none of it counts: the same command again tells the rest."""
        users = receivers(request.user_ids)
        notice = checked(
            Notice(
                type=request.type,
                title=request.title,
                message=request.message,
                payload=request.payload,
                at=self._clock(),
            )
        )
        # Ids of events are made of ids of commands, so each user's command has one of its own.
        commands = [
            Notify(id=f"{context.command_id}:{named(user)}", user=user, notice=notice)
            for user in users
        ]
        of = context.correlation, context.traceparent
        await self._notifications.tell([Telling(one, *of) for one in commands])
        return SentReply(ids=[notification_id(one) for one in commands])

    async def _append(self, user: str, event: NotificationsRead, context: Context) -> None:
        """Expecting nothing: to have read is true whatever else happened, and to say it twice
        changes nothing."""
        meta = Meta(
            id=f"{context.command_id}.read",
            correlation=context.correlation,
            causation=context.command_id,
            traceparent=context.traceparent,
        )
        subject = Subject(user, NotificationsView.domain, READ)
        try:
            await self._log.append([Draft(subject=subject, event=event, meta=meta)])
        except AlreadyStored:
            return


def _checked_ids(ids: tuple[str, ...] | None) -> None:
    if ids is None:
        return
    if not 1 <= len(ids) <= MOST_READ:
        raise Refusal("invalid", f"ids must name 1 to {MOST_READ}, not {len(ids)}", "ids")
    for number, id_ in enumerate(ids):
        if not 1 <= len(id_) <= ID_CHARACTERS:
            message = f"an id has 1 to {ID_CHARACTERS} characters, not {len(id_)}"
            raise Refusal("invalid", message, f"ids[{number}]")
