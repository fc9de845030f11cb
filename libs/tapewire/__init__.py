"""Tapewire: an event journal of trading services, streamed to browsers.

    async with tapewire.connect("nats://127.0.0.1:4222", "my-desk") as client:
        await client.strategy_started(user="alice", strategy_id="s-1", symbol="IBM")

    async with tapewire.stream("http://127.0.0.1:8000/api/stream/prices") as events:
        async for event in events:
            print(event.type, event.data)

Other programs import this package to read the edge's streams (docs/clients.md), publish events,
subscribe to events, send requests to services, and declare event types of their own
(docs/producing.md). Names are loaded on first use, so the import itself is cheap.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tapewire.client import (
        EVERYBODY,
        Action,
        AlertLevel,
        AppendRejected,
        BadDeclaration,
        CatalogueClash,
        Client,
        CommandRejected,
        Conflict,
        InvalidArgument,
        LogError,
        NatsCredentials,
        PublishTimeout,
        Receipt,
        RecordedEvent,
        RequestTimeout,
        ReservedEventType,
        Side,
        Unavailable,
        Undecodable,
        UnknownType,
        connect,
        contracts,
        correlated,
        new_id,
        pattern,
        sync,
    )
    from tapewire.events import Delivery, Event, about, event, upcast
    from tapewire.sse import (
        AnotherUserSignedIn,
        EventStream,
        SignedOut,
        StreamEnded,
        StreamEvent,
        StreamLimitReached,
        StreamRejected,
        StreamState,
        stream,
    )

__all__ = [
    "EVERYBODY",
    "Action",
    "AlertLevel",
    "AnotherUserSignedIn",
    "AppendRejected",
    "BadDeclaration",
    "CatalogueClash",
    "Client",
    "CommandRejected",
    "Conflict",
    "Delivery",
    "Event",
    "EventStream",
    "InvalidArgument",
    "LogError",
    "NatsCredentials",
    "PublishTimeout",
    "Receipt",
    "RecordedEvent",
    "RequestTimeout",
    "ReservedEventType",
    "Side",
    "SignedOut",
    "StreamEnded",
    "StreamEvent",
    "StreamLimitReached",
    "StreamRejected",
    "StreamState",
    "Unavailable",
    "Undecodable",
    "UnknownType",
    "about",
    "connect",
    "contracts",
    "correlated",
    "event",
    "new_id",
    "pattern",
    "stream",
    "sync",
    "upcast",
]

_EVENT_EXPORTS = frozenset({"Delivery", "Event", "about", "event", "upcast"})
"""Loaded without the client: a package of event types needs no more."""
_STREAM_EXPORTS = frozenset(
    {
        "AnotherUserSignedIn",
        "EventStream",
        "SignedOut",
        "StreamEnded",
        "StreamEvent",
        "StreamLimitReached",
        "StreamRejected",
        "StreamState",
        "stream",
    }
)
"""Loaded without the client: streams are read over HTTP."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'tapewire' has no attribute {name!r}")
    from importlib import import_module

    if name == "sync":
        found: Any = import_module("tapewire.client.sync")
    else:
        module = "tapewire.client"
        if name in _EVENT_EXPORTS:
            module = "tapewire.events"
        elif name in _STREAM_EXPORTS:
            module = "tapewire.sse"
        found = getattr(import_module(module), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
