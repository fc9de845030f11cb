"""Judges what a client received from a stream against the log. Pure.

The simulation, the fault suite and the balancer suite share it.

`ExpectedLog` holds every event of every incarnation (epoch) of the log. A client's history is a
list of `StreamOpened` (the Last-Event-ID that the client gave) and `ReceivedEvent` (what it
parsed), in the order in which they happened. `check_history` compares the two and returns every
deviation as an `Anomaly`.

A correct history: a connection without an id starts with a snapshot that is the fold of the log at
exactly its id. A connection with an id continues after that id. Then every event of the owner
arrives once, in the order of the log, under its sequence. A `stream:reset` may interrupt this only
for a reason that the log supports, and a snapshot must follow it. An event of another epoch than
the client's needs a reset before it.
"""

from tests.harness.history.checker import check_history
from tests.harness.history.entries import (
    Anomaly,
    AnomalyKind,
    HistoryEntry,
    ReceivedEvent,
    StreamOpened,
    split_at_fresh_connections,
)
from tests.harness.history.expected_log import (
    ExpectedEvent,
    ExpectedLog,
    LogIncarnation,
    expected_event,
)

__all__ = [
    "Anomaly",
    "AnomalyKind",
    "ExpectedEvent",
    "ExpectedLog",
    "HistoryEntry",
    "LogIncarnation",
    "ReceivedEvent",
    "StreamOpened",
    "check_history",
    "expected_event",
    "split_at_fresh_connections",
]
