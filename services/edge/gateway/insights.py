"""Analysed items, their metrics, and configurations: `/api/v2`."""

import msgspec
from litestar import delete, get, patch, post
from litestar.handlers import HTTPRouteHandler

from services.edge.cursor import Cursor, Malformed, parse
from services.edge.dialects.dashboard import ItemView, MetricsTold, item_view, metrics_view
from services.edge.gateway.shared import Ask, Gateway, R, body, whole_number
from services.edge.http.errors import Failure
from services.edge.http.responses import Json
from services.edge.http.schema import call, query
from tapewire.events import Configuration
from tapewire.runtime.contracts import configurations as kept
from tapewire.runtime.contracts import insights as asked

SHOWN = 50
"""Items that are listed when nobody says how many."""

ASKS = (
    query("since", "The `as_of` of an earlier answer: the items after it."),
    query(
        "limit", "How many.", type="integer", minimum=1, maximum=asked.MOST_LISTED, default=SHOWN
    ),
    query("configuration", "The id of one of the user's: the items that it shows."),
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


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    async def ask(verb: str, asking: msgspec.Struct, reply: type[R], request: Ask) -> R:
        return await gateway.ask(asked.SERVICE, verb, asking, reply, request)

    @get("/api/v2/metrics", operation_class=call(anybody=True, refuses=(503,)), tags=["insights"])
    async def metrics(request: Ask) -> MetricsTold:
        """The counts of all items, as the stream has them."""
        reply = await ask(asked.METRICS, asked.AskMetrics(), asked.MetricsReply, request)
        return metrics_view(reply.metrics)

    @get(
        "/api/v2/items",
        operation_class=call(asks=ASKS, anybody=True, refuses=(401, 404, 503)),
        tags=["insights"],
    )
    async def items(request: Ask) -> ItemList:
        """The newest items, or those after `since`, `limit` of them (1 to 200); with
        `configuration`, those that this configuration of the user's shows."""
        place, configuration = _since(request), request.query_params.get("configuration")
        whose = None if configuration is None else (await gateway.session(request)).user_id
        asking = asked.ListItems(
            user_id=whose,
            configuration_id=configuration,
            limit=whole_number(request, "limit", SHOWN),
            since=place.sequence if place else None,
            epoch=place.epoch if place else None,
        )
        reply = await ask(asked.ITEMS, asking, asked.ItemsReply, request)
        return ItemList(
            items=[item_view(item) for item in reply.items],
            as_of=str(Cursor(reply.epoch, reply.as_of)),
            more=reply.more,
            reset=reply.reset,
        )

    @post(
        "/api/v2/configurations",
        operation_class=call(ConfigurationBody, command=True, refuses=(409,)),
        tags=["insights"],
    )
    async def create(request: Ask) -> Json[Configuration]:
        """Keep a configuration. The same `Idempotency-Key` keeps it once."""
        session = await gateway.session(request)
        wanted = await body(request, ConfigurationBody)
        creating = kept.CreateConfiguration(
            user_id=session.user_id, **msgspec.structs.asdict(wanted)
        )
        reply = await ask(kept.CREATE, creating, kept.ConfigurationReply, request)
        return Json(reply.configuration, status_code=201)

    @get("/api/v2/configurations", operation_class=call(), tags=["insights"])
    async def list_configurations(request: Ask) -> ConfigurationList:
        """The user's configurations."""
        session = await gateway.session(request)
        asking = kept.ListConfigurations(user_id=session.user_id)
        reply = await ask(kept.LIST, asking, kept.ConfigurationsReply, request)
        as_of = str(Cursor(reply.epoch, reply.as_of))
        return ConfigurationList(configurations=reply.configurations, as_of=as_of)

    @get(
        "/api/v2/configurations/{configuration_id:str}",
        operation_class=call(refuses=(404,)),
        tags=["insights"],
    )
    async def read(request: Ask, configuration_id: str) -> Configuration:
        """One configuration."""
        session = await gateway.session(request)
        asking = kept.GetConfiguration(user_id=session.user_id, configuration_id=configuration_id)
        return (await ask(kept.GET, asking, kept.ConfigurationReply, request)).configuration

    @patch(
        "/api/v2/configurations/{configuration_id:str}",
        operation_class=call(ConfigurationChange, command=True, refuses=(404,)),
        tags=["insights"],
    )
    async def change(request: Ask, configuration_id: str) -> Configuration:
        """Change what is given; open streams of it follow the change."""
        session = await gateway.session(request)
        wanted = await body(request, ConfigurationChange)
        changing = kept.ChangeConfiguration(
            user_id=session.user_id,
            configuration_id=configuration_id,
            **msgspec.structs.asdict(wanted),
        )
        return (await ask(kept.CHANGE, changing, kept.ConfigurationReply, request)).configuration

    @delete(
        "/api/v2/configurations/{configuration_id:str}",
        status_code=200,
        operation_class=call(command=True, refuses=(404,)),
        tags=["insights"],
    )
    async def forget(request: Ask, configuration_id: str) -> Configuration:
        """Forget it; answered with the configuration as it was last."""
        session = await gateway.session(request)
        deleting = kept.DeleteConfiguration(
            user_id=session.user_id, configuration_id=configuration_id
        )
        return (await ask(kept.DELETE, deleting, kept.ConfigurationReply, request)).configuration

    return [metrics, items, create, list_configurations, read, change, forget]


def _since(request: Ask) -> Cursor | None:
    """The place to go on from. Raises Failure (422) for what no answer ever gave."""
    text = request.query_params.get("since")
    if text is None:
        return None
    try:
        place = parse(text, epoch="")
    except Malformed:
        place = None
    if not isinstance(place, Cursor) or not place.epoch:
        raise Failure(422, "since is the as_of of an earlier answer", path="since", value=text[:64])
    return place
