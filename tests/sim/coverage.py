"""What must have happened over all seeds: a simulation that meets no trouble proves nothing.

`watch` counts the rare steps of the code under test; clients, writers and troubles count their own.
"""

from collections import Counter

BEGAN_ANEW = "tape: began anew"
BEGAN_AGAIN = "tape: began again"

WANTED = (
    "append: AlreadyStored",
    "append: Conflict",
    "append: Uncertain",
    "begin: not now",
    "begin: resumed",
    "client: answered 0",
    "client: answered 401",
    "client: answered 503",
    "client: came back to another edge",
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
    "joined: ahead of the tape",
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
    BEGAN_AGAIN,
    BEGAN_ANEW,
    "tape: heard late or again",
    "tape: heard of a gap",
    "tape: repairs",
    "trouble: crash",
    "trouble: outage",
    "trouble: recreate",
    "trouble: recreate unseen",
    "trouble: sever",
    "trouble: trim",
    "writer: Unavailable",
)
"""What must have happened at least once over all seeds."""


def missing(counts: Counter[str]) -> list[str]:
    """What never happened."""
    return [name for name in WANTED if not counts[name]]
