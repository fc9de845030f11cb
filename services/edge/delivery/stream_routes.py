"""The table of stream routes: one row per stream. To add a stream, add a row to `STREAM_ROUTES`.

A row has the path of a stream, who may read it, the topics that it shows, and its API family. A
topic has the domains of the events that it shows (the user's own, and shared ones), the snapshot
that a fresh stream starts with, and the newest-wins values that are sent beside the events. Event
types of other packages join the rows that they name (`build_stream_routes`). Pure.
"""

import enum
from collections.abc import Iterable, Sequence

import msgspec

from tapewire.events import BadDeclaration, Catalogue, Delivery, EventType, UnknownType
from tapewire_services.edge.delivery.serializers import (
    DASHBOARD,
    NOTIFICATIONS,
    STRATEGIES,
    TRADING,
    ApiFamily,
)


class Access(enum.Enum):
    """Who may read a stream."""

    PUBLIC = "anybody"
    USER = "user"


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


class SnapshotKind(enum.Enum):
    """What a fresh stream starts with, in this order; the last message carries the event id."""

    RECENT = "recent"
    """The most recent events of the topic."""
    POSITIONS = "positions"
    STRATEGIES = "strategies"
    UNREAD = "unread"
    ORDERS = "orders"


class LiveValue(enum.Enum):
    """Newest-wins values: sent without ids, at the reader's rate."""

    PRICES = "prices"
    VALUATIONS = "valuations"
    ACCOUNT = "account"
    COUNTS = "counts"
    METRICS = "metrics"
    BARS = "bars"
    DECLARED = "declared"
    """Values of types that other packages declare for the route."""


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a stream.

    `own_domains` are domains of the user's own events, `shared_domains` those of events that every
    user may see. Events of `unsequenced_domains` are sent without ids and without private fields to
    the clients that are connected at that moment.
    """

    name: str
    access: Access = Access.USER
    own_domains: frozenset[str] = frozenset()
    shared_domains: frozenset[str] = frozenset()
    unsequenced_domains: frozenset[str] = frozenset()
    snapshot_kind: SnapshotKind | None = None
    live_value: LiveValue | None = None

    @property
    def delivery(self) -> Delivery:
        """How events reach a reader that is slower than the topic."""
        has_events = self.own_domains or self.shared_domains
        return Delivery.LOSSLESS if has_events else Delivery.NEWEST_WINS


def _domain_set(*domains: str) -> frozenset[str]:
    return frozenset(domains)


PUBLIC, USER = Access.PUBLIC, Access.USER

ORDERS = Topic(
    name="orders", own_domains=_domain_set("orders", "trades"), snapshot_kind=SnapshotKind.ORDERS
)
POSITIONS = Topic(
    name="positions",
    own_domains=_domain_set("positions"),
    snapshot_kind=SnapshotKind.POSITIONS,
    live_value=LiveValue.VALUATIONS,
)
ACCOUNT = Topic(name="account", live_value=LiveValue.ACCOUNT)
PRICES = Topic(name="prices", access=PUBLIC, live_value=LiveValue.PRICES)
BARS = Topic(name="bars", access=PUBLIC, live_value=LiveValue.BARS)
DECISIONS = Topic(
    name="ai-decisions", own_domains=_domain_set("decisions"), snapshot_kind=SnapshotKind.RECENT
)
STRATEGY_CHANGES = Topic(
    name="strategies", own_domains=_domain_set("strategies"), snapshot_kind=SnapshotKind.RECENT
)
ALERTS = Topic(name="alerts", own_domains=_domain_set("alerts"), snapshot_kind=SnapshotKind.RECENT)
AGENTS = Topic(name="agents", shared_domains=_domain_set("agents"))
PUBLIC_STATUS = Topic(name="hearsay", access=PUBLIC, unsequenced_domains=_domain_set("agents"))
CONNECTION_COUNTS = Topic(name="metrics", access=PUBLIC, live_value=LiveValue.COUNTS)
STRATEGY_STATES = Topic(
    name="states",
    own_domains=_domain_set("strategies", "orders", "reports"),
    snapshot_kind=SnapshotKind.STRATEGIES,
)
ITEMS = Topic(
    name="items", access=PUBLIC, shared_domains=_domain_set("items"),
    snapshot_kind=SnapshotKind.RECENT,
)  # fmt: skip
ITEM_METRICS = Topic(name="dashboard", access=PUBLIC, live_value=LiveValue.METRICS)
CONFIGURATIONS = Topic(name="configurations", own_domains=_domain_set("configurations"))
INBOX = Topic(
    name="notifications",
    own_domains=_domain_set("notifications"),
    snapshot_kind=SnapshotKind.UNREAD,
)

_PRIVATE_TOPICS = (ORDERS, POSITIONS, ACCOUNT, DECISIONS, STRATEGY_CHANGES, ALERTS, AGENTS)
SELECTABLE_TOPICS = {topic.name: topic for topic in (*_PRIVATE_TOPICS, PRICES, BARS)}
"""What ``?topics=`` can name."""


class Interest(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection is shown: all its topics together."""

    own_domains: frozenset[str]
    shared_domains: frozenset[str]
    unsequenced_domains: frozenset[str]
    snapshot_kinds: tuple[SnapshotKind, ...]
    recent_domains: frozenset[str]
    """Domains whose most recent events a fresh stream starts with."""
    live_values: frozenset[LiveValue]

    @property
    def is_lossless(self) -> bool:
        """Whether the stream has events with ids, from which it can resume."""
        return bool(self.own_domains or self.shared_domains)


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
    _route(_CONFIGURATION_ITEMS_PATH, "configuration", USER, DASHBOARD, ITEMS, CONFIGURATIONS,
           ITEM_METRICS, parameter=RouteParameter.CONFIGURATION),

    _route("/api/sse/notifications", "notifications", USER, NOTIFICATIONS, INBOX),
)
# fmt: on


def combine_topics(topics: Iterable[Topic]) -> Interest:
    """What all of `topics` show together."""
    every = list(topics)
    kinds = {topic.snapshot_kind for topic in every}
    recent = (topic for topic in every if topic.snapshot_kind is SnapshotKind.RECENT)
    return Interest(
        own_domains=frozenset().union(*(topic.own_domains for topic in every)),
        shared_domains=frozenset().union(*(topic.shared_domains for topic in every)),
        unsequenced_domains=frozenset().union(*(topic.unsequenced_domains for topic in every)),
        snapshot_kinds=tuple(kind for kind in SnapshotKind if kind in kinds),
        recent_domains=frozenset().union(
            *(topic.own_domains | topic.shared_domains for topic in recent)
        ),
        live_values=frozenset(topic.live_value for topic in every if topic.live_value is not None),
    )


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
