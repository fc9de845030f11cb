"""The producer library: what another team's program needs of Tapewire, and nothing else.

`tape` publishes, reacts and asks, once `connecting` has it; `happenings` is a call for each
happening; `sync` is the same for scripts. Programs import all of it from `tapewire`.
"""

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
    Conflict,
    LogError,
    Recorded,
    Refusal,
    Refused,
    Unavailable,
    new_id,
    pattern,
)
from tapewire.producer.connecting import connect
from tapewire.producer.errors import BadCall, Reserved, Unpublished
from tapewire.producer.publishing import Receipt
from tapewire.producer.tape import Tape
from tapewire.producer.trail import correlated
from tapewire.runtime import Unanswered, contracts

__all__ = [
    "EVERYBODY",
    "Action",
    "AlertLevel",
    "BadCall",
    "BadDeclaration",
    "CatalogueClash",
    "Conflict",
    "LogError",
    "Receipt",
    "Recorded",
    "Refusal",
    "Refused",
    "Reserved",
    "Side",
    "Tape",
    "Unanswered",
    "Unavailable",
    "Undecodable",
    "UnknownType",
    "Unpublished",
    "connect",
    "contracts",
    "correlated",
    "new_id",
    "pattern",
]
