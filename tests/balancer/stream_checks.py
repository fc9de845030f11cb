"""Compares what every reader of a trial received with the log. Pure.

The ids of each stream must increase, and its events must be exactly those of the log, from its
start to the end, under the names of its API family. The history checker also judges trading
streams, payload by payload. `order_invariants` verifies the log and checks the orders. Start
reading at `find_violations`.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from tapewire.log import RecordedEvent
from tests.balancer.reader import EventArrival
from tests.harness.history import (
    ExpectedLog,
    HistoryEntry,
    LogIncarnation,
    ReceivedEvent,
    check_history,
    split_at_fresh_connections,
)
from tests.harness.history.expected_log import (
    ORDER_STREAM_DOMAINS,
    TRADING_STREAM_DOMAINS,
    expected_event,
)
from tests.harness.order_invariants import find_order_violations
from tests.harness.trader import PlacementAnswer

ORDERS_PATH = "/api/stream/orders"
TRADING_PATH = "/api/stream/trading"
TOPICS_PATH = "/api/stream?topics=orders,positions,agents"
STRATEGIES_PATH = "/sse/strategies"
NOTIFICATIONS_PATH = "/api/sse/notifications"
PATHS = (ORDERS_PATH, TRADING_PATH, TOPICS_PATH, STRATEGIES_PATH, NOTIFICATIONS_PATH)

_HISTORY_CHECKED_DOMAINS = {
    ORDERS_PATH: ORDER_STREAM_DOMAINS,
    TRADING_PATH: TRADING_STREAM_DOMAINS,
    TOPICS_PATH: TRADING_STREAM_DOMAINS,
}
_EVENT_NAMES: Mapping[str, Mapping[str, str]] = {
    STRATEGIES_PATH: {
        "order.placed.v1": "ORDER_PLACED",
        "order.filled.v1": "ORDER_EXECUTED",
        "order.rejected.v1": "ORDER_REJECTED",
        "order.canceled.v1": "ORDER_CANCELLED",
        "order.failed.v1": "ORDER_FAILED",
        "order.waiting.v1": "ORDER_UPDATED",
    },
    NOTIFICATIONS_PATH: {"notification.created.v1": "notification"},
}
"""The event names that the streams of other API families show in a trial without strategies."""


class ReaderHistory(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader received."""

    reader_number: int
    user: str
    path: str
    history: list[HistoryEntry]
    arrivals: list[EventArrival] = []

    @property
    def describe(self) -> str:
        return f"reader {self.reader_number} of {self.user} ({self.path})"


class RollingTrialRecording(msgspec.Struct, frozen=True, kw_only=True):
    """A completed trial. `events` holds the whole log from sequence 1; `errors` are lines that
    services logged as errors, and lines that are not log lines."""

    epoch: str
    events: list[RecordedEvent]
    readers: list[ReaderHistory]
    placed: list[PlacementAnswer]
    errors: list[str]


def find_violations(recording: RollingTrialRecording) -> list[str]:
    """All violations in the recording."""
    log = expected_log(recording)
    wrong = find_order_violations(recording.events, recording.placed)
    for one in recording.readers:
        wrong += [
            f"{one.describe}: {what}" for what in find_reader_violations(log, recording.events, one)
        ]
    return wrong + [f"logged: {line}" for line in recording.errors]


def expected_log(recording: RollingTrialRecording) -> ExpectedLog:
    """The log that readers are compared with."""
    return ExpectedLog([LogIncarnation(recording.epoch, recording.events)])


def find_reader_violations(
    log: ExpectedLog, events: Sequence[RecordedEvent], received: ReaderHistory
) -> list[str]:
    """All violations in what `received` holds."""
    violations = [*_check_ids_and_events(events, received)]
    if received.path in _HISTORY_CHECKED_DOMAINS:
        violations += map(
            str,
            check_history(
                log,
                received.user,
                received.history,
                domains=_HISTORY_CHECKED_DOMAINS[received.path],
            ),
        )
    return violations


def expected_events(events: Sequence[RecordedEvent], user: str, path: str) -> list[tuple[int, str]]:
    """The sequences and names of the events that a stream shows its user."""
    return [
        (recorded.sequence, name)
        for recorded in events
        if recorded.event_subject.owner == user and (name := _event_name(recorded, path))
    ]


def last_visible_sequences(
    events: Sequence[RecordedEvent], streams: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """The last of `events` that each stream, a user and a path, shows; 0 for none."""
    log = LogIncarnation("", events)
    lasts = {}
    for user, path in streams:
        sequences = [sequence for sequence, _ in expected_events(events, user, path)]
        if path in _HISTORY_CHECKED_DOMAINS:
            sequences += log.visible_between(user, 0, log.last + 1, _HISTORY_CHECKED_DOMAINS[path])
        lasts[user, path] = max(sequences, default=0)
    return lasts


def _event_name(recorded: RecordedEvent, path: str) -> str | None:
    if path in _EVENT_NAMES:
        return _EVENT_NAMES[path].get(recorded.tag)
    expected = expected_event(recorded)
    return expected.name if expected.domain in _HISTORY_CHECKED_DOMAINS[path] else None


def _check_ids_and_events(
    events: Sequence[RecordedEvent], received: ReaderHistory
) -> Iterator[str]:
    names = [entry.name for entry in received.history if isinstance(entry, ReceivedEvent)]
    if resets := names.count("stream:reset"):
        yield f"{resets} resets, and nothing was ever lost"
    every = expected_events(events, received.user, received.path)
    connections = [*split_at_fresh_connections(received.history)]
    if not connections:
        yield "received nothing"
    for connection_index, frames in enumerate(connections):
        ids = [int((frame.id or "").rpartition("-")[2]) for frame in frames]
        if any(later <= earlier for earlier, later in itertools.pairwise(ids)):
            yield f"ids do not increase: {ids}"
        is_last = connection_index == len(connections) - 1
        got = [
            (at, frame.name)
            for at, frame in zip(ids[1:], frames[1:], strict=True)
            if frame.name != "checkpoint"
        ]
        due = [(at, name) for at, name in every if at > ids[0] and (is_last or at <= ids[-1])]
        if got != due:
            lost, extra = sorted({*due} - {*got}), sorted({*got} - {*due})
            yield f"from {ids[0]}: lost {lost[:5]}, and {extra[:5]} should not be there"
            if not lost and not extra:
                yield f"{len(got)} events where {len(due)} are due"


def longest_delay_seconds(
    recording: RollingTrialRecording, started_at: float, ended_at: float
) -> float:
    """The longest delay in seconds of an event that arrived in this period at a reader who was
    connected before it was stored. Times are seconds since the epoch (1970)."""
    stored = {recorded.sequence: recorded.time.timestamp() for recorded in recording.events}
    return max(
        (
            arrival.received_at - stored[arrival.sequence]
            for one in recording.readers
            for arrival in one.arrivals[1:]
            if started_at <= arrival.received_at < ended_at
        ),
        default=0.0,
    )
