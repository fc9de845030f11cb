"""A house a worker for most tests, and houses of their own for tests that break them."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import EventLogDriver, QuoteDriver


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """NATS and edges: nothing happens there but what tests say."""
    made = Harness(tmp_path_factory.mktemp("house"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def orders_harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """A house with the orders service, whose broker works what is placed."""
    made = Harness(tmp_path_factory.mktemp("exchange"))
    try:
        made.start_orders()
        yield made
    finally:
        made.close()


@pytest.fixture
def edge(harness: Harness) -> EdgeProcess:
    """An edge of default settings, shared: leave it as you found it."""
    return harness.shared_edge()


@pytest.fixture
async def journal(harness: Harness, edge: EdgeProcess) -> AsyncIterator[EventLogDriver]:  # noqa: ARG001
    """The log, which the edge has made."""
    async with harness.journal() as opened:
        yield opened


@pytest.fixture
async def market(harness: Harness, edge: EdgeProcess) -> AsyncIterator[QuoteDriver]:  # noqa: ARG001
    """The quotes, whose stream the edge has made."""
    async with harness.market() as opened:
        yield opened
