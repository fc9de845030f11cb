"""THE TABLE: one row a stream. Adding a stream is adding a row.

A row says where a stream is, who may read it, which topics it is made of, and the family of front
ends that it speaks to. A topic says which events it shows (of the user's own, and of everybody's),
what a fresh reader of it begins with, and which newest-wins values go along. Types that other
packages declare join the rows that they name: `feeds`. Pure.
"""

import enum
from collections.abc import Iterable, Sequence

import msgspec

from services.edge.dialects import DASHBOARD, NOTIFICATIONS, STRATEGIES, TRADING, Family
from tapewire.events import BadDeclaration, Catalogue, Delivery, Kind, UnknownType


class Access(enum.Enum):
    """Who may read a stream."""

    ANYBODY = "anybody"
    USER = "user"


class Picks(enum.Enum):
    """What a request may choose beside the stream."""

    USER = "userId"
    """An admin may read another user's."""
    TOPICS = "topics"
    """What is shown, and of what."""
    STRATEGY = "strategy"
    """One strategy of the user's, by the path."""
    CONFIGURATION = "configuration"
    """The items that one configuration of the user's shows, by the path."""


class Begin(enum.Enum):
    """What a fresh connection begins with, in this order; the last one carries the place."""

    RECENT = "recent"
    """The last happenings of the topic."""
    POSITIONS = "positions"
    STRATEGIES = "strategies"
    UNREAD = "unread"
    ORDERS = "orders"


class Lane(enum.Enum):
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
    own: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    heard: frozenset[str] = frozenset()
    begin: Begin | None = None
    lane: Lane | None = None

    @property
    def delivery(self) -> Delivery:
        """What happens to a reader that is slower than the topic."""
        lossless = self.own or self.shared
        return Delivery.LOSSLESS if lossless else Delivery.NEWEST_WINS


def _of(*domains: str) -> frozenset[str]:
    return frozenset(domains)


ANYBODY, USER = Access.ANYBODY, Access.USER

ORDERS = Topic(name="orders", own=_of("orders", "trades"), begin=Begin.ORDERS)
POSITIONS = Topic(
    name="positions", own=_of("positions"), begin=Begin.POSITIONS, lane=Lane.VALUATIONS
)
PRICES = Topic(name="prices", access=ANYBODY, lane=Lane.PRICES)
DECISIONS = Topic(name="ai-decisions", own=_of("decisions"), begin=Begin.RECENT)
CHANGES = Topic(name="strategies", own=_of("strategies"), begin=Begin.RECENT)
ALERTS = Topic(name="alerts", own=_of("alerts"), begin=Begin.RECENT)
AGENTS = Topic(name="agents", shared=_of("agents"))
HEARSAY = Topic(name="hearsay", access=ANYBODY, heard=_of("agents"))
COUNTS = Topic(name="metrics", access=ANYBODY, lane=Lane.COUNTS)
STATES = Topic(name="states", own=_of("strategies", "orders", "reports"), begin=Begin.STRATEGIES)
ITEMS = Topic(name="items", access=ANYBODY, shared=_of("items"), begin=Begin.RECENT)
METRICS = Topic(name="dashboard", access=ANYBODY, lane=Lane.METRICS)
CONFIGURATIONS = Topic(name="configurations", own=_of("configurations"))
INBOX = Topic(name="notifications", own=_of("notifications"), begin=Begin.UNREAD)

CHOOSABLE = {
    topic.name: topic for topic in (ORDERS, POSITIONS, PRICES, DECISIONS, CHANGES, ALERTS, AGENTS)
}
"""What ``?topics=`` can name."""


class Interest(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection is to be shown: all its topics together."""

    own: frozenset[str]
    shared: frozenset[str]
    heard: frozenset[str]
    begins: tuple[Begin, ...]
    recent: frozenset[str]
    """Domains whose last happenings a fresh connection begins with."""
    lanes: frozenset[Lane]

    @property
    def lossless(self) -> bool:
        """Whether there are events to follow, and so a place to resume from."""
        return bool(self.own or self.shared)


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """A row. `tags` and `values` are the types of other packages that it shows: events, and
    newest-wins values."""

    path: str
    name: str
    access: Access
    topics: tuple[Topic, ...]
    family: Family
    picks: Picks | None = None
    tags: frozenset[str] = frozenset()
    values: frozenset[str] = frozenset()

    @property
    def takes_others(self) -> bool:
        """Whether types of other packages can be shown: each to the user that owns it, in order."""
        return self.access is USER and self.family is TRADING and self.picks is not Picks.STRATEGY

    @property
    def delivery(self) -> Delivery:
        """Lossless when any topic is."""
        lossless = any(topic.delivery is Delivery.LOSSLESS for topic in self.topics)
        return Delivery.LOSSLESS if lossless else Delivery.NEWEST_WINS


def _row(
    path: str,
    name: str,
    access: Access,
    family: Family,
    *topics: Topic,
    picks: Picks | None = None,
) -> Feed:
    return Feed(path=path, name=name, access=access, topics=topics, family=family, picks=picks)


_ONE_STRATEGY = "/api/stream/strategies/{strategy_id}"
_ITS_STATE = "/sse/strategy/{strategy_id}"
_ITS_ITEMS = "/api/v2/configurations/{configuration_id}/stream"

# fmt: off
FEEDS: Sequence[Feed] = (
    _row("/api/stream/orders", "orders", USER, TRADING, ORDERS, AGENTS),
    _row("/api/stream/positions", "positions", USER, TRADING, POSITIONS, AGENTS),
    _row("/api/stream/prices", "prices", ANYBODY, TRADING, PRICES, HEARSAY),
    _row("/api/stream/trading", "trading", USER, TRADING, ORDERS, POSITIONS, AGENTS,
         picks=Picks.USER),
    _row("/api/stream/ai-decisions", "ai-decisions", USER, TRADING, DECISIONS, AGENTS),
    _row("/api/stream/strategies", "strategies", USER, TRADING, CHANGES, AGENTS),
    _row(_ONE_STRATEGY, "strategy", USER, TRADING, CHANGES, AGENTS, picks=Picks.STRATEGY),
    _row("/api/stream/alerts", "alerts", USER, TRADING, ALERTS, AGENTS),
    _row("/api/stream/metrics", "metrics", ANYBODY, TRADING, COUNTS, HEARSAY),
    _row("/api/stream", "topics", ANYBODY, TRADING, picks=Picks.TOPICS),

    _row("/sse/strategies", "all-strategies", USER, STRATEGIES, STATES),
    _row("/sse/strategies/reconnect", "all-strategies-again", USER, STRATEGIES, STATES),
    _row(_ITS_STATE, "one-strategy", USER, STRATEGIES, STATES, PRICES, picks=Picks.STRATEGY),
    _row("/sse/prices", "sse-prices", ANYBODY, STRATEGIES, PRICES),

    _row("/api/v2/stream", "dashboard", ANYBODY, DASHBOARD, ITEMS, METRICS),
    _row(_ITS_ITEMS, "configuration", USER, DASHBOARD, ITEMS, CONFIGURATIONS, METRICS,
         picks=Picks.CONFIGURATION),

    _row("/api/sse/notifications", "notifications", USER, NOTIFICATIONS, INBOX),
)
# fmt: on


def interest(topics: Iterable[Topic]) -> Interest:
    """What all of `topics` together are."""
    every = list(topics)
    begins = {topic.begin for topic in every}
    recent = (topic for topic in every if topic.begin is Begin.RECENT)
    return Interest(
        own=frozenset().union(*(topic.own for topic in every)),
        shared=frozenset().union(*(topic.shared for topic in every)),
        heard=frozenset().union(*(topic.heard for topic in every)),
        begins=tuple(begin for begin in Begin if begin in begins),
        recent=frozenset().union(*(topic.own | topic.shared for topic in recent)),
        lanes=frozenset(topic.lane for topic in every if topic.lane is not None),
    )


def feeds(catalogue: Catalogue, table: Sequence[Feed] = FEEDS) -> Sequence[Feed]:
    """The table, with the types that other packages show on its streams.

    Raises:
        BadDeclaration: a type wants to be shown on a stream that there is not.
    """
    others = [kind for kind in catalogue.kinds() if kind.shown is not None]
    able = [feed.name for feed in table if feed.takes_others]
    for kind in others:
        unable = sorted(set(kind.shown.streams) - set(able)) if kind.shown else []
        if unable:
            raise BadDeclaration(
                f"{kind.tag} of {kind.package!r} wants to be shown on {unable[0]!r}; "
                f"it can be on: {', '.join(able)}"
            )
    return [_with(feed, others, catalogue) for feed in table]


def _with(feed: Feed, others: Sequence[Kind], catalogue: Catalogue) -> Feed:
    shown = {kind.tag: kind for kind in others if kind.shown and feed.name in kind.shown.streams}
    values = {tag for tag, kind in shown.items() if kind.delivery is Delivery.NEWEST_WINS}
    events = shown.keys() - values
    # What was stored under an older version is shown as its current one.
    tags = {tag for tag in catalogue.tags() if _current(catalogue, tag) in events}
    return msgspec.structs.replace(feed, tags=frozenset(tags), values=frozenset(values))


def _current(catalogue: Catalogue, tag: str) -> str | None:
    try:
        return catalogue.stored_as(tag).tag
    except UnknownType:
        return None
