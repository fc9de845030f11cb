"""The client library, with which another team's program publishes, subscribes and sends requests.

`connection` connects and returns the `Client` of `client`. `trading_events` has one call for each
kind of trading event, `publishing` retries until an event is stored, and `sync` has the same calls
for scripts. Programs import all of it from `tapewire`. Start at `client`.
"""

from tapewire.client.client import Client
from tapewire.client.connection import connect
from tapewire.client.errors import InvalidArgument, PublishTimeout, ReservedEventType
from tapewire.client.propagation import correlated
from tapewire.client.publishing import Receipt
from tapewire.events import (
    Action,
    AlertLevel,
    BadDeclaration,
    CatalogueClash,
    Side,
    Undecodable,
    UnknownType,
)
from tapewire.log import (
    EVERYBODY,
    AppendRejected,
    CommandRejected,
    Conflict,
    LogError,
    RecordedEvent,
    Unavailable,
    new_id,
    pattern,
)
from tapewire.log.jetstream import NatsCredentials
from tapewire.runtime import RequestTimeout, contracts

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
    "connect",
    "contracts",
    "correlated",
    "new_id",
    "pattern",
]
