"""Events about a stream itself: how it begins, how it is kept alive, and how it ends."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec


class ConnectedPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The first event of a trading stream. The stream is never silent for longer than
    `keepalive_ms` milliseconds, which lets a client detect a dead connection; while it shows
    prices, never for longer than `prices_keepalive_ms`, which lets a client detect old prices."""

    client_id: str
    user_id: str | None
    stream: str
    server_time: datetime
    correlation_id: str
    keepalive_ms: int
    prices_keepalive_ms: int


class SnakeCaseConnectedPayload(msgspec.Struct, frozen=True, kw_only=True):
    """The first event of the other families; `type` is the name of the event."""

    type: str
    client_id: str
    user_id: str | None
    stream: str
    timestamp: datetime
    server_time: datetime
    correlation_id: str
    keepalive_ms: int
    prices_keepalive_ms: int


class SubscribedPayload(msgspec.Struct, frozen=True, kw_only=True):
    """The symbols that a price stream shows; None means all. `unknown` names those that have no
    quote; it is there if there are any."""

    type: str
    symbols: Sequence[str] | None
    timestamp: datetime
    unknown: Sequence[str] | msgspec.UnsetType = msgspec.UNSET


class PingPayload(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    timestamp: datetime


class HeartbeatPayload(msgspec.Struct, frozen=True, kw_only=True):
    """`status` is the state of this connection: ``connected``."""

    status: str
    timestamp: datetime


class StreamResetPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A loss: the events between `requested_id` and the snapshot that follows cannot be sent."""

    reason: str
    requested_id: str
    first_available_id: str


class AuthExpiredPayload(msgspec.Struct, frozen=True):
    """The session of the stream ended; this is the last event."""

    reason: str


class ConnectionLimitPayload(msgspec.Struct, frozen=True):
    """The user has more than `limit` connections and this one was the oldest; this is the last
    event."""

    reason: str
    limit: int


class StreamDrainingPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The process stops, and closes this connection in `closes_in_ms` milliseconds."""

    closes_in_ms: int


class ReplayCompletePayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All requested events up to `until_id` have been sent; this is the last event."""

    until_id: str


class StreamUpdatedPayload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The stream shows this from here on. `symbols` None means all. `unknown` names those of them
    that have no quote; it is there if there are any."""

    topics: list[str]
    symbols: list[str] | None
    max_rate: float
    unknown: list[str] | msgspec.UnsetType = msgspec.UNSET


class EmptyPayload(msgspec.Struct, frozen=True):
    """No content: only the id matters."""


CONTROL_PAYLOADS: Mapping[str, type[msgspec.Struct]] = {
    "stream:reset": StreamResetPayload,
    "stream:draining": StreamDrainingPayload,
    "stream:updated": StreamUpdatedPayload,
    "replay:complete": ReplayCompletePayload,
    "auth:expired": AuthExpiredPayload,
    "connection:limit": ConnectionLimitPayload,
}
"""By the name of the event, on the streams below ``/api/stream``."""


def _in_snake_case(name: str, payload: type[msgspec.Struct]) -> type[msgspec.Struct]:
    return msgspec.defstruct(
        f"SnakeCase{payload.__name__}",
        [
            ("type", Literal[name]),
            ("timestamp", datetime),
            *((field.name, field.type) for field in msgspec.structs.fields(payload)),
        ],
        namespace={"__doc__": payload.__doc__},
        frozen=True,
        kw_only=True,
    )


SNAKE_CASE_CONTROL_PAYLOADS: Mapping[str, type[msgspec.Struct]] = {
    name: _in_snake_case(name, payload) for name, payload in CONTROL_PAYLOADS.items()
}
"""By the name of the event, on the other streams, whose payloads have `type` and `timestamp`."""
