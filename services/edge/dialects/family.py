"""Families of streams: one kind of front end each, with its dialect and its manners.

How a stream begins (`hello`), how quotes are told, and what an idle connection is sent. Streams of
a family differ only in what they show: see `services.edge.feeds`.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from services.edge.dialects.dashboard import dashboard
from services.edge.dialects.notifications import notifications
from services.edge.dialects.scene import Dialect, Scene, Told
from services.edge.dialects.strategies import price_told, strategies
from services.edge.dialects.trading import PricesSnapshot, PriceView, hearsay, trading
from tapewire.events import Event


class Hello(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The first event of a trading stream. `keepalive_ms` is the longest that the stream is silent,
    in milliseconds, so that a client knows when a connection is dead."""

    client_id: str
    user_id: str | None
    stream: str
    server_time: datetime
    correlation_id: str
    keepalive_ms: int


class SnakeHello(msgspec.Struct, frozen=True, kw_only=True):
    """The same for the other families; `type` is the name of the event."""

    type: str
    client_id: str
    user_id: str | None
    stream: str
    timestamp: datetime
    server_time: datetime
    correlation_id: str
    keepalive_ms: int


class Subscribed(msgspec.Struct, frozen=True, kw_only=True):
    """Which symbols a price stream shows; None is all."""

    type: str
    symbols: Sequence[str] | None
    timestamp: datetime


class Ping(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    timestamp: datetime


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """`status` is how this connection is: ``connected``."""

    status: str
    timestamp: datetime


def silence(event: Event, owner: str, scene: Scene) -> None:
    """The dialect that tells nothing."""


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """The manners of a kind of front end. `idle` None is a comment; `steady` says that idle frames
    come as often whatever else is sent. `prices` is what a stream of quotes begins with, `says` how
    it is told what concerns the connection itself: a reset, its end. `in_passing` is the dialect
    of what it hears without ids."""

    name: str
    dialect: Dialect
    hello: Callable[[Hello], Told]
    idle: Callable[[datetime], Told] | None
    says: Callable[[str, msgspec.Struct, datetime], Told]
    steady: bool = False
    in_passing: Dialect = silence
    price: Callable[[PriceView], Told]
    prices: Callable[[Sequence[PriceView], Sequence[str] | None, datetime], list[Told]]


def _snake(name: str) -> Callable[[Hello], Told]:
    def hello(of: Hello) -> Told:
        fields = msgspec.structs.asdict(of)
        return name, SnakeHello(type=name, timestamp=of.server_time, **fields)

    return hello


def _plainly(name: str, told: msgspec.Struct, at: datetime) -> Told:  # noqa: ARG001
    return name, told


def _snakily(name: str, told: msgspec.Struct, at: datetime) -> Told:
    """Keys in snake_case, and the name and the time in the payload too, as all its events have."""
    return name, {"type": name, "timestamp": at, **msgspec.structs.asdict(told)}


def _initializing(
    prices: Sequence[PriceView],
    symbols: Sequence[str] | None,  # noqa: ARG001
    at: datetime,
) -> list[Told]:
    return [("price:update", PricesSnapshot(initializing=True, prices=prices, timestamp=at))]


def _subscribed(
    prices: Sequence[PriceView], symbols: Sequence[str] | None, at: datetime
) -> list[Told]:
    subscribed = Subscribed(type="subscribed", symbols=symbols, timestamp=at)
    return [("subscribed", subscribed), *map(price_told, prices)]


def _each(
    prices: Sequence[PriceView],
    symbols: Sequence[str] | None,  # noqa: ARG001
    at: datetime,  # noqa: ARG001
) -> list[Told]:
    return [("price:update", view) for view in prices]


def _price(view: PriceView) -> Told:
    return "price:update", view


def _ping(at: datetime) -> Told:
    return "PING", Ping(type="PING", timestamp=at)


def _heartbeat(at: datetime) -> Told:
    return "heartbeat", Heartbeat(status="connected", timestamp=at)


TRADING = Family(
    name="trading",
    dialect=trading,
    hello=lambda of: ("connected", of),
    idle=None,
    says=_plainly,
    in_passing=hearsay,
    price=_price,
    prices=_initializing,
)
STRATEGIES = Family(
    name="strategies",
    dialect=strategies,
    hello=_snake("CONNECTED"),
    idle=_ping,
    says=_snakily,
    price=price_told,
    prices=_subscribed,
)
DASHBOARD = Family(
    name="dashboard",
    dialect=dashboard,
    hello=_snake("connected"),
    idle=_heartbeat,
    says=_snakily,
    steady=True,
    price=_price,
    prices=_each,
)
NOTIFICATIONS = Family(
    name="notifications",
    dialect=notifications,
    hello=_snake("connected"),
    idle=_heartbeat,
    says=_snakily,
    steady=True,
    price=_price,
    prices=_each,
)
