"""Everything behind the balancer is restarted under load, and no client loses or doubles an event.

Figures are printed at the end of the run: the longest silence that a reader saw, above all.
"""

import asyncio
import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.balancer.conftest import IS_SHORT
from tests.balancer.fleet import Fleet
from tests.balancer.outcome import FULL, SHORT, Outcome
from tests.balancer.rolling import conduct
from tests.balancer.verdict import N1, PATHS, S1, T1, T4, T11, Read, judge, judge_reader, log_of
from tests.history import Connect, Frame

SEED = int(os.environ.get("TAPEWIRE_TEST_SEED") or 20131007)
WRONGS_SHOWN = 20


@pytest.fixture(scope="module", params=[2] if IS_SHORT else [2, 4])
def outcome(
    request: pytest.FixtureRequest, folders: Callable[[], Path], figures: list[str]
) -> Outcome:
    """The trial with that many edges, conducted once."""
    sys.stdout.write(f"seed {SEED}: TAPEWIRE_TEST_SEED={SEED} asks the same again\n")
    fleet = Fleet(
        folders(),
        request.param,
        TAPEWIRE_DRAIN_SECONDS=1 if IS_SHORT else 3,
        SSE_RETRY_MS=1000 if IS_SHORT else 5000,
    )
    try:
        made = asyncio.run(conduct(fleet, SHORT if IS_SHORT else FULL, SEED))
    finally:
        fleet.close()
    figures.append(str(made))
    return made


def test_every_reader_sees_exactly_what_the_log_holds(outcome: Outcome) -> None:
    wrong = judge(outcome.recording)
    assert not wrong, f"{outcome}\n{len(wrong)} wrong:\n" + "\n".join(wrong[:WRONGS_SHOWN])


def test_no_eventsource_gives_up_while_edges_are_restarted_and_killed(outcome: Outcome) -> None:
    """Which it does on any answer but a stream. When the message server itself is away, no edge
    can serve: then 503 is right."""
    undisturbed, restarted, killed, _ = outcome.phases
    assert (undisturbed.refused, restarted.refused, killed.refused) == (0, 0, 0), outcome


def test_the_trial_was_one(outcome: Outcome) -> None:
    """Every reader lost its stream to a restart, streams were cut and ended, and all came back."""
    _, restarted, killed, all_ = outcome.phases
    assert restarted.ends["clean"] >= len(outcome.recording.readers) / 2
    assert restarted.ends["cut"] < restarted.ends["clean"], "an edge that stops ends its streams"
    assert killed.ends["cut"]
    assert all_.ends["clean"]
    for one in outcome.recording.readers:
        assert len([entry for entry in one.history if isinstance(entry, Connect)]) > 1, one.name
    received = {
        (one.path, entry.name)
        for one in outcome.recording.readers
        for entry in one.history
        if isinstance(entry, Frame)
    }
    assert {
        (T1, "order:fill"), (T4, "position:update"), (T11, "trade:new"), (S1, "ORDER_EXECUTED"),
        (N1, "notification"),
    } <= received  # fmt: skip


def _with(one: Read, frames: list[Frame | Connect]) -> Read:
    return msgspec.structs.replace(one, history=frames)


def _events(one: Read) -> list[int]:
    """The places of events in the history of `one`, without the first frame that has an id."""
    with_id = [at for at, e in enumerate(one.history) if isinstance(e, Frame) and e.id is not None]
    return [at for at in with_id[1:] if one.history[at].name != "checkpoint"]


def _lost(one: Read) -> Read:
    at = _events(one)[len(_events(one)) // 2]
    return _with(one, one.history[:at] + one.history[at + 1 :])


def _doubled(one: Read) -> Read:
    at = _events(one)[len(_events(one)) // 2]
    return _with(one, one.history[: at + 1] + one.history[at:])


def _swapped(one: Read) -> Read:
    history = [*one.history]
    at = next(a for a, b in itertools.pairwise(_events(one)) if b == a + 1)
    history[at], history[at + 1] = history[at + 1], history[at]
    return _with(one, history)


def _last_lost(one: Read) -> Read:
    return _with(one, one.history[: _events(one)[-1]])


def _reset(one: Read) -> Read:
    at = _events(one)[1]
    reset = Frame(
        "stream:reset", b'{"reason":"ahead","requestedId":"x","firstAvailableId":"x"}', None
    )
    return _with(one, [*one.history[:at], reset, *one.history[at:]])


@pytest.mark.parametrize("plant", [_lost, _doubled, _swapped, _last_lost, _reset])
@pytest.mark.parametrize("path", PATHS)
def test_the_verdict_finds(outcome: Outcome, path: str, plant: Callable[[Read], Read]) -> None:
    """A history with a violation in it is not taken for a right one."""
    log, events = log_of(outcome.recording), outcome.recording.events
    one = next(read for read in outcome.recording.readers if read.path == path)
    assert not judge_reader(log, events, one)
    assert judge_reader(log, events, plant(one))
