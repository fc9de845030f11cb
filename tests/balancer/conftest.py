"""Fleets of edges for the tests. Without nginx the tests are skipped with the reason."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.balancer.fleet import EdgeFleet
from tests.harness.nginx import require_nginx

IS_SHORT = bool(os.environ.get("TAPEWIRE_TEST_SHORT"))
MAX_USER_CONNECTIONS = 3
CONNECT_RATE = 5
MAX_CONNECTIONS = 4

_SUMMARY_LINES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def fleet_folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Creates folders for fleets; skips the test if nginx is missing."""
    require_nginx()
    return lambda: tmp_path_factory.mktemp("fleet")


@pytest.fixture(scope="session")
def summary_lines(request: pytest.FixtureRequest) -> list[str]:
    """Lines that are printed at the end of the run."""
    return request.config.stash.setdefault(_SUMMARY_LINES, [])


@pytest.fixture(scope="module", params=[2] if IS_SHORT else [2, 4], ids="{} edges".format)
def fleet(request: pytest.FixtureRequest, fleet_folders: Callable[[], Path]) -> Iterator[EdgeFleet]:
    """Edges for tests that leave every edge running."""
    made = EdgeFleet(
        fleet_folders(),
        request.param,
        SSE_MAX_CONNECTIONS_PER_USER=MAX_USER_CONNECTIONS,
        TAPEWIRE_DRAIN_SECONDS=1,
    )
    yield made
    made.close()


@pytest.fixture(scope="module")
def small_fleet(fleet_folders: Callable[[], Path]) -> Iterator[EdgeFleet]:
    """Two edges with low limits, which trust nginx about client addresses."""
    made = EdgeFleet(
        fleet_folders(),
        2,
        SSE_CONNECT_RATE=CONNECT_RATE,
        SSE_MAX_CONNECTIONS=MAX_CONNECTIONS,
        SSE_KEEPALIVE_INTERVAL=0.5,
        SSE_WRITE_SECONDS=2,
        TAPEWIRE_TRUSTED_PROXIES="127.0.0.1/32",
    )
    yield made
    made.close()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(_SUMMARY_LINES, []):
        terminalreporter.write_line(f"balancer: {line}")
