"""The verdict on a recorded trial: what clients saw, were answered, and what the log holds. Pure.

What each client received is judged by the history checker, and once more in the plainest words of
the promise (`_plainly`); the orders by their `laws`; every list of orders by the fold of the log at
the place that it names. Start at `judge`.
"""

import itertools
from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from tapewire.log import Recorded
from tests.faults.laws import broken
from tests.faults.plan import Manner
from tests.faults.trader import Listed, Placed
from tests.history import Connect, Entry, Epoch, Frame, Log, check
from tests.history.truth import DOMAINS, TRADING


class Watched(msgspec.Struct, frozen=True):
    """What a client received."""

    number: int
    manner: Manner
    history: list[Entry]

    def frames(self, name: str) -> int:
        """How many frames of that name."""
        return sum(isinstance(entry, Frame) and entry.name == name for entry in self.history)


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """A trial that is over. `events` are all of the log, from sequence 1; `errors` are lines that
    services have logged as errors, or that are no lines of a log at all."""

    epoch: str
    events: list[Recorded]
    watched: list[Watched]
    placed: list[Placed]
    lists: list[Listed]
    errors: list[str]


class _List(msgspec.Struct, rename="camel"):
    orders: list[msgspec.Raw]
    as_of: str


_list = msgspec.json.Decoder(_List)
_any = msgspec.json.Decoder(float_hook=Decimal)


def judge(recording: Recording) -> list[str]:
    """Everything that is wrong."""
    log = Log([Epoch(recording.epoch, recording.events)])
    wrong = broken(recording.events, recording.placed)
    for one in recording.watched:
        who = f"client {one.number} of {one.manner.user} ({one.manner.path})"
        told = check(log, one.manner.user, one.history, domains=_domains(one))
        found = [*map(str, told), *_plainly(log, one)]
        wrong += [f"{who}: {what}" for what in found]
    for listed in recording.lists:
        wrong += _listing(log, listed)
    return wrong + [f"logged: {line}" for line in recording.errors]


def _plainly(log: Log, one: Watched) -> Iterator[str]:
    """Ids strictly increase, and the events are exactly those of the log from where it began."""
    if resets := one.frames("stream:reset"):
        yield f"{resets} resets, and nothing was ever lost"
    lives = [*_lives(one.history)]
    for life, frames in enumerate(lives):
        ids = [int((frame.id or "").rpartition("-")[2]) for frame in frames]
        if any(later <= earlier for earlier, later in itertools.pairwise(ids)):
            yield f"ids do not increase: {ids}"
        end = log.newest.last if life == len(lives) - 1 else ids[-1]
        wanted = log.newest.between(one.manner.user, ids[0], end + 1, _domains(one))
        got = [
            at for at, frame in zip(ids[1:], frames[1:], strict=True) if frame.name != "checkpoint"
        ]
        if got != wanted:
            lost, extra = sorted({*wanted} - {*got}), sorted({*got} - {*wanted})
            yield f"from {ids[0]} to {end}: lost {lost}, and {extra} should not be there"


def _domains(one: Watched) -> frozenset[str]:
    """What its stream shows."""
    return TRADING if one.manner.path == "/api/stream/trading" else DOMAINS


def _lives(history: Sequence[Entry]) -> Iterator[list[Frame]]:
    """The frames with an id since it came without one, each time that it did and got any."""
    frames: list[Frame] = []
    for entry in [*history, Connect(None)]:
        if isinstance(entry, Frame):
            frames += [entry] if entry.id is not None else []
        elif entry.requested is None:
            if frames:
                yield frames
            frames = []


def _listing(log: Log, listed: Listed) -> Iterator[str]:
    told = _list.decode(listed.data)
    epoch, _, sequence = told.as_of.rpartition("-")
    if epoch != log.newest.name or int(sequence) > log.newest.last:
        yield f"a list of {listed.user} as of {told.as_of}; the log is {log.newest.name}"
        return
    orders = [_any.decode(order) for order in told.orders]
    wanted = [_any.decode(order) for order in log.newest.fold(listed.user, int(sequence))]
    if orders != wanted:
        yield f"a list of {listed.user} as of {told.as_of} is not the fold: {len(orders)} orders"
