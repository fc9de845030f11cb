"""The serializer of the notification streams: ``notification`` and ``notification:read``."""

from datetime import datetime
from typing import Any

import msgspec

from tapewire.events import Event, Notification, NotificationCreated, NotificationsRead
from tapewire_services.edge.delivery.serializers.serializer import PricingContext, SseMessage


class NotificationView(msgspec.Struct, frozen=True, kw_only=True):
    """A notification as clients see it, in snake_case."""

    id: str
    type: str
    title: str
    message: str
    payload: dict[str, Any]
    is_read: bool
    created_at: datetime


class NotificationsReadPayload(msgspec.Struct, frozen=True, kw_only=True):
    """Notifications that were read on another screen; None means all existing ones."""

    ids: tuple[str, ...] | None
    timestamp: datetime


class UnreadCountPayload(msgspec.Struct, frozen=True, kw_only=True):
    """The number of notifications that the user has not read."""

    unread: int
    timestamp: datetime


def unread_count_message(unread: int, timestamp: datetime) -> SseMessage:
    """The number of unread notifications, as a snapshot."""
    return "notification:unread", UnreadCountPayload(unread=unread, timestamp=timestamp)


def notification_view(notification: Notification) -> NotificationView:
    """`notification` as clients see it."""
    return NotificationView(
        **{name: getattr(notification, name) for name in NotificationView.__struct_fields__}
    )


def serialize_notifications(event: Event, owner: str, pricing: PricingContext) -> SseMessage | None:  # noqa: ARG001
    """The message for `event`; None when notification streams do not show it."""
    if isinstance(event, NotificationCreated):
        return "notification", notification_view(event.notification)
    if isinstance(event, NotificationsRead):
        return "notification:read", NotificationsReadPayload(
            ids=event.ids, timestamp=event.timestamp
        )
    return None
