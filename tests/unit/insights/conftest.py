from collections.abc import AsyncIterator

import pytest

from tapewire.log.memory import MemoryServer
from tests.harness.insights_process import InsightsProcess, running_process


@pytest.fixture
async def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
async def process(server: MemoryServer) -> AsyncIterator[InsightsProcess]:
    async with running_process(server) as process:
        yield process
