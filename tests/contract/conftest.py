"""One suite for memory and JetStream: each test runs with a new `backend` of either kind."""

from collections.abc import AsyncIterator

import pytest

from tapewire.log import EventLog, LatestValueStore
from tests.contract.backends import Backend, JetStreamBackend, MemoryBackend


@pytest.fixture
async def jetstream(request: pytest.FixtureRequest) -> AsyncIterator[JetStreamBackend]:
    backend = JetStreamBackend(request.getfixturevalue("broker"))
    await backend.open()
    yield backend
    await backend.close()


@pytest.fixture(params=["memory", "jetstream"])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    if request.param == "memory":
        yield MemoryBackend()
        return
    backend = JetStreamBackend(request.getfixturevalue("broker"))
    await backend.open()
    yield backend
    await backend.close()


@pytest.fixture
async def log(backend: Backend) -> EventLog:
    return await backend.event_log()


@pytest.fixture
async def values(backend: Backend) -> LatestValueStore:
    return await backend.value_store()
