"""Families of streams: one kind of front end each, with its dialect and its manners.

How a stream begins (`hello`), how quotes are told, and what an idle connection is sent. Streams of
a family differ only in what they show: see `tapewire_services.edge.delivery.stream_routes`.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from tapewire.events import Event
from tapewire_services.edge.delivery.serializers.dashboard import serialize_dashboard
from tapewire_services.edge.delivery.serializers.notifications import serialize_notifications
from tapewire_services.edge.delivery.serializers.serializer import (
    PricingContext,
    Serializer,
    SseMessage,
)
from tapewire_services.edge.delivery.serializers.strategies import (
    price_message,
    serialize_strategies,
)
from tapewire_services.edge.delivery.serializers.trading import (
    PricesSnapshotPayload,
    PriceView,
    serialize_public_status,
    serialize_trading,
)


class ConnectedPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The first event of a trading stream. `keepalive_ms` is the longest that the stream is silent,
    in milliseconds, so that a client knows when a connection is dead."""

    client_id: str
    user_id: str | None
    stream: str
    server_time: datetime
    correlation_id: str
    keepalive_ms: int


class SnakeCaseConnectedPayload(msgspec.Struct, frozen=True, kw_only=True):
    """The same for the other families; `type` is the name of the event."""

    type: str
    client_id: str
    user_id: str | None
    stream: str
    timestamp: datetime
    server_time: datetime
    correlation_id: str
    keepalive_ms: int


class SubscribedPayload(msgspec.Struct, frozen=True, kw_only=True):
    """Which symbols a price stream shows; None is all."""

    type: str
    symbols: Sequence[str] | None
    timestamp: datetime


class PingPayload(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    timestamp: datetime


class HeartbeatPayload(msgspec.Struct, frozen=True, kw_only=True):
    """`status` is how this connection is: ``connected``."""

    status: str
    timestamp: datetime


def serialize_nothing(event: Event, owner: str, pricing: PricingContext) -> None:
    """The dialect that tells nothing."""


class ApiFamily(msgspec.Struct, frozen=True, kw_only=True):
    """The manners of a kind of front end. `idle` None is a comment; `steady` says that idle frames
    come as often whatever else is sent. `prices` is what a stream of quotes begins with, `says` how
    it is told what concerns the connection itself: a reset, its end. `in_passing` is the dialect
    of what it hears without ids."""

    name: str
    serializer: Serializer
    connected_message: Callable[[ConnectedPayload], SseMessage]
    idle_message: Callable[[datetime], SseMessage] | None
    control_message: Callable[[str, msgspec.Struct, datetime], SseMessage]
    has_steady_heartbeat: bool = False
    unsequenced_serializer: Serializer = serialize_nothing
    price_message: Callable[[PriceView], SseMessage]
    initial_price_messages: Callable[
        [Sequence[PriceView], Sequence[str] | None, datetime], list[SseMessage]
    ]


def _snake_case_connected(name: str) -> Callable[[ConnectedPayload], SseMessage]:
    def hello(of: ConnectedPayload) -> SseMessage:
        fields = msgspec.structs.asdict(of)
        return name, SnakeCaseConnectedPayload(type=name, timestamp=of.server_time, **fields)

    return hello


def _camel_case_control_message(
    name: str, payload: msgspec.Struct, timestamp: datetime
) -> SseMessage:
    return name, payload


def _snake_case_control_message(
    name: str, payload: msgspec.Struct, timestamp: datetime
) -> SseMessage:
    """Keys in snake_case, and the name and the time in the payload too, as all its events have."""
    return name, {"type": name, "timestamp": timestamp, **msgspec.structs.asdict(payload)}


def _prices_snapshot(
    prices: Sequence[PriceView],
    symbols: Sequence[str] | None,  # noqa: ARG001
    timestamp: datetime,
) -> list[SseMessage]:
    return [
        (
            "price:update",
            PricesSnapshotPayload(initializing=True, prices=prices, timestamp=timestamp),
        )
    ]


def _subscribed_and_prices(
    prices: Sequence[PriceView], symbols: Sequence[str] | None, timestamp: datetime
) -> list[SseMessage]:
    subscribed = SubscribedPayload(type="subscribed", symbols=symbols, timestamp=timestamp)
    return [("subscribed", subscribed), *map(price_message, prices)]


def _price_messages(
    prices: Sequence[PriceView],
    symbols: Sequence[str] | None,  # noqa: ARG001
    timestamp: datetime,  # noqa: ARG001
) -> list[SseMessage]:
    return [("price:update", view) for view in prices]


def _camel_case_price(view: PriceView) -> SseMessage:
    return "price:update", view


def _ping_message(timestamp: datetime) -> SseMessage:
    return "PING", PingPayload(type="PING", timestamp=timestamp)


def _heartbeat_message(timestamp: datetime) -> SseMessage:
    return "heartbeat", HeartbeatPayload(status="connected", timestamp=timestamp)


TRADING = ApiFamily(
    name="trading",
    serializer=serialize_trading,
    connected_message=lambda of: ("connected", of),
    idle_message=None,
    control_message=_camel_case_control_message,
    unsequenced_serializer=serialize_public_status,
    price_message=_camel_case_price,
    initial_price_messages=_prices_snapshot,
)
STRATEGIES = ApiFamily(
    name="strategies",
    serializer=serialize_strategies,
    connected_message=_snake_case_connected("CONNECTED"),
    idle_message=_ping_message,
    control_message=_snake_case_control_message,
    price_message=price_message,
    initial_price_messages=_subscribed_and_prices,
)
DASHBOARD = ApiFamily(
    name="dashboard",
    serializer=serialize_dashboard,
    connected_message=_snake_case_connected("connected"),
    idle_message=_heartbeat_message,
    control_message=_snake_case_control_message,
    has_steady_heartbeat=True,
    price_message=_camel_case_price,
    initial_price_messages=_price_messages,
)
NOTIFICATIONS = ApiFamily(
    name="notifications",
    serializer=serialize_notifications,
    connected_message=_snake_case_connected("connected"),
    idle_message=_heartbeat_message,
    control_message=_snake_case_control_message,
    has_steady_heartbeat=True,
    price_message=_camel_case_price,
    initial_price_messages=_price_messages,
)
