"""THE TABLE: one row a stream. Adding a stream is adding a row.

A row says where a stream is, who may read it, which domains of its user's events it shows and how,
what its snapshot is made of, how it is delivered, and what an idle connection is sent. Pure.
"""

import enum
from collections.abc import Sequence

import msgspec

from services.edge.frames import Dialect, trading


class Access(enum.Enum):
    """Who may read a stream."""

    ANYBODY = "anybody"
    USER = "user"


class Delivery(enum.Enum):
    """What happens when a reader is slower than the events."""

    LOSSLESS = "lossless"
    NEWEST_WINS = "newest wins"


class Snapshot(enum.Enum):
    """What a fresh connection begins with."""

    ORDERS = "orders"
    PRICES = "prices"


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """A row. `domains` are those of the subjects ``ev.{user}.{domain}.>`` that it shows."""

    path: str
    name: str
    access: Access
    delivery: Delivery
    snapshot: Snapshot
    domains: frozenset[str] = frozenset()
    dialect: Dialect = trading
    takes_user: bool = False


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
