"""Trials, each run once per session, and their figures at its end."""

import asyncio
import os
import sys
from collections.abc import Callable

import pytest

from tests.faults.plan import FULL, SHORT, FaultTrialPlan
from tests.faults.trial import FaultTrialResult, run_fault_trial
from tests.harness.stack import Stack, stacks

SEED = int(os.environ.get("TAPEWIRE_TEST_SEED") or 20131007)
IS_SHORT = bool(os.environ.get("TAPEWIRE_TEST_SHORT"))
SPEED = 5.0
"""A multiple of real time: about 20 quotes a second per symbol."""

_SUMMARY_LINES = pytest.StashKey[list[str]]()

FaultTrialRunner = Callable[[int], FaultTrialResult]


@pytest.fixture(scope="session")
def run_trial_once(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> FaultTrialRunner:
    """Return a function that runs the trial with that many edge processes, and repeats the result
    on later calls."""
    done: dict[int, FaultTrialResult] = {}
    figures = request.config.stash.setdefault(_SUMMARY_LINES, [])

    def of(workers: int) -> FaultTrialResult:
        if workers not in done:
            plan = FaultTrialPlan.from_seed(SEED, SHORT if IS_SHORT else FULL, workers)
            with stacks(lambda: tmp_path_factory.mktemp("faults")) as start:
                stack = start(speed=SPEED, workers=workers)
                done[workers] = _run_trial(plan, stack)
                assert stack.stop() == 0, f"no clean stop; the log ends:\n{stack.log_tail()}"
            figures.append(str(done[workers]))
        return done[workers]

    return of


def _run_trial(plan: FaultTrialPlan, stack: Stack) -> FaultTrialResult:
    sys.stdout.write(f"seed {plan.seed}: TAPEWIRE_TEST_SEED={plan.seed} repeats it\n")
    try:
        return asyncio.run(run_fault_trial(plan, stack))
    except BaseException:
        sys.stdout.write(f"the log of tapewire up ends:\n{stack.log_tail(200)}\n")
        raise


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(_SUMMARY_LINES, []):
        terminalreporter.write_line(f"faults: {line}")
