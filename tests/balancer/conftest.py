"""Fleets for the tests; without nginx these are skipped, saying so."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.balancer.fleet import Fleet
from tests.balancer.nginx import binary

IS_SHORT = bool(os.environ.get("TAPEWIRE_TEST_SHORT"))
MOST_OF_A_USER = 3
RATE = 5
PLACES = 4

_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Folders for fleets. Skips where there is no nginx."""
    if binary() is None:
        pytest.skip("no nginx here; Debian and Ubuntu: apt-get install nginx-light")
    return lambda: tmp_path_factory.mktemp("fleet")


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> list[str]:
    """What is printed at the end of the run."""
    return request.config.stash.setdefault(_FIGURES, [])


@pytest.fixture(scope="module", params=[2] if IS_SHORT else [2, 4], ids="{} edges".format)
def fleet(request: pytest.FixtureRequest, folders: Callable[[], Path]) -> Iterator[Fleet]:
    """Edges for tests that leave them as they found them: all running."""
    made = Fleet(
        folders(),
        request.param,
        SSE_MAX_CONNECTIONS_PER_USER=MOST_OF_A_USER,
        TAPEWIRE_DRAIN_SECONDS=1,
    )
    yield made
    made.close()


@pytest.fixture(scope="module")
def narrow(folders: Callable[[], Path]) -> Iterator[Fleet]:
    """Two edges with room for few, which believe nginx about addresses."""
    made = Fleet(
        folders(),
        2,
        SSE_CONNECT_RATE=RATE,
        SSE_MAX_CONNECTIONS=PLACES,
        SSE_KEEPALIVE_INTERVAL=0.5,
        SSE_WRITE_SECONDS=2,
        TAPEWIRE_TRUSTED_PROXIES="127.0.0.1/32",
    )
    yield made
    made.close()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(_FIGURES, []):
        terminalreporter.write_line(f"balancer: {line}")
