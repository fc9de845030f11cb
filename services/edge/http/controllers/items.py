"""Analysed items: `/api/v2/items`."""

import msgspec
from litestar import Controller, get

from tapewire.runtime.contracts import insights as contract
from tapewire_services.edge.delivery.cursor import Cursor, MalformedCursor, parse_cursor
from tapewire_services.edge.delivery.serializers.dashboard import ItemView, item_view
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    page_query,
)
from tapewire_services.edge.http.errors import HttpError, unauthorized
from tapewire_services.edge.http.schema import operation, page_parameters, query_parameter

DEFAULT_LIMIT = 50
"""Items that are listed without a `limit`."""

ITEM_QUERY_PARAMETERS = (
    query_parameter("since", "The `as_of` of an earlier response: lists the items after it."),
    *page_parameters(DEFAULT_LIMIT, contract.MAX_LISTED_ITEMS),
    query_parameter(
        "configuration", "The id of one of the user's configurations: lists the items it shows."
    ),
)


class ItemList(msgspec.Struct, frozen=True, kw_only=True):
    """Items in order, the newest last. `as_of` is the `since` of the next request for later items.
    `more` says to send it at once. `reset` says that `since` is too old: these are the newest items
    instead. `next` is the `cursor` of the page of earlier items, absent if there are none. A page
    of a configuration may be short or empty and still have a `next`: few items match."""

    items: list[ItemView]
    as_of: str
    more: bool
    reset: bool
    next: str | msgspec.UnsetType = msgspec.UNSET


class ItemController(Controller):
    path = "/api/v2/items"
    tags = ["insights"]  # noqa: RUF012 - Litestar's attribute

    @get(
        operation_class=operation(
            query_parameters=ITEM_QUERY_PARAMETERS, is_public=True, error_statuses=(401, 404, 503)
        )
    )
    async def items(self, request: HttpRequest, context: ControllerContext) -> ItemList:
        """The newest `limit` items (1 to 200), those before `cursor`, or those after `since`; with
        `configuration`, those that this configuration of the user's shows."""
        limit, cursor = page_query(request, DEFAULT_LIMIT)
        since = _parse_since(request)
        configuration_id = request.query_params.get("configuration")
        payload = contract.ListItems(
            user_id=None if configuration_id is None else await _require_user_id(context, request),
            configuration_id=configuration_id,
            limit=limit,
            cursor=cursor,
            since=since.sequence if since else None,
            epoch=since.epoch if since else None,
        )
        reply = await context.call_service(
            contract.SERVICE, contract.ITEMS, payload, contract.ItemsReply, request
        )
        return ItemList(
            items=[item_view(item) for item in reply.items],
            as_of=str(Cursor(reply.epoch, reply.as_of)),
            more=reply.more,
            reset=reply.reset,
            next=reply.next or msgspec.UNSET,
        )


async def _require_user_id(context: ControllerContext, request: HttpRequest) -> str:
    """The caller's user id; only a configuration needs one. Raises HttpError (401)."""
    session = await context.find_session(request)
    if session is None:
        raise unauthorized()
    return session.user_id


def _parse_since(request: HttpRequest) -> Cursor | None:
    """The cursor to continue from. Raises HttpError (422) for anything but an earlier `as_of`."""
    text = request.query_params.get("since")
    if text is None:
        return None
    try:
        cursor = parse_cursor(text, epoch="")
    except MalformedCursor:
        cursor = None
    if not isinstance(cursor, Cursor) or not cursor.epoch:
        raise HttpError(
            422, "since is the as_of of an earlier answer", path="since", value=text[:64]
        )
    return cursor
