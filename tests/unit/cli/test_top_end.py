"""How `tapewire top` ends its tasks."""

import asyncio

import pytest

from tapewire.cli.top.command import _end


@pytest.mark.parametrize("ignored_count", [0, 1, 3])
async def test_a_task_that_ignores_a_cancellation_is_ended(ignored_count: int) -> None:
    async def sample() -> None:
        ignored = 0
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if ignored == ignored_count:
                    raise
                ignored += 1

    ended = asyncio.create_task(asyncio.sleep(0))
    await ended
    tasks = [asyncio.create_task(sample()), ended]
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await _end(tasks)
    assert [task.cancelled() for task in tasks] == [True, False]
