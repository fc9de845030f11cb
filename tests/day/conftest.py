"""The days, each conducted once a run, and their figures at its end."""

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from tests.day.conductor import Outcome, conduct
from tests.day.house import NATS, SERVICES
from tests.day.market import RECORDING
from tests.day.plan import FULL, SHORT, Plan, kills

SEED = int(os.environ.get("TAPEWIRE_TEST_SEED") or 20131007)
IS_SHORT = bool(os.environ.get("TAPEWIRE_TEST_SHORT"))
AHEAD = timedelta(days=2)
"""The market's day has not come yet, so that its times are later than all of the wall clock."""
UNDISTURBED, AGAIN, KILLED, REPLICAS = "undisturbed", "again", "killed", "two replicas"
DISTURBED = (KILLED, REPLICAS) if IS_SHORT else (AGAIN, KILLED, REPLICAS)

_FIGURES = pytest.StashKey[list[str]]()


class Days(msgspec.Struct, frozen=True):
    """What each run left, by its name."""

    plan: Plan
    outcomes: Mapping[str, Outcome]


@pytest.fixture(scope="session")
def days(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Days:
    """Every run. They share nothing, so they run beside each other: most of a disturbed one is
    waiting until a lease has run out."""
    if not RECORDING.is_file():
        pytest.skip(f"the recorded market data is not at {RECORDING.parent}")
    folder = tmp_path_factory.mktemp("day")
    plan = Plan.of(SEED, SHORT if IS_SHORT else FULL, (datetime.now(UTC) + AHEAD).date())
    outcomes = asyncio.run(_conducted(plan, folder))
    figures = request.config.stash.setdefault(_FIGURES, [])
    figures.append(f"seed {SEED}: TAPEWIRE_TEST_SEED={SEED} asks for the same again")
    figures += [f"{name}: {outcome.figures}" for name, outcome in outcomes.items()]
    return Days(plan, outcomes)


async def _conducted(plan: Plan, folder: Path) -> dict[str, Outcome]:
    size = plan.size
    killed = kills(SEED, size, size.kills, (*SERVICES, NATS))
    taken_over = kills(SEED + 1, size, size.replica_kills, SERVICES)
    runs = {
        UNDISTURBED: (plan, 1),
        AGAIN: (plan, 1),
        KILLED: (msgspec.structs.replace(plan, kills=killed), 1),
        REPLICAS: (msgspec.structs.replace(plan, kills=taken_over), 2),
    }
    names = [UNDISTURBED, *DISTURBED]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(conduct(runs[name][0], folder / name, runs[name][1]))
            for name in names
        ]
    return {name: task.result() for name, task in zip(names, tasks, strict=True)}


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(_FIGURES, []):
        terminalreporter.write_line(f"day: {line}")
