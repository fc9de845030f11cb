"""Harnesses with NATS and edges, shared by the tests of a worker; some tests start their own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import EventLogDriver, QuoteDriver
from tests.integration.edge.openapi_document import OPENAPI_PATH, OpenApiDocument

STALE_SYMBOL = "OLD"


async def _publish_stale_quote(harness: Harness) -> None:
    async with harness.market() as market:
        await market.publish(STALE_SYMBOL, 100)


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """Return NATS and edges, where only the tests cause events."""
    made = Harness(tmp_path_factory.mktemp("harness"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def orders_harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """Return a harness with the orders service, whose paper broker executes orders. A quote of
    `STALE_SYMBOL` was stored before the service began to listen."""
    made = Harness(tmp_path_factory.mktemp("exchange"))
    try:
        asyncio.run(_publish_stale_quote(made))
        made.start_orders()
        yield made
    finally:
        made.close()


@pytest.fixture
def edge(harness: Harness) -> EdgeProcess:
    """Return the shared edge with default settings. Tests must not change it."""
    return harness.shared_edge()


@pytest.fixture
async def journal(harness: Harness, edge: EdgeProcess) -> AsyncIterator[EventLogDriver]:  # noqa: ARG001
    """Return a driver of the journal, which the shared edge follows."""
    async with harness.journal() as opened:
        yield opened


@pytest.fixture
async def market(harness: Harness, edge: EdgeProcess) -> AsyncIterator[QuoteDriver]:  # noqa: ARG001
    """Return a driver of the quotes, which the shared edge receives."""
    async with harness.market() as opened:
        yield opened


@pytest.fixture
def alice(fresh: Callable[[str], str]) -> str:
    """Return a user of the test's own."""
    return fresh("alice")


@pytest.fixture
async def cookie(edge: EdgeProcess, alice: str) -> str:
    """Return the session of alice at the edge of the test."""
    return await edge.sign_in(alice)


@pytest.fixture
async def http(edge: EdgeProcess, cookie: str) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of alice that checks each response against the OpenAPI document."""
    async with edge.client(cookie) as client:
        document = OpenApiDocument((await client.get(OPENAPI_PATH)).json())

        async def check(response: httpx.Response) -> None:
            await response.aread()
            document.assert_documented(response)

        client.event_hooks["response"] = [check]
        yield client


@pytest.fixture
async def symbol(fresh: Callable[[str], str], market: QuoteDriver) -> str:
    """Return a symbol with an ask of 100 and a bid of 99, for 1,000 shares each. The harness must
    have the orders service."""
    name = fresh("SYM")
    await market.list_symbol(name, 100)
    return name
