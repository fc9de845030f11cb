"""The event log: a port, JetStream behind it, memory behind it; subjects; the decide loop.

Start at `port`. `decide` is how services write; `views` is how snapshots are read.
"""

from tapewire.log.decide import Command, Decider, Entities, Happening, Known, Overloaded, Refusal
from tapewire.log.port import (
    AlreadyStored,
    Bounds,
    Conflict,
    Draft,
    EventLog,
    LogError,
    Meta,
    Page,
    Recorded,
    Refused,
    Subscription,
    Unavailable,
    Uncertain,
    Values,
    new_id,
)
from tapewire.log.subjects import EVERYBODY, BadSubject, Subject, ValueKey, matches, pattern, token

__all__ = [
    "EVERYBODY",
    "AlreadyStored",
    "BadSubject",
    "Bounds",
    "Command",
    "Conflict",
    "Decider",
    "Draft",
    "Entities",
    "EventLog",
    "Happening",
    "Known",
    "LogError",
    "Meta",
    "Overloaded",
    "Page",
    "Recorded",
    "Refusal",
    "Refused",
    "Subject",
    "Subscription",
    "Unavailable",
    "Uncertain",
    "ValueKey",
    "Values",
    "matches",
    "new_id",
    "pattern",
    "token",
]
