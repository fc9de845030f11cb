"""`LightEvent` wakes each waiter once, and forgets waiters that were canceled; `ExitList` ends what
was added, the newest first."""

import asyncio

import pytest

from tapewire.log.light_objects import ExitList, LightEvent, OnExit


async def waiting(flag: LightEvent, count: int) -> "list[asyncio.Task[None]]":
    tasks = [asyncio.create_task(flag.wait()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_set_wakes_all_waiters() -> None:
    flag = LightEvent()
    tasks = await waiting(flag, 3)
    assert not any(task.done() for task in tasks)
    flag.set()
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)
    assert flag.is_set()


async def test_wait_returns_at_once_while_the_event_is_set() -> None:
    flag = LightEvent()
    flag.set()
    async with asyncio.timeout(10):
        await flag.wait()
    flag.clear()
    assert not flag.is_set()
    (task,) = await waiting(flag, 1)
    await asyncio.sleep(0)
    assert not task.done()
    flag.set()
    flag.clear()
    async with asyncio.timeout(10):
        await task


async def test_a_canceled_waiter_is_removed_and_the_others_are_woken() -> None:
    flag = LightEvent()
    first, second, third = await waiting(flag, 3)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert flag._waiters is not None
    assert len(flag._waiters) == 2
    third.cancel()
    flag.set()
    async with asyncio.timeout(10):
        await first
    with pytest.raises(asyncio.CancelledError):
        await third


def test_an_exit_list_ends_each_context_once_and_the_newest_first() -> None:
    ended = list[str]()
    with ExitList() as contexts:
        for name in ("first", "second"):
            contexts.add(OnExit(ended.append, name))
        contexts.end()
        assert ended == ["second", "first"]
        contexts.add(OnExit(ended.append, "third"))
    assert ended == ["second", "first", "third"]


def test_a_context_ends_after_an_error_too() -> None:
    ended = list[str]()
    with pytest.raises(KeyError), OnExit(ended.append, "it"):
        raise KeyError
    assert ended == ["it"]
