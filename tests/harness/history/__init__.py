"""Says what is wrong with what a client received, given the log. Pure.

The simulation and the fault suite share it.

`Log` is the truth: every event of every incarnation (epoch) of the log. A client's history is a
list of `Connect` (the Last-Event-ID it gave) and `Frame` (what it parsed) in the order in which
they happened to it. `check` compares the two and names every deviation as a `Wrong`.

What is right: a connection without an id begins with a snapshot that is the fold of the log at
exactly its id; one with an id goes on after it; then every event of the owner comes once, in order,
as the log has it, under its sequence. A `stream:reset` may break that only for a reason that the
log bears out, and then a snapshot must follow. An event of another epoch than the client's place
needs a reset before it.
"""

from tests.harness.history.checker import check_history
from tests.harness.history.entries import (
    Anomaly,
    AnomalyKind,
    HistoryEntry,
    ReceivedEvent,
    StreamOpened,
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
]
