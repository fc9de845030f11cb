"""API families: the conventions of each kind of front end.

A family has a serializer and says how a stream begins, how quotes are written, and what an idle
connection is sent. Streams of one family differ only in what they show: see
`tapewire_services.edge.delivery.stream_routes`.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec

from tapewire.events import Event
from tapewire.payloads.control import (
    ConnectedPayload,
    HeartbeatPayload,
    PingPayload,
    SnakeCaseConnectedPayload,
    SubscribedPayload,
)
from tapewire.payloads.market import PricesSnapshotPayload, PriceView, QuoteView
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
    stale_price_message,
)
from tapewire_services.edge.delivery.serializers.trading import (
    serialize_public_status,
    serialize_trading,
)
from tapewire_services.edge.delivery.serializers.trading_views import InitialPrices


def serialize_nothing(event: Event, owner: str, pricing: PricingContext) -> None:
    """The serializer that shows no event."""


class ApiFamily(msgspec.Struct, frozen=True, kw_only=True):
    """The conventions of one kind of front end.

    `connected_message` begins a stream, `initial_price_messages` one with quotes.
    `stale_price_message` says that a quote is too old to rely on. `control_message` writes events
    about the stream itself: its name, payload and time. Without an `idle_message`, an idle stream
    is sent a comment. With a steady heartbeat, idle messages are sent at a constant rate, whatever
    else is sent. `unsequenced_serializer` writes events that are sent without ids. The metrics of
    items are the event `item_metrics_name`.
    """

    name: str
    serializer: Serializer
    connected_message: Callable[[ConnectedPayload], SseMessage]
    idle_message: Callable[[datetime], SseMessage] | None
    control_message: Callable[[str, msgspec.Struct, datetime], SseMessage]
    has_steady_heartbeat: bool = False
    unsequenced_serializer: Serializer = serialize_nothing
    item_metrics_name: str = "metrics"
    price_message: Callable[[PriceView], SseMessage]
    stale_price_message: Callable[[QuoteView], SseMessage]
    initial_price_messages: Callable[[InitialPrices], list[SseMessage]]


def _snake_case_connected(name: str) -> Callable[[ConnectedPayload], SseMessage]:
    def connected_message(payload: ConnectedPayload) -> SseMessage:
        fields = msgspec.structs.asdict(payload)
        return name, SnakeCaseConnectedPayload(type=name, timestamp=payload.server_time, **fields)

    return connected_message


def _camel_case_control_message(
    name: str, payload: msgspec.Struct, _timestamp: datetime
) -> SseMessage:
    return name, payload


def _snake_case_control_message(
    name: str, payload: msgspec.Struct, timestamp: datetime
) -> SseMessage:
    """Snake_case keys; the payload also has the name and the time, as in all events of a family."""
    return name, {"type": name, "timestamp": timestamp, **msgspec.structs.asdict(payload)}


def _prices_snapshot(initial: InitialPrices) -> list[SseMessage]:
    snapshot = PricesSnapshotPayload(
        initializing=True,
        prices=initial.quotes,
        timestamp=initial.timestamp,
        unknown=initial.unknown or msgspec.UNSET,
    )
    return [("price:update", snapshot)]


def _subscribed_and_prices(initial: InitialPrices) -> list[SseMessage]:
    subscribed = SubscribedPayload(
        type="subscribed",
        symbols=initial.symbols,
        timestamp=initial.timestamp,
        unknown=initial.unknown or msgspec.UNSET,
    )
    return [
        ("subscribed", subscribed),
        *((stale_price_message if one.stale else price_message)(one) for one in initial.quotes),
    ]


def _camel_case_price(view: PriceView) -> SseMessage:
    return "price:update", view


def _camel_case_stale_price(view: QuoteView) -> SseMessage:
    return "price:stale", view


def _price_messages(initial: InitialPrices) -> list[SseMessage]:
    return [
        (_camel_case_stale_price if one.stale else _camel_case_price)(one) for one in initial.quotes
    ]


def _ping_message(timestamp: datetime) -> SseMessage:
    return "PING", PingPayload(type="PING", timestamp=timestamp)


def _heartbeat_message(timestamp: datetime) -> SseMessage:
    return "heartbeat", HeartbeatPayload(status="connected", timestamp=timestamp)


TRADING = ApiFamily(
    name="trading",
    serializer=serialize_trading,
    connected_message=lambda payload: ("connected", payload),
    idle_message=None,
    control_message=_camel_case_control_message,
    unsequenced_serializer=serialize_public_status,
    item_metrics_name="item:metrics",  # `metrics` are the counts of connections
    price_message=_camel_case_price,
    stale_price_message=_camel_case_stale_price,
    initial_price_messages=_prices_snapshot,
)
STRATEGIES = ApiFamily(
    name="strategies",
    serializer=serialize_strategies,
    connected_message=_snake_case_connected("CONNECTED"),
    idle_message=_ping_message,
    control_message=_snake_case_control_message,
    price_message=price_message,
    stale_price_message=stale_price_message,
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
    stale_price_message=_camel_case_stale_price,
    initial_price_messages=_price_messages,
)
NOTIFICATIONS = msgspec.structs.replace(
    DASHBOARD, name="notifications", serializer=serialize_notifications
)
