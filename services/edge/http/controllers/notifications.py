"""Notifications: `/api/notifications`."""

from typing import Annotated

import msgspec
from litestar import Controller, get, post

from tapewire.payloads.items import NotificationView
from tapewire.runtime.contracts import notifications as contract
from tapewire_services.edge.auth import Session
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.delivery.serializers.notifications import notification_view
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    page_query,
    read_body,
)
from tapewire_services.edge.http.schema import operation, page_parameters

DEFAULT_LIMIT = 50
"""Notifications that are listed without a `limit`."""


class ReadBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ids of notifications to mark as read: 1 to 200."""

    ids: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=200)]


class NotificationList(msgspec.Struct, frozen=True, kw_only=True):
    """The newest first; `unread` counts all unread ones, listed or not. `next` is the `cursor` of
    the page that follows, absent after the last one."""

    notifications: list[NotificationView]
    unread: int
    as_of: str
    next: str | msgspec.UnsetType = msgspec.UNSET


class ReadResult(msgspec.Struct, frozen=True, kw_only=True):
    """How many notifications this call marked as read, and how many are unread now."""

    read: int
    unread: int


class NotificationController(Controller):
    path = "/api/notifications"
    tags = ["notifications"]  # noqa: RUF012 - Litestar's attribute

    @get(
        operation_class=operation(
            query_parameters=page_parameters(DEFAULT_LIMIT, contract.MAX_LISTED_NOTIFICATIONS)
        )
    )
    async def list_notifications(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> NotificationList:
        """The user's notifications, the newest first, and the number of unread ones."""
        limit, cursor = page_query(request, DEFAULT_LIMIT)
        payload = contract.ListNotifications(user_id=session.user_id, limit=limit, cursor=cursor)
        reply = await context.call_service(
            contract.SERVICE, contract.LIST, payload, contract.NotificationsReply, request
        )
        return NotificationList(
            notifications=[notification_view(one) for one in reply.notifications],
            unread=reply.unread,
            as_of=str(Cursor(reply.epoch, reply.as_of)),
            next=reply.next or msgspec.UNSET,
        )

    @post("/read", status_code=200, operation_class=operation(ReadBody, is_command=True))
    async def read(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> ReadResult:
        """Mark notifications as read, on all of the user's screens."""
        body = await read_body(request, ReadBody)
        return await _mark_as_read(context, session, body.ids, request)

    @post("/read-all", status_code=200, operation_class=operation(is_command=True))
    async def read_all(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> ReadResult:
        """Mark all notifications as read, on all of the user's screens."""
        return await _mark_as_read(context, session, None, request)


async def _mark_as_read(
    context: ControllerContext, session: Session, ids: tuple[str, ...] | None, request: HttpRequest
) -> ReadResult:
    payload = contract.ReadNotifications(user_id=session.user_id, ids=ids)
    reply = await context.call_service(
        contract.SERVICE, contract.READ, payload, contract.ReadReply, request
    )
    return ReadResult(read=reply.read, unread=reply.unread)
