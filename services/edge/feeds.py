"""THE TABLE: one row a stream. Adding a stream is adding a row.

A row says where a stream is, who may read it, which domains of its user's events it shows and how,
what its snapshot is made of, how it is delivered, and what an idle connection is sent. Types that
other packages declare join the rows that they name: `feeds`. Pure.
"""

import enum
from collections.abc import Sequence

import msgspec

from services.edge.frames import Dialect, trading
from tapewire.events import BadDeclaration, Catalogue, Delivery, Kind, UnknownType


class Access(enum.Enum):
    """Who may read a stream."""

    ANYBODY = "anybody"
    USER = "user"


class Snapshot(enum.Enum):
    """What a fresh connection begins with."""

    ORDERS = "orders"
    PRICES = "prices"


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """A row. `domains` are those of the subjects ``ev.{user}.{domain}.>`` that it shows; `tags` and
    `values` the types of other packages that it shows beside them: events, and newest-wins values.
    """

    path: str
    name: str
    access: Access
    delivery: Delivery
    snapshot: Snapshot
    domains: frozenset[str] = frozenset()
    dialect: Dialect = trading
    takes_user: bool = False
    tags: frozenset[str] = frozenset()
    values: frozenset[str] = frozenset()

    @property
    def takes_others(self) -> bool:
        """Whether types of other packages can be shown: each to the user that owns it, in order."""
        return self.access is Access.USER and self.delivery is Delivery.LOSSLESS


FEEDS: Sequence[Feed] = (
    Feed(
        path="/api/stream/orders",
        name="orders",
        access=Access.USER,
        delivery=Delivery.LOSSLESS,
        snapshot=Snapshot.ORDERS,
        domains=frozenset({"orders", "trades"}),
    ),
    Feed(
        path="/api/stream/prices",
        name="prices",
        access=Access.ANYBODY,
        delivery=Delivery.NEWEST_WINS,
        snapshot=Snapshot.PRICES,
    ),
    Feed(
        path="/api/stream/trading",
        name="trading",
        access=Access.USER,
        delivery=Delivery.LOSSLESS,
        snapshot=Snapshot.ORDERS,
        domains=frozenset({"orders", "trades"}),
        takes_user=True,
    ),
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
