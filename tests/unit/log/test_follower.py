"""Following the log in order, on the log in memory with everything that goes wrong."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime

import pytest

from tapewire.events import CODEC, AgentState, AgentStatusChanged
from tapewire.log import Draft, LogError, Meta, Recorded, Subject, Unavailable, new_id
from tapewire.log.follower import CHECKPOINT_EVENTS, follow
from tapewire.log.memory import Faults, MemoryLog, MemoryServer, MemoryValues
from tapewire.log.port import LONG_PAGE_EVENTS
from tests import waiting
from tests.unit.orders import virtual

FILTER = "ev.*.system.>"
PAST = LONG_PAGE_EVENTS + 44
"""Events that take two pages."""
AT = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


class Sums:
    """A consumer whose state is what it took, by sequence: twice is visible."""

    def __init__(self, stumble: Callable[[], None] = lambda: None) -> None:
        self.taken: list[int] = []
        self.at_start: int | None = None
        self.restored = 0
        self._stumble = stumble

    def restore(self, state: bytes) -> None:
        self.taken = CODEC.decode(state, list[int])
        self.restored = len(self.taken)

    def save(self) -> bytes:
        return CODEC.encode(self.taken)

    async def take(self, events: Sequence[Recorded]) -> None:
        self._stumble()
        self.taken += [recorded.sequence for recorded in events]

    async def caught_up(self) -> None:
        assert self.at_start is None
        self.at_start = len(self.taken)


async def append(log: MemoryLog, number: int) -> None:
    event = AgentStatusChanged(
        service="test", instance=str(number), state=AgentState.RUNNING, detail=None, timestamp=AT
    )
    draft = Draft(
        subject=Subject(f"u{number % 3}", "system", "test"),
        event=event,
        meta=Meta(id=new_id(), correlation="c"),
    )
    while True:
        try:
            await log.append([draft])
        except LogError:
            await asyncio.sleep(0.2)
        else:
            return


@contextlib.asynccontextmanager
async def following(
    server: MemoryServer, consumer: Sums, faults: Faults | None = None, seed: int = 1
) -> AsyncIterator[asyncio.Task[None]]:
    log, values = MemoryLog(server, faults), MemoryValues(server, faults=faults)
    made = iter([consumer])
    task = asyncio.create_task(
        follow(log, values, FILTER, "sums", lambda: next(made), random.Random(seed))
    )
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until(condition: Callable[[], bool]) -> None:
    await waiting.until("the consumer has come so far", condition, seconds=600)


def test_it_takes_what_was_there_says_so_and_takes_what_comes() -> None:
    async def story() -> None:
        server, sums = MemoryServer(), Sums()
        writer = MemoryLog(server)
        for number in range(PAST):
            await append(writer, number)
        async with following(server, sums):
            await until(lambda: sums.at_start is not None)
            assert sums.at_start == PAST
            await append(writer, PAST)
            await until(lambda: len(sums.taken) == PAST + 1)
        assert sums.taken == list(range(1, PAST + 2))

    virtual.run(story())


def test_it_tells_how_far_it_has_come_as_soon_as_it_has_caught_up() -> None:
    async def story() -> None:
        server, places = MemoryServer(), {FILTER: 99}
        writer, told = MemoryLog(server), list[int | None]()
        for number in range(PAST):
            await append(writer, number)
        sums = Sums(lambda: told.append(places.get(FILTER)))
        values, chance = MemoryValues(server), random.Random(1)
        work = follow(MemoryLog(server), values, FILTER, "sums", lambda: sums, chance, places)
        task = asyncio.create_task(work)
        await until(lambda: places.get(FILTER) == PAST)
        await append(writer, PAST)
        await until(lambda: places.get(FILTER) == PAST + 1)
        assert told == [None, None, PAST], "what was told of another time is void"
        task.cancel()
        await asyncio.wait({task})

    virtual.run(story())


def test_the_next_one_begins_at_the_checkpoint() -> None:
    async def story() -> None:
        server, first, second = MemoryServer(), Sums(), Sums()
        writer = MemoryLog(server)
        for number in range(CHECKPOINT_EVENTS):
            await append(writer, number)
        async with following(server, first):
            await until(lambda: len(first.taken) == CHECKPOINT_EVENTS)
            await asyncio.sleep(5)
        await append(writer, 1)
        async with following(server, second):
            await until(lambda: len(second.taken) == CHECKPOINT_EVENTS + 1)
        assert second.restored == CHECKPOINT_EVENTS

    virtual.run(story())


def test_a_page_that_could_not_be_taken_is_taken_again() -> None:
    async def story() -> None:
        failures = [Unavailable("not now"), Unavailable("nor now")]

        def stumble() -> None:
            if failures:
                raise failures.pop()

        server, sums = MemoryServer(), Sums(stumble)
        await append(MemoryLog(server), 0)
        async with following(server, sums):
            await until(lambda: sums.taken == [1])

    virtual.run(story())


def test_a_fault_of_the_consumer_ends_it() -> None:
    async def story() -> None:
        def stumble() -> None:
            raise ZeroDivisionError

        server = MemoryServer()
        await append(MemoryLog(server), 0)
        async with following(server, Sums(stumble)) as task:
            with pytest.raises(ZeroDivisionError):
                await task

    virtual.run(story())


def test_a_log_made_anew_gets_a_consumer_made_anew() -> None:
    async def story() -> None:
        server, consumers = MemoryServer(), [Sums()]
        writer = MemoryLog(server)

        def make() -> Sums:
            consumers.append(Sums())
            return consumers[-1]

        task = asyncio.create_task(
            follow(MemoryLog(server), MemoryValues(server), FILTER, "sums", make, random.Random(1))
        )
        for number in range(5):
            await append(writer, number)
        await until(lambda: consumers[-1].taken == [1, 2, 3, 4, 5])
        server.recreate()
        await append(writer, 0)
        await until(lambda: consumers[-1].taken == [1])
        assert len(consumers) == 3
        task.cancel()

    virtual.run(story())


@pytest.mark.parametrize("seed", range(20))
def test_on_a_bad_day_everything_is_taken_in_order_and_once(seed: int) -> None:
    async def story() -> None:
        server, sums = MemoryServer(), Sums()
        writer = MemoryLog(server, Faults.rough(seed))
        async with following(server, sums, Faults.rough(seed + 1000), seed):
            for number in range(200):
                await append(writer, number)
            last = await MemoryLog(server).last(FILTER)
            await until(lambda: bool(sums.taken) and sums.taken[-1] == last)
        assert sums.taken == list(range(1, last + 1))

    virtual.run(story())
