from collections.abc import AsyncIterator

import pytest

from tapewire.log.memory import MemoryServer
from tests.unit.strategies.runner_scenario import RunnerScenario


@pytest.fixture
async def scenario() -> AsyncIterator[RunnerScenario]:
    scenario = RunnerScenario(MemoryServer())
    await scenario.start()
    yield scenario
    await scenario.orders_process.kill()
