"""Everything behind the balancer is restarted under load, and no client loses or repeats an event.

The end of the run prints figures, above all the longest silence that a reader saw.
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
from tests.balancer.fleet import EdgeFleet
from tests.balancer.rolling_restart import run_rolling_restart
from tests.balancer.stream_checks import (
    NOTIFICATIONS_PATH,
    ORDERS_PATH,
    PATHS,
    STRATEGIES_PATH,
    TOPICS_PATH,
    TRADING_PATH,
    ReaderHistory,
    expected_log,
    find_reader_violations,
    find_violations,
)
from tests.balancer.trial_result import FULL, SHORT, RollingTrialResult
from tests.harness.history import ReceivedEvent, StreamOpened

SEED = int(os.environ.get("TAPEWIRE_TEST_SEED") or 20131007)
MAX_REPORTED_VIOLATIONS = 20


@pytest.fixture(scope="module", params=[2] if IS_SHORT else [2, 4])
def trial_result(
    request: pytest.FixtureRequest, fleet_folders: Callable[[], Path], summary_lines: list[str]
) -> RollingTrialResult:
    """The trial with that many edges, run once."""
    sys.stdout.write(f"seed {SEED}: TAPEWIRE_TEST_SEED={SEED} asks the same again\n")
    fleet = EdgeFleet(
        fleet_folders(),
        request.param,
        TAPEWIRE_DRAIN_SECONDS=1 if IS_SHORT else 3,
        SSE_RETRY_MS=1000 if IS_SHORT else 5000,
    )
    try:
        made = asyncio.run(run_rolling_restart(fleet, SHORT if IS_SHORT else FULL, SEED))
    finally:
        fleet.close()
    summary_lines.append(str(made))
    return made


def test_every_reader_sees_exactly_what_the_log_holds(trial_result: RollingTrialResult) -> None:
    wrong = find_violations(trial_result.recording)
    assert not wrong, f"{trial_result}\n{len(wrong)} wrong:\n" + "\n".join(
        wrong[:MAX_REPORTED_VIOLATIONS]
    )


def test_no_eventsource_gives_up_while_edges_are_restarted_and_killed(
    trial_result: RollingTrialResult,
) -> None:
    """An EventSource gives up on any response that is not a stream. While the message server itself
    is down no edge can serve a stream, so 503 is right then."""
    undisturbed, restarted, killed, _ = trial_result.phases
    assert (
        undisturbed.refused_stream_count,
        restarted.refused_stream_count,
        killed.refused_stream_count,
    ) == (0, 0, 0), trial_result


def test_trial_exercised_restarts_and_reconnects(trial_result: RollingTrialResult) -> None:
    """Every reader lost its stream to a restart, streams were cut and closed, and all readers
    reconnected."""
    _, restarted, killed, all_ = trial_result.phases
    assert restarted.stream_end_counts["clean"] >= len(trial_result.recording.readers) / 2
    assert restarted.stream_end_counts["cut"] < restarted.stream_end_counts["clean"], (
        "an edge that stops ends its streams"
    )
    assert killed.stream_end_counts["cut"]
    assert all_.stream_end_counts["clean"]
    for one in trial_result.recording.readers:
        assert len([entry for entry in one.history if isinstance(entry, StreamOpened)]) > 1, (
            one.describe
        )
    received = {
        (one.path, entry.name)
        for one in trial_result.recording.readers
        for entry in one.history
        if isinstance(entry, ReceivedEvent)
    }
    assert {
        (ORDERS_PATH, "order:fill"), (TRADING_PATH, "position:update"),
        (TOPICS_PATH, "trade:new"), (STRATEGIES_PATH, "ORDER_EXECUTED"),
        (NOTIFICATIONS_PATH, "notification"),
    } <= received  # fmt: skip


def _with_frames(
    received: ReaderHistory, frames: list[ReceivedEvent | StreamOpened]
) -> ReaderHistory:
    return msgspec.structs.replace(received, history=frames)


def _event_indexes(received: ReaderHistory) -> list[int]:
    """The indexes of events in the history of `received` except the first frame with an id."""
    with_id = [
        (at, entry.name)
        for at, entry in enumerate(received.history)
        if isinstance(entry, ReceivedEvent) and entry.id is not None
    ]
    return [at for at, name in with_id[1:] if name != "checkpoint"]


def _without_event(received: ReaderHistory) -> ReaderHistory:
    at = _event_indexes(received)[len(_event_indexes(received)) // 2]
    return _with_frames(received, received.history[:at] + received.history[at + 1 :])


def _with_duplicate(received: ReaderHistory) -> ReaderHistory:
    at = _event_indexes(received)[len(_event_indexes(received)) // 2]
    return _with_frames(received, received.history[: at + 1] + received.history[at:])


def _with_swapped_events(received: ReaderHistory) -> ReaderHistory:
    history = [*received.history]
    at = next(a for a, b in itertools.pairwise(_event_indexes(received)) if b == a + 1)
    history[at], history[at + 1] = history[at + 1], history[at]
    return _with_frames(received, history)


def _without_last_event(received: ReaderHistory) -> ReaderHistory:
    return _with_frames(received, received.history[: _event_indexes(received)[-1]])


def _with_reset(received: ReaderHistory) -> ReaderHistory:
    at = _event_indexes(received)[1]
    reset = ReceivedEvent(
        "stream:reset", b'{"reason":"ahead","requestedId":"x","firstAvailableId":"x"}', None
    )
    return _with_frames(received, [*received.history[:at], reset, *received.history[at:]])


@pytest.mark.parametrize(
    "plant",
    [_without_event, _with_duplicate, _with_swapped_events, _without_last_event, _with_reset],
)
@pytest.mark.parametrize("path", PATHS)
def test_checks_report_a_planted_violation(
    trial_result: RollingTrialResult, path: str, plant: Callable[[ReaderHistory], ReaderHistory]
) -> None:
    """Every planted violation is reported."""
    log, events = expected_log(trial_result.recording), trial_result.recording.events
    one = next(read for read in trial_result.recording.readers if read.path == path)
    assert not find_reader_violations(log, events, one)
    assert find_reader_violations(log, events, plant(one))
