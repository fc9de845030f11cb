"""Tapewire: an event journal of trading services, streamed to browsers.

    async with tapewire.connect("nats://127.0.0.1:4222", "my-desk") as client:
        await client.strategy_started(user="alice", strategy_id="s-1", symbol="IBM")

Other programs import this package to publish events, subscribe to events, send requests to
services, and declare event types of their own (docs/producing.md). Names are loaded on first use,
so the import itself is cheap.
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

__all__ = [
    "EVERYBODY",
    "Action",
    "AlertLevel",
    "AppendRejected",
    "BadDeclaration",
    "CatalogueClash",
    "Client",
    "CommandRejected",
    "Conflict",
    "Delivery",
    "Event",
    "InvalidArgument",
    "LogError",
    "NatsCredentials",
    "PublishTimeout",
    "Receipt",
    "RecordedEvent",
    "RequestTimeout",
    "ReservedEventType",
    "Side",
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
    "sync",
    "upcast",
]

_EVENT_EXPORTS = frozenset({"Delivery", "Event", "about", "event", "upcast"})
"""Loaded without the client: a package of event types needs no more."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'tapewire' has no attribute {name!r}")
    from importlib import import_module

    if name == "sync":
        found: Any = import_module("tapewire.client.sync")
    else:
        module = "tapewire.events" if name in _EVENT_EXPORTS else "tapewire.client"
        found = getattr(import_module(module), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
