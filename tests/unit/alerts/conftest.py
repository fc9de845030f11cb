import asyncio
from collections.abc import AsyncIterator

import pytest

from tapewire.log.memory import MemoryServer
from tests.unit.alerts.harness import AlertsEnvironment, AlertsProcess


@pytest.fixture
async def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
async def environment(server: MemoryServer) -> AlertsEnvironment:
    return AlertsEnvironment(server)


@pytest.fixture
async def process(
    server: MemoryServer, environment: AlertsEnvironment
) -> AsyncIterator[AlertsProcess]:
    """A process in a market that quotes IBM at 100. At the end, no task has failed and
    verification finds nothing."""
    process = AlertsProcess(server)
    await environment.publish_price("100")
    await process.start()
    await asyncio.sleep(10)
    yield process
    process.raise_task_errors()
    await environment.assert_verified()
    await process.kill()
