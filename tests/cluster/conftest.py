"""The trial, run once per session, and its figures at the end."""

import os
import sys

import pytest

from tests.cluster.plan import ClusterTrialPlan
from tests.cluster.trial import ClusterTrialResult, run_cluster_trial
from tests.harness.private_network import IS_AVAILABLE, WHY_UNAVAILABLE

SEED = int(os.environ.get("TAPEWIRE_TEST_SEED") or 20131007)
IS_SHORT = bool(os.environ.get("TAPEWIRE_TEST_SHORT"))
ONLY_FAULTS = os.environ.get("TAPEWIRE_TEST_FAULTS") or ""
"""Names of faults, such as ``leader frozen,disk``, when not all are wanted."""

FIGURES = "cluster"
"""The property under which a test reports the figures of the trial, in whichever process it ran."""


@pytest.fixture(scope="session")
def trial_result(tmp_path_factory: pytest.TempPathFactory) -> ClusterTrialResult:
    sys.stdout.write(f"seed {SEED}: TAPEWIRE_TEST_SEED={SEED} repeats it\n")
    plan = ClusterTrialPlan.from_seed(
        SEED, is_short=IS_SHORT, has_namespaces=IS_AVAILABLE, only=ONLY_FAULTS
    )
    return run_cluster_trial(plan, lambda: tmp_path_factory.mktemp("cluster"))


@pytest.fixture
def namespaces() -> None:
    """Skips the test where this test run may have no network namespaces."""
    if not IS_AVAILABLE:
        pytest.skip(WHY_UNAVAILABLE)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, figures in getattr(report, "user_properties", ()):
                if name == FIGURES and report.when == "call":
                    terminalreporter.write_line(f"{FIGURES}: {figures}")
