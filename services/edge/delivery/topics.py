"""The topics of streams: the parts that a stream is made of, or that ``?topics=`` selects.

A topic has the domains of the events that it shows (the user's own, and shared ones), the snapshot
that a fresh stream starts with, and the newest-wins values that are sent beside the events. Pure.
"""

import enum
from collections.abc import Iterable

import msgspec

from tapewire.events import Delivery


class Access(enum.Enum):
    """Who may read a stream."""

    PUBLIC = "anybody"
    USER = "user"


class SnapshotKind(enum.Enum):
    """What a fresh stream starts with, in this order; the last message carries the event id."""

    RECENT = "recent"
    """The most recent events of the topic."""
    POSITIONS = "positions"
    AGENTS = "agents"
    """The newest status of each process of the services."""
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
    AGENTS = "agents"
    """The public status of each process of the services."""
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
CONFIGURATIONS = Topic(
    name="configurations",
    own_domains=_domain_set("configurations"),
    snapshot_kind=SnapshotKind.RECENT,
)
FOLLOWED_CONFIGURATION = Topic(name="configurations", own_domains=_domain_set("configurations"))
"""What the items of one configuration are selected by; its changes are not shown."""
ALERT_RULES = Topic(
    name="alert-rules", own_domains=_domain_set("rules"), snapshot_kind=SnapshotKind.RECENT
)
INBOX = Topic(
    name="notifications",
    own_domains=_domain_set("notifications"),
    snapshot_kind=SnapshotKind.UNREAD,
)

_AGENTS_WITH_STATE = msgspec.structs.replace(AGENTS, snapshot_kind=SnapshotKind.AGENTS)
_PRIVATE_TOPICS = (
    ORDERS,
    POSITIONS,
    ACCOUNT,
    DECISIONS,
    STRATEGY_CHANGES,
    ALERTS,
    ALERT_RULES,
    INBOX,
    CONFIGURATIONS,
    _AGENTS_WITH_STATE,
)
_PUBLIC_TOPICS = (
    PRICES,
    BARS,
    ITEMS,
    msgspec.structs.replace(ITEM_METRICS, name="item-metrics"),
    msgspec.structs.replace(CONNECTION_COUNTS, name="connections"),
)
SELECTABLE_TOPICS = {topic.name: topic for topic in (*_PRIVATE_TOPICS, *_PUBLIC_TOPICS)}
"""What ``?topics=`` can name."""
PUBLIC_VARIANTS = {
    _AGENTS_WITH_STATE: Topic(name=AGENTS.name, access=PUBLIC, live_value=LiveValue.AGENTS)
}
"""Topics that show less to clients without a session, instead of requiring one."""


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
