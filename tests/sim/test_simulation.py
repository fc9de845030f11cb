"""Nothing is lost, whatever happens: hundreds of simulated bad days, each from its seed.

`make sim` plays 500 seeds, with SHORT=1 a hundred. A failure names its seeds; one is played again
by `pytest tests/sim --seed N`, or told in full by `python -m tests.sim N --log`.
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
"""Within so many seeds a mutant must be caught; nearly all are by the first."""


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int | None:
    """The seed that was asked for."""
    chosen: int | None = request.config.getoption("--seed", default=None)
    return chosen


def test_nothing_is_lost(seed: int | None, capsys: pytest.CaptureFixture[str]) -> None:
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
def test_a_broken_edge_is_caught(name: str) -> None:
    with apply_mutant(name):
        assert any(run_simulation(seed).violations for seed in range(1, MUTANT_SEEDS + 1)), (
            f"{name} passes"
        )


_DIGESTS = """
from tests.sim.simulation import run_simulation
for seed in (1, 2, 3): print(run_simulation(seed).digest)
"""


def test_a_seed_plays_the_same_every_time() -> None:
    """In other processes too, whose sets and dictionaries of texts have other orders."""
    told_ = [
        subprocess.run(
            [sys.executable, "-c", _DIGESTS],
            env={**os.environ, "PYTHONHASHSEED": hashes},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hashes in ("1", "2")
    ]
    assert told_[0] == told_[1]
    assert len(set(told_[0].split())) == 3
