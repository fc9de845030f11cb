"""The event log: a port, JetStream behind it, memory behind it; subjects; the decide loop.

Start at `port`. `decide` is how services write; `views` is how snapshots are read.
"""

from tapewire.log.command_handler import (
    Command,
    CommandHandler,
    CommandRejected,
    Decider,
    NewEvent,
    TooManyConflicts,
    Versioned,
)
from tapewire.log.ports import (
    AlreadyStored,
    AppendRejected,
    Bounds,
    Conflict,
    EventDraft,
    EventLog,
    EventMetadata,
    LatestValueStore,
    LogError,
    OutcomeUnknown,
    Page,
    RecordedEvent,
    Subscription,
    Unavailable,
    derive_id,
    new_id,
)
from tapewire.log.subjects import (
    EVERYBODY,
    BadSubject,
    EventSubject,
    ValueKey,
    encode_token,
    matches,
    pattern,
)

__all__ = [
    "EVERYBODY",
    "AlreadyStored",
    "AppendRejected",
    "BadSubject",
    "Bounds",
    "Command",
    "CommandHandler",
    "CommandRejected",
    "Conflict",
    "Decider",
    "EventDraft",
    "EventLog",
    "EventMetadata",
    "EventSubject",
    "LatestValueStore",
    "LogError",
    "NewEvent",
    "OutcomeUnknown",
    "Page",
    "RecordedEvent",
    "Subscription",
    "TooManyConflicts",
    "Unavailable",
    "ValueKey",
    "Versioned",
    "derive_id",
    "encode_token",
    "matches",
    "new_id",
    "pattern",
]
