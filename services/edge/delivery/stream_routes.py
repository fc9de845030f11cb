"""The table of stream routes: one row per stream. To add a stream, add a row to `STREAM_ROUTES`.

A row has the path of a stream, who may read it, the topics that it shows (`topics`), and its API
family. Event types of other packages join the rows that they name (`build_stream_routes`). Pure.
"""

import enum
from collections.abc import Sequence

import msgspec

from tapewire.events import BadDeclaration, Catalogue, Delivery, EventType, UnknownType
from tapewire_services.edge.delivery.serializers import (
    DASHBOARD,
    NOTIFICATIONS,
    STRATEGIES,
    TRADING,
    ApiFamily,
)
from tapewire_services.edge.delivery.topics import (
    ACCOUNT,
    AGENTS,
    ALERTS,
    CONNECTION_COUNTS,
    DECISIONS,
    FOLLOWED_CONFIGURATION,
    INBOX,
    ITEM_METRICS,
    ITEMS,
    ORDERS,
    POSITIONS,
    PRICES,
    PUBLIC_STATUS,
    STRATEGY_CHANGES,
    STRATEGY_STATES,
    Access,
    Topic,
)

PUBLIC, USER = Access.PUBLIC, Access.USER


class RouteParameter(enum.Enum):
    """What a request may select of a stream."""

    USER = "userId"
    """The user, in the query; an admin may read the streams of others."""
    TOPICS = "topics"
    """Topics and symbols, in the query."""
    STRATEGY = "strategy"
    """One strategy of the user, in the path."""
    CONFIGURATION = "configuration"
    """One configuration of the user, in the path; its items are shown."""


class StreamRoute(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table. `declared_event_tags` and `declared_value_tags` are the types of other
    packages that the stream shows: events, and newest-wins values."""

    path: str
    name: str
    access: Access
    topics: tuple[Topic, ...]
    family: ApiFamily
    parameter: RouteParameter | None = None
    declared_event_tags: frozenset[str] = frozenset()
    declared_value_tags: frozenset[str] = frozenset()

    @property
    def has_document(self) -> bool:
        """Whether clients that do not accept event streams get the same by a REST call."""
        return CONNECTION_COUNTS in self.topics

    @property
    def accepts_declared_types(self) -> bool:
        """Whether the stream can show types of other packages, to the user who owns the events."""
        return (
            self.access is USER
            and self.family is TRADING
            and self.parameter is not RouteParameter.STRATEGY
        )

    @property
    def delivery(self) -> Delivery:
        """Lossless when any topic is."""
        lossless = Delivery.LOSSLESS in {topic.delivery for topic in self.topics}
        return Delivery.LOSSLESS if lossless else Delivery.NEWEST_WINS


def _route(
    path: str,
    name: str,
    access: Access,
    family: ApiFamily,
    *topics: Topic,
    parameter: RouteParameter | None = None,
) -> StreamRoute:
    return StreamRoute(
        path=path, name=name, access=access, topics=topics, family=family, parameter=parameter
    )


_STRATEGY_PATH = "/api/stream/strategies/{strategy_id}"
_STRATEGY_STATE_PATH = "/sse/strategy/{strategy_id}"
_CONFIGURATION_ITEMS_PATH = "/api/v2/configurations/{configuration_id}/stream"

# fmt: off
STREAM_ROUTES: Sequence[StreamRoute] = (
    _route("/api/stream/orders", "orders", USER, TRADING, ORDERS, AGENTS),
    _route("/api/stream/positions", "positions", USER, TRADING, POSITIONS, AGENTS),
    _route("/api/stream/prices", "prices", PUBLIC, TRADING, PRICES, PUBLIC_STATUS),
    _route("/api/stream/trading", "trading", USER, TRADING, ORDERS, POSITIONS, ACCOUNT, AGENTS,
           parameter=RouteParameter.USER),
    _route("/api/stream/ai-decisions", "ai-decisions", USER, TRADING, DECISIONS, AGENTS),
    _route("/api/stream/strategies", "strategies", USER, TRADING, STRATEGY_CHANGES, AGENTS),
    _route(_STRATEGY_PATH, "strategy", USER, TRADING, STRATEGY_CHANGES, AGENTS,
           parameter=RouteParameter.STRATEGY),
    _route("/api/stream/alerts", "alerts", USER, TRADING, ALERTS, AGENTS),
    _route("/api/stream/metrics", "metrics", PUBLIC, TRADING, CONNECTION_COUNTS, PUBLIC_STATUS),
    _route("/api/stream", "topics", PUBLIC, TRADING, parameter=RouteParameter.TOPICS),

    _route("/sse/strategies", "all-strategies", USER, STRATEGIES, STRATEGY_STATES),
    _route("/sse/strategies/reconnect", "all-strategies-again", USER, STRATEGIES, STRATEGY_STATES),
    _route(_STRATEGY_STATE_PATH, "one-strategy", USER, STRATEGIES, STRATEGY_STATES, PRICES,
           parameter=RouteParameter.STRATEGY),
    _route("/sse/prices", "sse-prices", USER, STRATEGIES, PRICES),

    _route("/api/v2/stream", "dashboard", PUBLIC, DASHBOARD, ITEMS, ITEM_METRICS),
    _route(_CONFIGURATION_ITEMS_PATH, "configuration", USER, DASHBOARD, ITEMS,
           FOLLOWED_CONFIGURATION, ITEM_METRICS, parameter=RouteParameter.CONFIGURATION),

    _route("/api/sse/notifications", "notifications", USER, NOTIFICATIONS, INBOX),
)
# fmt: on


def build_stream_routes(
    catalogue: Catalogue, routes: Sequence[StreamRoute] = STREAM_ROUTES
) -> Sequence[StreamRoute]:
    """The table, extended by the types that other packages show on its streams.

    Raises:
        BadDeclaration: a type names a stream that does not exist or cannot show it.
    """
    declared = [kind for kind in catalogue.event_types() if kind.sse_binding is not None]
    accepting = [route.name for route in routes if route.accepts_declared_types]
    for kind in declared:
        refusing = (
            sorted(set(kind.sse_binding.streams) - set(accepting)) if kind.sse_binding else []
        )
        if refusing:
            raise BadDeclaration(
                f"{kind.tag} of {kind.package!r} names the stream {refusing[0]!r}; "
                f"it can be on: {', '.join(accepting)}"
            )
    return [_add_declared_types(route, declared, catalogue) for route in routes]


def _add_declared_types(
    route: StreamRoute, declared_types: Sequence[EventType], catalogue: Catalogue
) -> StreamRoute:
    shown = {
        kind.tag: kind
        for kind in declared_types
        if kind.sse_binding and route.name in kind.sse_binding.streams
    }
    values = {tag for tag, kind in shown.items() if kind.delivery is Delivery.NEWEST_WINS}
    events = shown.keys() - values
    # Events stored under an older version are shown as the current one.
    tags = {tag for tag in catalogue.tags() if _current_tag(catalogue, tag) in events}
    return msgspec.structs.replace(
        route, declared_event_tags=frozenset(tags), declared_value_tags=frozenset(values)
    )


def _current_tag(catalogue: Catalogue, tag: str) -> str | None:
    try:
        return catalogue.type_for_tag(tag).tag
    except UnknownType:
        return None
