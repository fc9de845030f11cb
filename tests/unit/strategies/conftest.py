from collections.abc import AsyncIterator

import pytest

from tapewire.log.memory import MemoryServer
from tests.unit.strategies.runner_scenario import RunnerScenario


@pytest.fixture
async def day() -> AsyncIterator[RunnerScenario]:
    day = RunnerScenario(MemoryServer())
    await day.start()
    yield day
    await day.orders_process.kill()
