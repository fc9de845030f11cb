"""Notifications: `/api/notifications`."""

from typing import Annotated

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler

from services.edge.cursor import Cursor
from services.edge.dialects.notifications import NotificationView, notification_view
from services.edge.gateway.shared import Ask, Gateway, R, body, whole_number
from services.edge.http.schema import call, query
from tapewire.runtime.contracts import notifications as asked

SHOWN = 50
"""Notifications that are listed when nobody says how many."""

LIMIT = query(
    "limit", "How many.", type="integer", minimum=1, maximum=asked.MOST_LISTED, default=SHOWN
)


class ReadBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ids of notifications that were read: 1 to 200."""

    ids: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=200)]


class NotificationList(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first; `unread` counts all that there ever were."""

    notifications: list[NotificationView]
    unread: int
    as_of: str


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """How many were marked as read by this call, and how many are unread now."""

    read: int
    unread: int


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    async def ask(verb: str, asking: msgspec.Struct, reply: type[R], request: Ask) -> R:
        return await gateway.ask(asked.SERVICE, verb, asking, reply, request)

    @get("/api/notifications", operation_class=call(asks=[LIMIT]), tags=["notifications"])
    async def list_notifications(request: Ask) -> NotificationList:
        """The newest notifications, `limit` of them (1 to 200), and the number of unread ones."""
        session = await gateway.session(request)
        limit = whole_number(request, "limit", SHOWN)
        asking = asked.ListNotifications(user_id=session.user_id, limit=limit)
        reply = await ask(asked.LIST, asking, asked.NotificationsReply, request)
        return NotificationList(
            notifications=[notification_view(one) for one in reply.notifications],
            unread=reply.unread,
            as_of=str(Cursor(reply.epoch, reply.as_of)),
        )

    @post(
        "/api/notifications/read",
        status_code=200,
        operation_class=call(ReadBody, command=True),
        tags=["notifications"],
    )
    async def read(request: Ask) -> Marked:
        """Mark some as read, on all of the user's screens."""
        session = await gateway.session(request)
        wanted = await body(request, ReadBody)
        asking = asked.ReadNotifications(user_id=session.user_id, ids=wanted.ids)
        return await mark(asking, request)

    @post(
        "/api/notifications/read-all",
        status_code=200,
        operation_class=call(command=True),
        tags=["notifications"],
    )
    async def read_all(request: Ask) -> Marked:
        """Mark all as read, on all of the user's screens."""
        session = await gateway.session(request)
        return await mark(asked.ReadNotifications(user_id=session.user_id, ids=None), request)

    async def mark(asking: asked.ReadNotifications, request: Ask) -> Marked:
        reply = await ask(asked.READ, asking, asked.ReadReply, request)
        return Marked(read=reply.read, unread=reply.unread)

    return [list_notifications, read, read_all]
