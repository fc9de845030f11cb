"""What all tests share: a NATS server a test session, started when the first test asks for it.

`--nats=container` takes a container instead of the binary; without a Docker engine those tests are
skipped, saying so.
"""

import asyncio
import contextlib
import importlib
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import httpx
import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.harness import virtual_time
from tests.harness.edge import isolated_harness  # noqa: F401  # a fixture for all
from tests.harness.nats_servers import (
    ContainerNatsServer,
    DockerUnavailable,
    LocalNatsServer,
    NatsServer,
)
from tests.harness.stack import stack, stack_factory  # noqa: F401  # fixtures for all

_numbers = itertools.count(1)

# Property tests repeat exactly and have no deadline: machines are slow or busy. More examples, and
# other ones each time: `make test ARGS=--hypothesis-profile=nightly`.
settings.register_profile(
    "quick", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "nightly", settings.get_profile("quick"), max_examples=1000, derandomize=False
)
settings.load_profile("quick")

# Each client would load all certificate authorities, which takes longer than most requests.
httpx._transports.default.create_ssl_context = cache(  # type: ignore[attr-defined]
    httpx.create_ssl_context
)

# Rendered by rich, which structlog prefers, thousands of tracebacks take minutes.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False),
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tapewire")
    group.addoption(
        "--nats",
        choices=("binary", "container"),
        default="binary",
        help="what tests against NATS run on (default: the nats-server binary)",
    )
    group.addoption(
        "--nats-image",
        default="nats:2.12",
        help="the image of --nats=container (default: nats:2.12)",
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let each worker import the test modules in an order of its own.

    The first one to import a module compiles it and stores the bytecode for the others. In the
    same order, all workers would compile all modules at the same time.
    """
    worker = getattr(session.config, "workerinput", None)
    if worker is None or sys.dont_write_bytecode:
        return
    modules = _test_modules(session.config)
    first = int(worker["workerid"].removeprefix("gw")) * len(modules) // worker["workercount"]
    for module in modules[first:] + modules[:first]:
        with contextlib.suppress(Exception, pytest.skip.Exception):  # reported by the collection
            importlib.import_module(module)


def _test_modules(config: pytest.Config) -> list[str]:
    """The names of the modules in the given folders, except the ignored ones."""
    ignored = [Path(path).resolve() for path in config.getoption("ignore") or ()]
    folders = [config.invocation_params.dir / argument for argument in config.args]
    return [
        ".".join(file.relative_to(config.rootpath).with_suffix("").parts)
        for folder in folders
        for file in sorted(folder.rglob("test_*.py"))
        if not any(map(file.is_relative_to, ignored))
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of the shared stack last.

    A running stack takes a third of a core, which would slow down all tests after its first one.
    """
    items.sort(key=_uses_shared_stack)


def _uses_shared_stack(item: pytest.Item) -> bool:
    return "stack" in getattr(item, "fixturenames", ())


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return virtual_time.loop_factories(item)


@pytest.fixture(scope="session", autouse=True)
def _own_list_of_running_systems(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Each `tapewire up` lists itself for its user; tests have a list of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NatsServer]:
    """One server for the session. A test that freezes or kills it must bring it back."""
    made = _make(request.config, tmp_path_factory.mktemp("nats"))
    try:
        made.start()
    except DockerUnavailable as error:
        pytest.skip(str(error))
    yield made
    made.close()


@pytest.fixture
def fresh() -> Callable[[str], str]:
    """Names that no other test uses: users, symbols."""
    return lambda name: f"{name}{next(_numbers)}"


def _make(config: pytest.Config, folder: Path) -> NatsServer:
    if config.getoption("--nats") == "container":
        return ContainerNatsServer(config.getoption("--nats-image"))
    return LocalNatsServer(folder)
