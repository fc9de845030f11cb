"""A house a worker for most tests, and houses of their own for tests that break them."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.edge.house import Edge, House
from tests.integration.edge.market import Journal, Market


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """NATS and edges: nothing happens there but what tests say."""
    made = House(tmp_path_factory.mktemp("house"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with the orders service, whose broker works what is placed."""
    made = House(tmp_path_factory.mktemp("exchange"))
    try:
        made.orders()
        yield made
    finally:
        made.close()


@pytest.fixture
def edge(house: House) -> Edge:
    """An edge of default settings, shared: leave it as you found it."""
    return house.shared_edge()


@pytest.fixture
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house of the test's own, without any service yet."""
    made = House(tmp_path_factory.mktemp("lone"))
    yield made
    made.close()


@pytest.fixture
async def journal(house: House, edge: Edge) -> AsyncIterator[Journal]:  # noqa: ARG001
    """The log, which the edge has made."""
    async with house.journal() as opened:
        yield opened


@pytest.fixture
async def market(house: House, edge: Edge) -> AsyncIterator[Market]:  # noqa: ARG001
    """The quotes, whose stream the edge has made."""
    async with house.market() as opened:
        yield opened
