"""The dialect of the notification streams: ``notification`` and ``notification:read``."""

from datetime import datetime
from typing import Any

import msgspec

from tapewire.events import Event, Notification, NotificationCreated, NotificationsRead
from tapewire_services.edge.delivery.serializers.serializer import PricingContext, SseMessage


class NotificationView(msgspec.Struct, frozen=True, kw_only=True):
    """A notification as its front ends know it: snake_case."""

    id: str
    type: str
    title: str
    message: str
    payload: dict[str, Any]
    is_read: bool
    created_at: datetime


class NotificationsReadPayload(msgspec.Struct, frozen=True, kw_only=True):
    """What was read on another screen; `ids` None is all that there were."""

    ids: tuple[str, ...] | None
    timestamp: datetime


def notification_view(notification: Notification) -> NotificationView:
    """What clients see of `notification`."""
    return NotificationView(
        **{name: getattr(notification, name) for name in NotificationView.__struct_fields__}
    )


def serialize_notifications(event: Event, owner: str, pricing: PricingContext) -> SseMessage | None:  # noqa: ARG001
    """The dialect."""
    if isinstance(event, NotificationCreated):
        return "notification", notification_view(event.notification)
    if isinstance(event, NotificationsRead):
        return "notification:read", NotificationsReadPayload(
            ids=event.ids, timestamp=event.timestamp
        )
    return None
