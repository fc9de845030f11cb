"""Analysed items: `/api/v2/items`."""

from datetime import datetime
from decimal import Decimal

import msgspec
from litestar import Controller, delete, get, post
from litestar.openapi import ResponseSpec

from tapewire.events import Sentiment
from tapewire.payloads.items import ItemView
from tapewire.runtime.contracts import insights as contract
from tapewire_services.edge.auth import Session
from tapewire_services.edge.delivery.cursor import Cursor, MalformedCursor, parse_cursor
from tapewire_services.edge.delivery.serializers.dashboard import item_view
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    page_query,
    read_body,
)
from tapewire_services.edge.http.errors import HttpError, unauthorized
from tapewire_services.edge.http.responses import JsonResponse
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


PUBLISHER_ROLES = frozenset(("admin", "producer"))
"""The roles that may add, correct and retract items, which every user sees."""


CORRECTED_ITEM_RESPONSE = ResponseSpec(
    ItemView,
    generate_examples=False,
    description="The item with this id, corrected where its content differs.",
)


class ItemBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An item as its source published it. `title` and `source` are required.

    Without `id` the source and the `url`, or the `title`, make it unique. Without `sentiment` and
    `score` (-1 to 1), title and `text`, which is not stored, are scored. `timestamp` has its
    offset, and is now by default. `reason` says why a stored item is corrected.
    """

    title: str
    source: str
    id: str | None = None
    url: str | None = None
    tickers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    sentiment: Sentiment | None = None
    score: Decimal | None = None
    text: str = ""
    timestamp: datetime | None = None
    reason: str = ""


class ItemList(msgspec.Struct, frozen=True, kw_only=True):
    """Items in order, the newest last. `as_of` is the `since` of the next request for later items.
    `more` says to send it at once. `reset` says that `since` is too old: these are the newest items
    instead. `items` after a `since` has corrected items too, and `retracted` the ids of items to
    remove: withdrawn ones, and those that the configuration does not show any more. `next` is the
    `cursor` of the page of earlier items, absent if there are none. A page of a configuration may
    be short or empty and still have a `next`: few items match."""

    items: list[ItemView]
    as_of: str
    more: bool
    reset: bool
    retracted: list[str] = []
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
            retracted=reply.retracted,
            next=reply.next or msgspec.UNSET,
        )

    @post(
        operation_class=operation(ItemBody, is_command=True, error_statuses=(403, 404)),
        responses={200: CORRECTED_ITEM_RESPONSE},
    )
    async def put(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> JsonResponse[ItemView]:
        """Add an item (201), or correct the one with that id (200): its content is replaced. The
        same content again changes nothing. Only for admins and producers."""
        _require_publisher(session)
        body = await read_body(request, ItemBody, "score")
        payload = contract.PutItem(**msgspec.structs.asdict(body))
        reply = await context.call_service(
            contract.SERVICE, contract.PUT, payload, contract.ItemReply, request
        )
        return JsonResponse(item_view(reply.item), status_code=201 if reply.created else 200)

    @delete(
        "/{item_id:str}",
        status_code=200,
        operation_class=operation(is_command=True, error_statuses=(403, 404)),
    )
    async def retract(
        self, request: HttpRequest, context: ControllerContext, session: Session, item_id: str
    ) -> ItemView:
        """Withdraw an item: it is in no list and no count any more. The response is its last state.
        Only for admins and producers."""
        _require_publisher(session)
        payload = contract.RetractItem(id=item_id)
        reply = await context.call_service(
            contract.SERVICE, contract.RETRACT, payload, contract.ItemReply, request
        )
        return item_view(reply.item)


def _require_publisher(session: Session) -> None:
    """Raises HttpError (403) unless the caller may publish items."""
    if PUBLISHER_ROLES.isdisjoint(session.roles):
        raise HttpError(403, "Only admins and producers may add, correct or retract items")


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
