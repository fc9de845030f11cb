"""The verdict on a trial: what every reader received against the log. Pure.

Each stream is judged in the plainest words: its ids increase, and its events are exactly those of
the log, from where it began to the end, under the names that its front ends know. Trading streams
are judged by the history checker too, payload by payload; orders by the laws of the fault suite.
Start at `judge`.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from tapewire.log import Recorded
from tests.balancer.reader import Arrival
from tests.faults.laws import broken
from tests.faults.trader import Placed
from tests.faults.verdict import _lives
from tests.history import Entry, Epoch, Frame, Log, check
from tests.history.truth import DOMAINS, TRADING, shown

T1 = "/api/stream/orders"
T4 = "/api/stream/trading"
T11 = "/api/stream?topics=orders,positions,agents"
S1 = "/sse/strategies"
N1 = "/api/sse/notifications"
PATHS = (T1, T4, T11, S1, N1)

_JUDGED = {T1: DOMAINS, T4: TRADING, T11: TRADING}
_NAMES: Mapping[str, Mapping[str, str]] = {
    S1: {
        "order.placed.v1": "ORDER_PLACED",
        "order.filled.v1": "ORDER_EXECUTED",
        "order.rejected.v1": "ORDER_REJECTED",
        "order.canceled.v1": "ORDER_CANCELLED",
        "order.failed.v1": "ORDER_FAILED",
    },
    N1: {"notification.created.v1": "notification"},
}
"""What the streams of other families show in a trial without strategies."""


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader received; `refused` is how often it was answered with anything but a stream."""

    number: int
    user: str
    path: str
    history: list[Entry]
    arrivals: list[Arrival] = []
    refused: int = 0

    @property
    def name(self) -> str:
        return f"reader {self.number} of {self.user} ({self.path})"


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """A trial that is over. `events` are all of the log, from sequence 1; `errors` are lines that
    services have logged as errors, or that are no lines of a log at all."""

    epoch: str
    events: list[Recorded]
    readers: list[Read]
    placed: list[Placed]
    errors: list[str]


def judge(recording: Recording) -> list[str]:
    """Everything that is wrong."""
    log = log_of(recording)
    wrong = broken(recording.events, recording.placed)
    for one in recording.readers:
        wrong += [f"{one.name}: {what}" for what in judge_reader(log, recording.events, one)]
    return wrong + [f"logged: {line}" for line in recording.errors]


def log_of(recording: Recording) -> Log:
    """What `judge_reader` compares with."""
    return Log([Epoch(recording.epoch, recording.events)])


def judge_reader(log: Log, events: Sequence[Recorded], one: Read) -> list[str]:
    """Everything that is wrong with what `one` received."""
    told = [*_plainly(events, one)]
    if one.path in _JUDGED:
        told += map(str, check(log, one.user, one.history, domains=_JUDGED[one.path]))
    return told


def wanted(events: Sequence[Recorded], user: str, path: str) -> list[tuple[int, str]]:
    """The sequences and names of what a stream shows its user."""
    return [
        (recorded.sequence, name)
        for recorded in events
        if recorded.place.owner == user and (name := _name(recorded, path))
    ]


def _name(recorded: Recorded, path: str) -> str | None:
    if path in _NAMES:
        return _NAMES[path].get(recorded.tag)
    told = shown(recorded)
    return told.name if told.domain in _JUDGED[path] else None


def _plainly(events: Sequence[Recorded], one: Read) -> Iterator[str]:
    names = [entry.name for entry in one.history if isinstance(entry, Frame)]
    if resets := names.count("stream:reset"):
        yield f"{resets} resets, and nothing was ever lost"
    every = wanted(events, one.user, one.path)
    lives = [*_lives(one.history)]
    if not lives:
        yield "received nothing"
    for life, frames in enumerate(lives):
        ids = [int((frame.id or "").rpartition("-")[2]) for frame in frames]
        if any(later <= earlier for earlier, later in itertools.pairwise(ids)):
            yield f"ids do not increase: {ids}"
        is_last = life == len(lives) - 1
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


def latest(recording: Recording, began: float, ended: float) -> float:
    """The longest in seconds that an event which came in this time had taken to a reader who was
    there before it was stored. Times are seconds since 1970."""
    stored = {recorded.sequence: recorded.time.timestamp() for recorded in recording.events}
    return max(
        (
            arrival.at - stored[arrival.sequence]
            for one in recording.readers
            for arrival in one.arrivals[1:]
            if began <= arrival.at < ended
        ),
        default=0.0,
    )
