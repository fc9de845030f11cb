"""Analysed items, their metrics, and configurations: `/api/v2`."""

import msgspec
from litestar import delete, get, patch, post
from litestar.handlers import HTTPRouteHandler

from tapewire.events import Configuration
from tapewire.runtime.contracts import configurations as kept
from tapewire.runtime.contracts import insights as asked
from tapewire_services.edge.delivery.cursor import Cursor, MalformedCursor, parse_cursor
from tapewire_services.edge.delivery.serializers.dashboard import (
    ItemView,
    MetricsPayload,
    item_view,
    metrics_view,
)
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    ReplyT,
    integer_query_parameter,
    read_body,
)
from tapewire_services.edge.http.errors import HttpError
from tapewire_services.edge.http.responses import JsonResponse
from tapewire_services.edge.http.schema import operation, query_parameter

DEFAULT_LIMIT = 50
"""Items that are listed when nobody says how many."""

ITEM_QUERY_PARAMETERS = (
    query_parameter("since", "The `as_of` of an earlier answer: the items after it."),
    query_parameter(
        "limit",
        "How many.",
        type="integer",
        minimum=1,
        maximum=asked.MAX_LISTED_ITEMS,
        default=DEFAULT_LIMIT,
    ),
    query_parameter("configuration", "The id of one of the user's: the items that it shows."),
)


class ConfigurationBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a dashboard is to show: items of any of `tickers`, with any of `tags` if there are
    some."""

    name: str
    tickers: tuple[str, ...]
    tags: tuple[str, ...] = ()


class ConfigurationChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of it."""

    name: str | None = None
    tickers: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None


class ConfigurationList(msgspec.Struct, frozen=True, kw_only=True):
    """The oldest first."""

    configurations: list[Configuration]
    as_of: str


class ItemList(msgspec.Struct, frozen=True, kw_only=True):
    """Items in order, the newest last. `as_of` is the `since` of the next question; `more` says to
    ask it at once, `reset` that `since` could not be honoured and these are the newest instead."""

    items: list[ItemView]
    as_of: str
    more: bool
    reset: bool


def routes(context: ControllerContext) -> list[HTTPRouteHandler]:
    async def call_service(
        verb: str, payload: msgspec.Struct, reply_type: type[ReplyT], request: HttpRequest
    ) -> ReplyT:
        return await context.call_service(asked.SERVICE, verb, payload, reply_type, request)

    @get(
        "/api/v2/metrics",
        operation_class=operation(is_public=True, error_statuses=(503,)),
        tags=["insights"],
    )
    async def metrics(request: HttpRequest) -> MetricsPayload:
        """The counts of all items, as the stream has them."""
        reply = await call_service(asked.METRICS, asked.GetMetrics(), asked.MetricsReply, request)
        return metrics_view(reply.metrics)

    @get(
        "/api/v2/items",
        operation_class=operation(
            query_parameters=ITEM_QUERY_PARAMETERS, is_public=True, error_statuses=(401, 404, 503)
        ),
        tags=["insights"],
    )
    async def items(request: HttpRequest) -> ItemList:
        """The newest items, or those after `since`, `limit` of them (1 to 200); with
        `configuration`, those that this configuration of the user's shows."""
        place, configuration = _parse_since(request), request.query_params.get("configuration")
        whose = None if configuration is None else (await context.require_session(request)).user_id
        asking = asked.ListItems(
            user_id=whose,
            configuration_id=configuration,
            limit=integer_query_parameter(request, "limit", DEFAULT_LIMIT),
            since=place.sequence if place else None,
            epoch=place.epoch if place else None,
        )
        reply = await call_service(asked.ITEMS, asking, asked.ItemsReply, request)
        return ItemList(
            items=[item_view(item) for item in reply.items],
            as_of=str(Cursor(reply.epoch, reply.as_of)),
            more=reply.more,
            reset=reply.reset,
        )

    @post(
        "/api/v2/configurations",
        operation_class=operation(ConfigurationBody, is_command=True, error_statuses=(409,)),
        tags=["insights"],
    )
    async def create(request: HttpRequest) -> JsonResponse[Configuration]:
        """Keep a configuration. The same `Idempotency-Key` keeps it once."""
        session = await context.require_session(request)
        wanted = await read_body(request, ConfigurationBody)
        creating = kept.CreateConfiguration(
            user_id=session.user_id, **msgspec.structs.asdict(wanted)
        )
        reply = await call_service(kept.CREATE, creating, kept.ConfigurationReply, request)
        return JsonResponse(reply.configuration, status_code=201)

    @get("/api/v2/configurations", operation_class=operation(), tags=["insights"])
    async def list_configurations(request: HttpRequest) -> ConfigurationList:
        """The user's configurations."""
        session = await context.require_session(request)
        asking = kept.ListConfigurations(user_id=session.user_id)
        reply = await call_service(kept.LIST, asking, kept.ConfigurationsReply, request)
        as_of = str(Cursor(reply.epoch, reply.as_of))
        return ConfigurationList(configurations=reply.configurations, as_of=as_of)

    @get(
        "/api/v2/configurations/{configuration_id:str}",
        operation_class=operation(error_statuses=(404,)),
        tags=["insights"],
    )
    async def read(request: HttpRequest, configuration_id: str) -> Configuration:
        """One configuration."""
        session = await context.require_session(request)
        asking = kept.GetConfiguration(user_id=session.user_id, configuration_id=configuration_id)
        return (
            await call_service(kept.GET, asking, kept.ConfigurationReply, request)
        ).configuration

    @patch(
        "/api/v2/configurations/{configuration_id:str}",
        operation_class=operation(ConfigurationChange, is_command=True, error_statuses=(404,)),
        tags=["insights"],
    )
    async def change(request: HttpRequest, configuration_id: str) -> Configuration:
        """Change what is given; open streams of it follow the change."""
        session = await context.require_session(request)
        wanted = await read_body(request, ConfigurationChange)
        changing = kept.ChangeConfiguration(
            user_id=session.user_id,
            configuration_id=configuration_id,
            **msgspec.structs.asdict(wanted),
        )
        return (
            await call_service(kept.CHANGE, changing, kept.ConfigurationReply, request)
        ).configuration

    @delete(
        "/api/v2/configurations/{configuration_id:str}",
        status_code=200,
        operation_class=operation(is_command=True, error_statuses=(404,)),
        tags=["insights"],
    )
    async def forget(request: HttpRequest, configuration_id: str) -> Configuration:
        """Forget it; answered with the configuration as it was last."""
        session = await context.require_session(request)
        deleting = kept.DeleteConfiguration(
            user_id=session.user_id, configuration_id=configuration_id
        )
        return (
            await call_service(kept.DELETE, deleting, kept.ConfigurationReply, request)
        ).configuration

    return [metrics, items, create, list_configurations, read, change, forget]


def _parse_since(request: HttpRequest) -> Cursor | None:
    """The place to go on from. Raises Failure (422) for what no answer ever gave."""
    text = request.query_params.get("since")
    if text is None:
        return None
    try:
        place = parse_cursor(text, epoch="")
    except MalformedCursor:
        place = None
    if not isinstance(place, Cursor) or not place.epoch:
        raise HttpError(
            422, "since is the as_of of an earlier answer", path="since", value=text[:64]
        )
    return place
