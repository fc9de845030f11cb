"""Tests in virtual time: marked tests and `run`, their limit, and deadlocks."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from tests.harness.virtual_time import DeadlockError, VirtualTimeLoop, run

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def ticker() -> AsyncIterator[list[float]]:
    """A task of the fixture records the loop's time every minute."""
    times: list[float] = []

    async def tick() -> None:
        while True:
            times.append(asyncio.get_running_loop().time())
            await asyncio.sleep(60)

    task = asyncio.create_task(tick())
    yield times
    task.cancel()


async def test_an_hour_takes_no_time() -> None:
    started = time.monotonic()
    await asyncio.sleep(3599)
    assert asyncio.get_running_loop().time() == 3599
    assert time.monotonic() - started < 10


async def test_an_async_fixture_shares_the_loop(ticker: list[float]) -> None:
    await asyncio.sleep(150)
    assert ticker == [0, 60, 120]


@pytest.mark.virtual_time(seconds=86_401)
async def test_a_marker_allows_more_time() -> None:
    await asyncio.sleep(86_400)


@pytest.mark.parametrize("hours", [1, 2])
async def test_parametrized_tests_run_in_virtual_time(hours: int) -> None:
    await asyncio.sleep(hours * 1000)
    assert isinstance(asyncio.get_running_loop(), VirtualTimeLoop)


def test_too_much_virtual_time_is_a_timeout() -> None:
    with pytest.raises(TimeoutError, match="not done at 10 s"):
        run(asyncio.sleep(11), seconds=10)


def test_a_deadlock_error_names_the_waiting_tasks() -> None:
    async def wait_in_vain() -> None:
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError, match="wait_in_vain"):
        run(wait_in_vain())


def test_a_deadlocked_task_that_ignores_cancellation_ends() -> None:
    async def wait_again() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    loop = VirtualTimeLoop()
    with pytest.raises(DeadlockError):
        loop.run_until_complete(wait_again())
    loop.close()


class TestClass:
    """The mark of a module applies to its classes."""

    async def test_a_class_runs_in_virtual_time(self) -> None:
        await asyncio.sleep(1000)
