"""What must have happened over all seeds: a simulation without faults proves nothing.

`instrumentation` counts the rare steps of the code under test; clients, writers and the fault
injector count their own.
"""

from collections import Counter

LOG_RECREATED = "log tail: log recreated"
LOG_TAIL_RESTARTED = "log tail: restarted"

REQUIRED_COUNTS = (
    "append: AlreadyStored",
    "append: Conflict",
    "append: OutcomeUnknown",
    "resume: not ready",
    "resume: resumed",
    "client: answered 0",
    "client: answered 401",
    "client: answered 503",
    "client: reconnected to another edge",
    "client: comments",
    "client: dropped within a frame",
    "client: session ended",
    "client: stopped reading",
    "closed: drain",
    "closed: gone",
    "closed: revoked",
    "closed: slow",
    "connection: fell behind",
    "frames: agent:status",
    "frames: checkpoint",
    "frames: order:fill",
    "frames: order:update",
    "frames: trade:new",
    "joined: ahead of the log tail",
    "joined: with events from memory",
    "joined: with nothing missed",
    "read: a replica lagged",
    "read: pages",
    "reset: ahead",
    "reset: epoch",
    "reset: limit",
    "reset: malformed",
    "reset: trimmed",
    "snapshots",
    LOG_TAIL_RESTARTED,
    LOG_RECREATED,
    "log tail: late or repeated event",
    "log tail: gap",
    "log tail: repairs",
    "fault: crash",
    "fault: outage",
    "fault: recreate",
    "fault: recreate unseen",
    "fault: sever",
    "fault: trim",
    "stored: alert.raised.v1",
    "stored: order.cancel_rejected.v1",
    "stored: order.cancel_requested.v1",
    "stored: order.replace_rejected.v1",
    "stored: order.replace_requested.v1",
    "stored: order.replaced.v1",
    "stored: order.triggered.v1",
    "writer: Unavailable",
)
"""What must have happened at least once over all seeds."""


def missing_counts(counts: Counter[str]) -> list[str]:
    """The names of required counts that are 0."""
    return [name for name in REQUIRED_COUNTS if not counts[name]]
