"""No client misses an event under random faults: hundreds of simulations, each from its seed.

`make sim` runs 500 seeds, and a hundred with SHORT=1. A failure names its seeds. `pytest tests/sim
--seed N` repeats one, and `python -m tests.sim N --log` prints it in full.
"""

import os
import subprocess
import sys

import pytest

from tests.sim.mutants import MUTANTS, apply_mutant
from tests.sim.seed_runner import describe_failure, run_seeds
from tests.sim.simulation import run_simulation

SEEDS = 100 if os.environ.get("TAPEWIRE_TEST_SHORT") else 500
MUTANT_SEEDS = 60
"""The number of seeds within which a mutant must be detected; the first detects nearly all."""


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int | None:
    """The seed given on the command line."""
    chosen: int | None = request.config.getoption("--seed", default=None)
    return chosen


def test_every_client_receives_all_events_under_faults(
    seed: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if seed is not None:
        verdict = run_simulation(seed)
        assert not verdict.violations, describe_failure(verdict)
        return
    report = run_seeds(range(1, SEEDS + 1))
    with capsys.disabled():
        sys.stdout.write(f"\n{report}\n")
    assert not report.failed_results, f"{report}\n{report.describe_failures()}"
    assert not report.missing_counts, f"it meets no trouble: {report.missing_counts} never happened"


@pytest.mark.parametrize("name", MUTANTS)
def test_simulation_detects_a_broken_edge_or_decider(name: str) -> None:
    with apply_mutant(name):
        assert any(run_simulation(seed).violations for seed in range(1, MUTANT_SEEDS + 1)), (
            f"{name} passes"
        )


_DIGESTS = """
from tests.sim.simulation import run_simulation
for seed in (1, 2, 3): print(run_simulation(seed).digest)
"""


def test_a_seed_gives_the_same_run_every_time() -> None:
    """Also in processes with other hash seeds, which iterate over sets and dictionaries of strings
    in another order."""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", _DIGESTS],
            env={**os.environ, "PYTHONHASHSEED": hashes},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hashes in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert len(set(outputs[0].split())) == 3
