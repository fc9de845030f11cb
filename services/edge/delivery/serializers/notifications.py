"""The serializer of the notification streams: ``notification`` and ``notification:read``."""

from datetime import datetime

from tapewire.events import Event, Notification, NotificationCreated, NotificationsRead
from tapewire.payloads.items import NotificationsReadPayload, NotificationView, UnreadCountPayload
from tapewire_services.edge.delivery.serializers.serializer import PricingContext, SseMessage


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
