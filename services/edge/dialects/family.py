"""Families of streams: one kind of front end each, with its dialect and its manners.

How a stream begins (`hello`), how quotes are told, and what an idle connection is sent. Streams of
a family differ only in what they show: see `services.edge.feeds`.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from services.edge.dialects.dashboard import dashboard
from services.edge.dialects.notifications import notifications
from services.edge.dialects.scene import Dialect, Told
from services.edge.dialects.strategies import price_told, strategies
from services.edge.dialects.trading import PricesSnapshot, PriceView, trading


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


class Draining(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """This connection will be closed by a server that stops, in `closes_in_ms` milliseconds."""

    closes_in_ms: int
    timestamp: datetime


class SnakeDraining(msgspec.Struct, frozen=True, kw_only=True):
    """The same for the other families; `type` is the name of the event."""

    type: str
    closes_in_ms: int
    timestamp: datetime


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """The manners of a kind of front end. `idle` None is a comment; `steady` says that idle frames
    come as often whatever else is sent. `prices` is what a stream of quotes begins with, `leaving`
    says in how many milliseconds the connection will be closed."""

    name: str
    dialect: Dialect
    hello: Callable[[Hello], Told]
    idle: Callable[[datetime], Told] | None
    steady: bool = False
    price: Callable[[PriceView], Told]
    prices: Callable[[Sequence[PriceView], Sequence[str] | None, datetime], list[Told]]
    leaving: Callable[[int, datetime], Told]


def _snake(name: str) -> Callable[[Hello], Told]:
    def hello(of: Hello) -> Told:
        fields = msgspec.structs.asdict(of)
        return name, SnakeHello(type=name, timestamp=of.server_time, **fields)

    return hello


def _leaving(milliseconds: int, at: datetime) -> Told:
    return "stream:draining", Draining(closes_in_ms=milliseconds, timestamp=at)


def _snake_leaving(name: str) -> Callable[[int, datetime], Told]:
    def leaving(milliseconds: int, at: datetime) -> Told:
        return name, SnakeDraining(type=name, closes_in_ms=milliseconds, timestamp=at)

    return leaving


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
    price=_price,
    prices=_initializing,
    leaving=_leaving,
)
STRATEGIES = Family(
    name="strategies",
    dialect=strategies,
    hello=_snake("CONNECTED"),
    idle=_ping,
    price=price_told,
    prices=_subscribed,
    leaving=_snake_leaving("STREAM_DRAINING"),
)
DASHBOARD = Family(
    name="dashboard",
    dialect=dashboard,
    hello=_snake("connected"),
    idle=_heartbeat,
    steady=True,
    price=_price,
    prices=_each,
    leaving=_snake_leaving("stream:draining"),
)
NOTIFICATIONS = Family(
    name="notifications",
    dialect=notifications,
    hello=_snake("connected"),
    idle=_heartbeat,
    steady=True,
    price=_price,
    prices=_each,
    leaving=_snake_leaving("stream:draining"),
)
