"""A harness for the clients of docs/clients.md, and their requirements: a browser, or npm packages.

All tests here share one event loop and one browser. The npm packages are installed once, beside the
Python packages. If they cannot be installed, the tests that need them are skipped with the reason.
"""

import asyncio
import contextlib
import fcntl
import functools
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.client_runs import CLIENTS, ClientRun, DocumentedClient
from tests.harness.chromium import browser, chromium  # noqa: F401  # fixtures
from tests.harness.edge import Harness
from tests.harness.pages import find_node, workspace

PACKAGE_JSON = Path(__file__).with_name("package.json")
INSTALL_TIMEOUT_SECONDS = 120

RunClient = Callable[..., contextlib.AbstractAsyncContextManager[ClientRun]]
"""Runs one kind of client on the given streams until the block ends."""


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """NATS and edges. Only the tests append events and publish quotes."""
    made = Harness(tmp_path_factory.mktemp("clients"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def curl() -> str:
    """The path of curl."""
    found = shutil.which("curl")
    if found is None or shutil.which("bash") is None:
        pytest.skip("no curl, or no bash, on the PATH")
    return found


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder with the packages of package.json, installed in exactly those versions."""
    if not find_node():
        pytest.skip("no Node runs here")
    wanted = hashlib.sha256(PACKAGE_JSON.read_bytes()).hexdigest()[:12]
    folder = Path(sys.prefix) / "npm" / wanted
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of the test workers installs them
        if not (folder / ".installed").exists():
            _install_packages(folder)
    return folder / "node_modules"


def _install_packages(folder: Path) -> None:
    shutil.copy(PACKAGE_JSON, folder)
    options = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
    options += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=20000"]
    node = workspace.find_node()
    try:
        done = subprocess.run(
            [*node.npm, "install", *options],
            cwd=folder,
            env={
                **workspace.npm_environment(node),
                "npm_config_update_notifier": "false",
                "npm_config_loglevel": "error",
            },
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install {PACKAGE_JSON.name} within {INSTALL_TIMEOUT_SECONDS} s")
    if done.returncode:
        why = " ".join(done.stderr.split())[:300]
        pytest.skip(f"npm could not install {PACKAGE_JSON.name}: {why}")
    (folder / ".installed").touch()


@pytest.fixture(params=CLIENTS, ids=lambda client: client.name)
def client(request: pytest.FixtureRequest) -> DocumentedClient:
    """Each client of the table."""
    made: DocumentedClient = request.param
    return made


@pytest.fixture
def run_client(
    client: DocumentedClient, request: pytest.FixtureRequest, tmp_path: Path
) -> RunClient:
    """Run that client."""
    return _run_client(client, request, tmp_path)


def _run_client(
    client: DocumentedClient, request: pytest.FixtureRequest, folder: Path
) -> RunClient:
    """Return a function that runs `client`; skip the test if a requirement is missing."""
    needed = request.getfixturevalue(client.required_fixture) if client.required_fixture else None
    return functools.partial(client.start, needed, folder)


class ClientGroup:
    """Every client that can run here. They run concurrently, because some checks take a while for
    each client. Clients that cannot run are skipped by the tests of a single client."""

    def __init__(self, runs: dict[DocumentedClient, RunClient]) -> None:
        self.runs = runs

    async def check_each(
        self, check: Callable[[DocumentedClient, RunClient], Awaitable[None]]
    ) -> None:
        """Run `check` for every client; a failure names the client."""
        done = await asyncio.gather(
            *(check(client, run) for client, run in self.runs.items()), return_exceptions=True
        )
        wrong = []
        for client, outcome in zip(self.runs, done, strict=True):
            if isinstance(outcome, BaseException):
                outcome.add_note(f"the client: {client.name}")
                wrong.append(outcome)
        if wrong:
            raise BaseExceptionGroup("clients", wrong)


@pytest.fixture
def client_group(request: pytest.FixtureRequest, tmp_path: Path) -> ClientGroup:
    runs = {}
    for client in CLIENTS:
        folder = tmp_path / client.name
        folder.mkdir()
        with contextlib.suppress(pytest.skip.Exception):
            runs[client] = _run_client(client, request, folder)
    return ClientGroup(runs)
