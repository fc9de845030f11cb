"""The decide loop on both logs: no command is applied twice and no update is lost, whatever
happens to acknowledgements and whoever writes at the same time.

The entity here is a ledger: its state is the ids of the commands applied to it, in order. Every
command stores two events, one on the entity and one beside it, as a fill and its trade.
"""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tapewire.events import AgentStatusChanged, Event
from tapewire.log import (
    Decider,
    Draft,
    Entities,
    EventLog,
    Happening,
    LogError,
    Overloaded,
    Refusal,
    Uncertain,
)
from tapewire.log.memory import Faults, MemoryLog, MemoryServer
from tests.contract.backends import Backend
from tests.contract.drafts import draft, everything, happened, note, notes, subject
from tests.unit.orders import virtual

LEDGER = subject("alice/orders/1")
BESIDE = subject("alice/trades/1")

State = tuple[str, ...]


class Apply(msgspec.Struct, frozen=True):
    id: str


def decide(state: State, command: Apply) -> Sequence[Happening]:
    if command.id == "never":
        raise Refusal("invalid", "this one is never applied")
    if command.id in state:
        return []
    return [Happening(LEDGER, happened(command.id)), Happening(BESIDE, happened(command.id))]


def evolve(state: State, event: Event) -> State:
    assert isinstance(event, AgentStatusChanged)
    return (*state, event.detail or "")


def ledger(log: EventLog) -> Entities[State, Apply]:
    return Entities(log, Decider(initial=(), decide=decide, evolve=evolve))


async def applied(entities: Entities[State, Apply], command: str, **options: Any) -> State:
    """Send `command` again until it was decided, as a client does that repeats its id."""
    while True:
        try:
            return (await entities.handle(LEDGER, Apply(command), correlation="c", **options)).state
        except (LogError, Overloaded):
            await asyncio.sleep(0.01)


async def assert_once_each(log: EventLog, commands: set[str]) -> None:
    """Every command is stored once, with its two events side by side."""
    events = await everything(log)
    assert sorted(notes(events)) == sorted([*commands, *commands])
    for first, second in zip(events[::2], events[1::2], strict=True):
        assert note(first) == note(second)
        assert [first.subject, second.subject] == [str(LEDGER), str(BESIDE)]
        assert second.sequence == first.sequence + 1


async def test_a_command_is_applied_once_however_often_it_is_sent(backend: Backend) -> None:
    entities, restarted = ledger(await backend.log()), ledger(await backend.log())

    assert await applied(entities, "a", new=True) == ("a",)
    assert await applied(entities, "b") == ("a", "b")
    assert await applied(entities, "a") == ("a", "b")
    assert await applied(restarted, "b") == ("a", "b")
    assert await applied(ledger(await backend.log()), "a", new=True) == ("a", "b")

    await assert_once_each(await backend.log(), {"a", "b"})


async def test_a_refusal_stores_nothing(backend: Backend) -> None:
    log = await backend.log()
    with pytest.raises(Refusal):
        await ledger(log).handle(LEDGER, Apply("never"), correlation="c")
    assert await everything(log) == []


async def test_an_entity_of_many_pages_is_loaded_whole(backend: Backend) -> None:
    log = await backend.log()
    for start in range(0, 1200, 400):
        await log.append([draft(note=str(number)) for number in range(start, start + 400)])

    known = await ledger(log).load(LEDGER)

    assert known.state == tuple(str(number) for number in range(1200))
    assert known.sequence == 1200


async def test_events_carry_the_command_and_the_correlation(backend: Backend) -> None:
    log = await backend.log()
    await ledger(log).handle(
        LEDGER, Apply("a"), correlation="c-7", traceparent="00-" + "a" * 32 + "-b7ad6b7169203331-01"
    )

    for recorded in await everything(log):
        assert recorded.meta.correlation == "c-7"
        assert recorded.meta.causation == "a"
        assert recorded.meta.traceparent == "00-" + "a" * 32 + "-b7ad6b7169203331-01"


async def test_two_writers_of_one_entity_lose_no_update(backend: Backend) -> None:
    async def write(name: str) -> None:
        entities = ledger(await backend.log())
        for number in range(25):
            state = await applied(entities, f"{name}{number}")
            assert f"{name}{number}" in state

    await asyncio.gather(write("a"), write("b"))

    log = await backend.log()
    await assert_once_each(log, {f"{name}{number}" for name in "ab" for number in range(25)})
    assert len((await ledger(log).load(LEDGER)).state) == 50


class Forgetful:
    """A log whose acknowledgements, or whose appends, get lost on the way."""

    def __init__(self, log: EventLog, seed: int) -> None:
        self._log = log
        self._random = random.Random(seed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, drafts: Sequence[Draft]) -> int:
        fate = self._random.random()
        if fate < 0.2:
            raise Uncertain("the append got lost")
        last = await self._log.append(drafts)
        if fate < 0.5:
            raise Uncertain("the acknowledgement got lost")
        return last


@pytest.mark.parametrize("seed", range(3))
async def test_lost_acknowledgements_apply_no_command_twice(backend: Backend, seed: int) -> None:
    async def write(name: str) -> None:
        log: Any = Forgetful(await backend.log(), seed)
        entities = ledger(log)
        for number in range(10):
            await applied(entities, f"{name}{number}")
            await applied(entities, f"{name}{number}")

    await asyncio.gather(write("a"), write("b"))

    await assert_once_each(
        await backend.log(), {f"{name}{number}" for name in "ab" for number in range(10)}
    )


async def bad_day(seed: int) -> None:
    """Three processes write to one entity while everything goes wrong that can."""
    server = MemoryServer()

    async def write(name: str, number: int) -> None:
        faults = Faults.rough(seed * 10 + number)
        faults.lost_ack = faults.late_append = faults.conflict = 0.1
        entities = ledger(MemoryLog(server, faults))
        for turn in range(8):
            state = await applied(entities, f"{name}{turn}", new=turn == 0)
            assert f"{name}{turn}" in state

    await asyncio.gather(*[write(name, number) for number, name in enumerate("abc")])
    await asyncio.sleep(10)  # what is late has arrived

    await assert_once_each(
        MemoryLog(server), {f"{name}{turn}" for name in "abc" for turn in range(8)}
    )


@pytest.mark.parametrize(
    "seeds", [range(start, start + 50) for start in range(0, 200, 50)], ids=str
)
def test_a_bad_day_applies_every_command_once(seeds: range) -> None:
    for seed in seeds:
        try:
            virtual.run(bad_day(seed))
        except BaseException as error:
            error.add_note(f"play it again: bad_day({seed})")
            raise
