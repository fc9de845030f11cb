"""Requests about notifications, which the alerts service answers (`svc.alerts.notifications`,
`read`, `send`), and its replies.

The service refuses with the code ``invalid`` and the field's path as these structs spell it in JSON
(``limit``, ``ids[3]``, ``userIds[0]``, ``title``, ``payload``).
"""

from typing import Any

import msgspec

from tapewire.events import Notification
from tapewire.runtime.contracts.request import RequestStruct, UserId
from tapewire.runtime.contracts.service_call import ServiceCall

SERVICE = "alerts"
LIST, READ, SEND = "notifications", "read", "send"

MAX_LISTED_NOTIFICATIONS = 200
"""Notifications that one `NotificationsReply` holds at the most."""


class ListNotifications(RequestStruct, frozen=True, kw_only=True):
    """A user's `limit` (1 to 200) newest notifications; answered by `NotificationsReply`."""

    user_id: UserId
    limit: int = 50


class ReadNotifications(RequestStruct, frozen=True, kw_only=True):
    """Mark `ids` (1 to 200) as read, or all that there are; answered by `ReadReply`. What was read
    before, or is none of the user's, is passed over."""

    user_id: UserId
    ids: tuple[str, ...] | None


class SendNotification(RequestStruct, frozen=True, kw_only=True):
    """Notify every one of `user_ids` (1 to 100, each of 1 to 128 characters); answered by
    `SentReply`. The same command again notifies nobody twice.

    `type` is a word (``[a-z][a-z0-9_]*``, at most 32 characters). As UTF-8 JSON, `title` has at
    most 120 bytes and is not empty, `message` at most 500, `payload` at most 1,024.
    """

    user_ids: tuple[UserId, ...]
    title: str
    message: str = ""
    type: str = "message"
    payload: dict[str, Any] = msgspec.field(default_factory=dict)


class NotificationsReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Notifications, the newest first, and how many the user has not read, of all that ever were,
    as of sequence `as_of` of log `epoch`."""

    notifications: list[Notification]
    unread: int
    as_of: int
    epoch: str


class ReadReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many were marked by this request, and how many are unread now."""

    read: int
    unread: int


class SendReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The ids of the notifications, in the order of the users, each of whom is told once."""

    ids: list[str]


LIST_NOTIFICATIONS = ServiceCall(SERVICE, LIST, ListNotifications, NotificationsReply)
READ_NOTIFICATIONS = ServiceCall(SERVICE, READ, ReadNotifications, ReadReply)
SEND_NOTIFICATION = ServiceCall(SERVICE, SEND, SendNotification, SendReply)
CALLS = (LIST_NOTIFICATIONS, READ_NOTIFICATIONS, SEND_NOTIFICATION)
