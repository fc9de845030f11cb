"""Runs each kind of day once per test session, and prints their figures at the end."""

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from tests.day.day_run import DayResult, run_day
from tests.day.plan import FULL, SHORT, DayPlan, plan_kills
from tests.day.recorded_quotes import RECORDING_PATH
from tests.day.service_processes import NATS, SERVICES

SEED = int(os.environ.get("TAPEWIRE_TEST_SEED") or 20131007)
IS_SHORT = bool(os.environ.get("TAPEWIRE_TEST_SHORT"))
DAYS_AHEAD = timedelta(days=2)
"""The market's day is in the future: its times are later than every time of the wall clock."""
UNDISTURBED, REPEATED, WITH_KILLS, TWO_REPLICAS = "undisturbed", "again", "killed", "two replicas"
DISTURBED = (WITH_KILLS, TWO_REPLICAS) if IS_SHORT else (REPEATED, WITH_KILLS, TWO_REPLICAS)

_SUMMARY_LINES = pytest.StashKey[list[str]]()


class DayRuns(msgspec.Struct, frozen=True):
    """The results of the runs, by name."""

    plan: DayPlan
    results: Mapping[str, DayResult]


@pytest.fixture(scope="session")
def day_runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DayRuns:
    """All runs. They share nothing and run concurrently: a disturbed run mostly waits until leases
    expire."""
    if not RECORDING_PATH.is_file():
        pytest.skip(f"the recorded market data is not at {RECORDING_PATH.parent}")
    folder = tmp_path_factory.mktemp("day")
    plan = DayPlan.from_seed(
        SEED, SHORT if IS_SHORT else FULL, (datetime.now(UTC) + DAYS_AHEAD).date()
    )
    outcomes = asyncio.run(_run_day(plan, folder))
    figures = request.config.stash.setdefault(_SUMMARY_LINES, [])
    figures.append(f"seed {SEED}: TAPEWIRE_TEST_SEED={SEED} repeats it")
    figures += [f"{name}: {outcome.figures}" for name, outcome in outcomes.items()]
    return DayRuns(plan, outcomes)


async def _run_day(plan: DayPlan, folder: Path) -> dict[str, DayResult]:
    size = plan.size
    killed = plan_kills(SEED, size, size.kill_count, (*SERVICES, NATS))
    taken_over = plan_kills(SEED + 1, size, size.replica_kill_count, SERVICES)
    runs = {
        UNDISTURBED: (plan, 1),
        REPEATED: (plan, 1),
        WITH_KILLS: (msgspec.structs.replace(plan, kills=killed), 1),
        TWO_REPLICAS: (msgspec.structs.replace(plan, kills=taken_over), 2),
    }
    names = [UNDISTURBED, *DISTURBED]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(run_day(runs[name][0], folder / name, runs[name][1]))
            for name in names
        ]
    return {name: task.result() for name, task in zip(names, tasks, strict=True)}


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(_SUMMARY_LINES, []):
        terminalreporter.write_line(f"day: {line}")
