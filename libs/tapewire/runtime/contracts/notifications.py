"""Requests to the alerts service about notifications.

The verbs are `svc.alerts.notifications`, `read` and `send`. The service rejects requests with the
code ``invalid`` and the path of the field in JSON (``limit``, ``ids[3]``, ``userIds[0]``,
``title``, ``payload``).
"""

from typing import Any

import msgspec

from tapewire.events import Notification
from tapewire.runtime.contracts.request import (
    PageReply,
    PageRequest,
    RequestStruct,
    ServiceCall,
    UserId,
)

SERVICE = "alerts"
LIST, READ, SEND = "notifications", "read", "send"


MAX_LISTED_NOTIFICATIONS = 200
"""Notifications of one `NotificationsReply`."""


class ListNotifications(PageRequest, frozen=True, kw_only=True):
    """List all notifications of a user, `limit` (1 to 200) of them; answered by
    `NotificationsReply`."""

    user_id: UserId
    limit: int = 50


class ReadNotifications(RequestStruct, frozen=True, kw_only=True):
    """Mark `ids` (1 to 200) or all notifications as read; answered by `ReadReply`. Ids that are
    read already, or not the user's, are ignored."""

    user_id: UserId
    ids: tuple[str, ...] | None


class SendNotification(RequestStruct, frozen=True, kw_only=True):
    """Notify each of `user_ids` (1 to 100, each of 1 to 128 characters); answered by `SentReply`.
    Repeating the command notifies no user twice.

    `type` is a word (``[a-z][a-z0-9_]*``, at most 32 characters). As UTF-8 JSON, `title` has at
    most 120 bytes and is not empty, `message` has at most 500, `payload` at most 1,024.
    """

    user_ids: tuple[UserId, ...]
    title: str
    message: str = ""
    type: str = "message"
    payload: dict[str, Any] = msgspec.field(default_factory=dict)


class NotificationsReply(PageReply, frozen=True, kw_only=True):
    """Notifications, the newest first, and the number of all that the user has not read."""

    notifications: list[Notification]
    unread: int


class ReadReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The number of notifications that this request marked, and the number that is unread now."""

    read: int
    unread: int


class SendReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The ids of the notifications in the order of the users, one per distinct user."""

    ids: list[str]


LIST_NOTIFICATIONS = ServiceCall(SERVICE, LIST, ListNotifications, NotificationsReply)
READ_NOTIFICATIONS = ServiceCall(SERVICE, READ, ReadNotifications, ReadReply)
SEND_NOTIFICATION = ServiceCall(SERVICE, SEND, SendNotification, SendReply)
CALLS = (LIST_NOTIFICATIONS, READ_NOTIFICATIONS, SEND_NOTIFICATION)
