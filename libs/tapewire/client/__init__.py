"""The producer library: what another team's program needs of Tapewire, and nothing else.

`tape` publishes, reacts and asks, once `connecting` has it; `happenings` is a call for each
happening; `sync` is the same for scripts. Programs import all of it from `tapewire`.
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
