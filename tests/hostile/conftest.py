"""The trial, run once per session, and its figures at the end."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.harness.chromium import browser, chromium  # noqa: F401  # fixtures
from tests.harness.edge import Harness
from tests.harness.nginx import require_nginx
from tests.hostile.trial import FULL, SHORT, HostileTrialResult, run_trial

IS_SHORT = bool(os.environ.get("TAPEWIRE_TEST_SHORT"))
RETRY_MS = 2000
"""What docs/operations.md recommends behind a proxy that cuts connections."""

FIGURES = "hostile"
"""The property under which a test reports the figures of the trial, in whichever process it ran."""


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    require_nginx()
    if shutil.which("curl") is None:
        pytest.skip("no curl on the PATH")
    made = Harness(tmp_path_factory.mktemp("hostile"))
    yield made
    made.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def trial_result(
    harness: Harness,
    browser: Browser,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[HostileTrialResult]:
    edge = harness.start_edge(SSE_RETRY_MS=RETRY_MS, TAPEWIRE_TRUSTED_PROXIES="127.0.0.1/32")
    folder = tmp_path_factory.mktemp("proxies")
    yield await run_trial(harness, edge, browser, folder, SHORT if IS_SHORT else FULL)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, figures in getattr(report, "user_properties", ()):
                if name == FIGURES and report.when == "call":
                    terminalreporter.write_line(f"{FIGURES}: {figures}")
