"""The event log: its ports, two implementations, and what services build on it.

`ports` declares the event log and the latest-value store; `jetstream` and `memory` implement them.
Services write through `command_handler`, read snapshots through `view_checkpoints`, and follow
events through `catch_up_subscription`. Start at `ports`.
"""

from tapewire.log.batch_part import BatchPart, is_interrupted
from tapewire.log.bounds import Bounds
from tapewire.log.command_handler import (
    Command,
    CommandHandler,
    Decider,
    NewEvent,
    TooManyConflicts,
    Versioned,
)
from tapewire.log.idempotency import IdempotencyKey
from tapewire.log.ids import derive_id, event_id, following_event_id, new_id
from tapewire.log.ports import (
    AlreadyStored,
    AppendRejected,
    Conflict,
    DeadlineExceeded,
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
)
from tapewire.log.rejection import CommandRejected
from tapewire.log.stored_value import StoredValue
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
    "BatchPart",
    "Bounds",
    "Command",
    "CommandHandler",
    "CommandRejected",
    "Conflict",
    "DeadlineExceeded",
    "Decider",
    "EventDraft",
    "EventLog",
    "EventMetadata",
    "EventSubject",
    "IdempotencyKey",
    "LatestValueStore",
    "LogError",
    "NewEvent",
    "OutcomeUnknown",
    "Page",
    "RecordedEvent",
    "StoredValue",
    "Subscription",
    "TooManyConflicts",
    "Unavailable",
    "ValueKey",
    "Versioned",
    "derive_id",
    "encode_token",
    "event_id",
    "following_event_id",
    "is_interrupted",
    "matches",
    "new_id",
    "pattern",
]
