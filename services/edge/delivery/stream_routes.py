"""THE TABLE: one row a stream. Adding a stream is adding a row.

A row says where a stream is, who may read it, which topics it is made of, and the family of front
ends that it speaks to. A topic says which events it shows (of the user's own, and of everybody's),
what a fresh reader of it begins with, and which newest-wins values go along. Types that other
packages declare join the rows that they name: `feeds`. Pure.
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
    """What a request may choose beside the stream."""

    USER = "userId"
    """An admin may read another user's."""
    TOPICS = "topics"
    """What is shown, and of what."""
    STRATEGY = "strategy"
    """One strategy of the user's, by the path."""
    CONFIGURATION = "configuration"
    """The items that one configuration of the user's shows, by the path."""


class SnapshotKind(enum.Enum):
    """What a fresh connection begins with, in this order; the last one carries the place."""

    RECENT = "recent"
    """The last happenings of the topic."""
    POSITIONS = "positions"
    STRATEGIES = "strategies"
    UNREAD = "unread"
    ORDERS = "orders"


class LiveValue(enum.Enum):
    """Newest-wins values that go along: without ids, at the reader's rate."""

    PRICES = "prices"
    VALUATIONS = "valuations"
    COUNTS = "counts"
    METRICS = "metrics"


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream can be made of: `own` are domains of the user's own events, `shared` of those
    that everybody may see, `heard` of those that are told in passing, as far as anybody may know
    of them: to who is there, without ids."""

    name: str
    access: Access = Access.USER
    own_domains: frozenset[str] = frozenset()
    shared_domains: frozenset[str] = frozenset()
    unsequenced_domains: frozenset[str] = frozenset()
    snapshot_kind: SnapshotKind | None = None
    live_value: LiveValue | None = None

    @property
    def delivery(self) -> Delivery:
        """What happens to a reader that is slower than the topic."""
        lossless = self.own_domains or self.shared_domains
        return Delivery.LOSSLESS if lossless else Delivery.NEWEST_WINS


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
PRICES = Topic(name="prices", access=PUBLIC, live_value=LiveValue.PRICES)
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
    name="items",
    access=PUBLIC,
    shared_domains=_domain_set("items"),
    snapshot_kind=SnapshotKind.RECENT,
)
ITEM_METRICS = Topic(name="dashboard", access=PUBLIC, live_value=LiveValue.METRICS)
CONFIGURATIONS = Topic(name="configurations", own_domains=_domain_set("configurations"))
INBOX = Topic(
    name="notifications",
    own_domains=_domain_set("notifications"),
    snapshot_kind=SnapshotKind.UNREAD,
)

SELECTABLE_TOPICS = {
    topic.name: topic
    for topic in (ORDERS, POSITIONS, PRICES, DECISIONS, STRATEGY_CHANGES, ALERTS, AGENTS)
}
"""What ``?topics=`` can name."""


class Interest(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection is to be shown: all its topics together."""

    own_domains: frozenset[str]
    shared_domains: frozenset[str]
    unsequenced_domains: frozenset[str]
    snapshot_kinds: tuple[SnapshotKind, ...]
    recent_domains: frozenset[str]
    """Domains whose last happenings a fresh connection begins with."""
    live_values: frozenset[LiveValue]

    @property
    def is_lossless(self) -> bool:
        """Whether there are events to follow, and so a place to resume from."""
        return bool(self.own_domains or self.shared_domains)


class StreamRoute(msgspec.Struct, frozen=True, kw_only=True):
    """A row. `tags` and `values` are the types of other packages that it shows: events, and
    newest-wins values."""

    path: str
    name: str
    access: Access
    topics: tuple[Topic, ...]
    family: ApiFamily
    parameter: RouteParameter | None = None
    declared_event_tags: frozenset[str] = frozenset()
    declared_value_tags: frozenset[str] = frozenset()

    @property
    def accepts_declared_types(self) -> bool:
        """Whether types of other packages can be shown: each to the user that owns it, in order."""
        return (
            self.access is USER
            and self.family is TRADING
            and self.parameter is not RouteParameter.STRATEGY
        )

    @property
    def delivery(self) -> Delivery:
        """Lossless when any topic is."""
        lossless = any(topic.delivery is Delivery.LOSSLESS for topic in self.topics)
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
    _route("/api/stream/trading", "trading", USER, TRADING, ORDERS, POSITIONS, AGENTS,
         parameter=RouteParameter.USER),
    _route("/api/stream/ai-decisions", "ai-decisions", USER, TRADING, DECISIONS, AGENTS),
    _route("/api/stream/strategies", "strategies", USER, TRADING, STRATEGY_CHANGES, AGENTS),
    _route(_STRATEGY_PATH, "strategy", USER, TRADING, STRATEGY_CHANGES, AGENTS, parameter=RouteParameter.STRATEGY),
    _route("/api/stream/alerts", "alerts", USER, TRADING, ALERTS, AGENTS),
    _route("/api/stream/metrics", "metrics", PUBLIC, TRADING, CONNECTION_COUNTS, PUBLIC_STATUS),
    _route("/api/stream", "topics", PUBLIC, TRADING, parameter=RouteParameter.TOPICS),

    _route("/sse/strategies", "all-strategies", USER, STRATEGIES, STRATEGY_STATES),
    _route("/sse/strategies/reconnect", "all-strategies-again", USER, STRATEGIES, STRATEGY_STATES),
    _route(_STRATEGY_STATE_PATH, "one-strategy", USER, STRATEGIES, STRATEGY_STATES, PRICES, parameter=RouteParameter.STRATEGY),
    _route("/sse/prices", "sse-prices", PUBLIC, STRATEGIES, PRICES),

    _route("/api/v2/stream", "dashboard", PUBLIC, DASHBOARD, ITEMS, ITEM_METRICS),
    _route(_CONFIGURATION_ITEMS_PATH, "configuration", USER, DASHBOARD, ITEMS, CONFIGURATIONS, ITEM_METRICS,
         parameter=RouteParameter.CONFIGURATION),

    _route("/api/sse/notifications", "notifications", USER, NOTIFICATIONS, INBOX),
)
# fmt: on


def combine_topics(topics: Iterable[Topic]) -> Interest:
    """What all of `topics` together are."""
    every = list(topics)
    begins = {topic.snapshot_kind for topic in every}
    recent = (topic for topic in every if topic.snapshot_kind is SnapshotKind.RECENT)
    return Interest(
        own_domains=frozenset().union(*(topic.own_domains for topic in every)),
        shared_domains=frozenset().union(*(topic.shared_domains for topic in every)),
        unsequenced_domains=frozenset().union(*(topic.unsequenced_domains for topic in every)),
        snapshot_kinds=tuple(begin for begin in SnapshotKind if begin in begins),
        recent_domains=frozenset().union(
            *(topic.own_domains | topic.shared_domains for topic in recent)
        ),
        live_values=frozenset(topic.live_value for topic in every if topic.live_value is not None),
    )


def build_stream_routes(
    catalogue: Catalogue, routes: Sequence[StreamRoute] = STREAM_ROUTES
) -> Sequence[StreamRoute]:
    """The table, with the types that other packages show on its streams.

    Raises:
        BadDeclaration: a type wants to be shown on a stream that there is not.
    """
    others = [kind for kind in catalogue.event_types() if kind.sse_binding is not None]
    able = [feed.name for feed in routes if feed.accepts_declared_types]
    for kind in others:
        unable = sorted(set(kind.sse_binding.streams) - set(able)) if kind.sse_binding else []
        if unable:
            raise BadDeclaration(
                f"{kind.tag} of {kind.package!r} wants to be shown on {unable[0]!r}; "
                f"it can be on: {', '.join(able)}"
            )
    return [_add_declared_types(feed, others, catalogue) for feed in routes]


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
    # What was stored under an older version is shown as its current one.
    tags = {tag for tag in catalogue.tags() if _current_tag(catalogue, tag) in events}
    return msgspec.structs.replace(
        route, declared_event_tags=frozenset(tags), declared_value_tags=frozenset(values)
    )


def _current_tag(catalogue: Catalogue, tag: str) -> str | None:
    try:
        return catalogue.type_for_tag(tag).tag
    except UnknownType:
        return None
