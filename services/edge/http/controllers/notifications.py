"""Notifications: `/api/notifications`."""

from typing import Annotated

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler

from tapewire.runtime.contracts import notifications as asked
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.delivery.serializers.notifications import (
    NotificationView,
    notification_view,
)
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    ReplyT,
    integer_query_parameter,
    read_body,
)
from tapewire_services.edge.http.schema import operation, query_parameter

DEFAULT_LIMIT = 50
"""Notifications that are listed when nobody says how many."""

LIMIT_PARAMETER = query_parameter(
    "limit",
    "How many.",
    type="integer",
    minimum=1,
    maximum=asked.MAX_LISTED_NOTIFICATIONS,
    default=DEFAULT_LIMIT,
)


class ReadBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ids of notifications that were read: 1 to 200."""

    ids: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=200)]


class NotificationList(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first; `unread` counts all that there ever were."""

    notifications: list[NotificationView]
    unread: int
    as_of: str


class ReadResult(msgspec.Struct, frozen=True, kw_only=True):
    """How many were marked as read by this call, and how many are unread now."""

    read: int
    unread: int


def routes(context: ControllerContext) -> list[HTTPRouteHandler]:
    async def call_service(
        verb: str, payload: msgspec.Struct, reply_type: type[ReplyT], request: HttpRequest
    ) -> ReplyT:
        return await context.call_service(asked.SERVICE, verb, payload, reply_type, request)

    @get(
        "/api/notifications",
        operation_class=operation(query_parameters=[LIMIT_PARAMETER]),
        tags=["notifications"],
    )
    async def list_notifications(request: HttpRequest) -> NotificationList:
        """The newest notifications, `limit` of them (1 to 200), and the number of unread ones."""
        session = await context.require_session(request)
        limit = integer_query_parameter(request, "limit", DEFAULT_LIMIT)
        asking = asked.ListNotifications(user_id=session.user_id, limit=limit)
        reply = await call_service(asked.LIST, asking, asked.NotificationsReply, request)
        return NotificationList(
            notifications=[notification_view(one) for one in reply.notifications],
            unread=reply.unread,
            as_of=str(Cursor(reply.epoch, reply.as_of)),
        )

    @post(
        "/api/notifications/read",
        status_code=200,
        operation_class=operation(ReadBody, is_command=True),
        tags=["notifications"],
    )
    async def read(request: HttpRequest) -> ReadResult:
        """Mark some as read, on all of the user's screens."""
        session = await context.require_session(request)
        wanted = await read_body(request, ReadBody)
        asking = asked.ReadNotifications(user_id=session.user_id, ids=wanted.ids)
        return await mark_as_read(asking, request)

    @post(
        "/api/notifications/read-all",
        status_code=200,
        operation_class=operation(is_command=True),
        tags=["notifications"],
    )
    async def read_all(request: HttpRequest) -> ReadResult:
        """Mark all as read, on all of the user's screens."""
        session = await context.require_session(request)
        return await mark_as_read(
            asked.ReadNotifications(user_id=session.user_id, ids=None), request
        )

    async def mark_as_read(payload: asked.ReadNotifications, request: HttpRequest) -> ReadResult:
        reply = await call_service(asked.READ, payload, asked.ReadReply, request)
        return ReadResult(read=reply.read, unread=reply.unread)

    return [list_notifications, read, read_all]
