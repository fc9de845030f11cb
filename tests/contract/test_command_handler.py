"""The command handler on both logs: every command is applied once, and no update is lost."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tapewire.events import AgentStatusChanged, Event
from tapewire.log import (
    CommandHandler,
    CommandRejected,
    Decider,
    EventDraft,
    EventLog,
    LogError,
    NewEvent,
    OutcomeUnknown,
    TooManyConflicts,
)
from tapewire.log.memory import Faults, MemoryEventLog, MemoryServer
from tests.contract.backends import Backend
from tests.harness import virtual_time
from tests.harness.event_factories import (
    make_draft,
    make_event,
    make_subject,
    note_of,
    notes_of,
)
from tests.harness.recorded_log import read_events

LEDGER_SUBJECT = make_subject("alice/orders/1")
OTHER_SUBJECT = make_subject("alice/trades/1")

State = tuple[str, ...]


class ApplyCommand(msgspec.Struct, frozen=True):
    id: str


def decide(state: State, command: ApplyCommand) -> Sequence[NewEvent]:
    if command.id == "never":
        raise CommandRejected("invalid", "this one is never applied")
    if command.id in state:
        return []
    return [
        NewEvent(LEDGER_SUBJECT, make_event(command.id)),
        NewEvent(OTHER_SUBJECT, make_event(command.id)),
    ]


def evolve(state: State, event: Event) -> State:
    assert isinstance(event, AgentStatusChanged)
    return (*state, event.detail or "")


def ledger_handler(log: EventLog) -> CommandHandler[State, ApplyCommand]:
    return CommandHandler(log, Decider(initial_state=(), decide=decide, evolve=evolve))


async def apply_command(
    entities: CommandHandler[State, ApplyCommand], command: str, **options: Any
) -> State:
    """Repeat `command` with its id until it is decided, as a client does."""
    while True:
        try:
            return (
                await entities.handle(
                    LEDGER_SUBJECT, ApplyCommand(command), correlation="c", **options
                )
            ).state
        except (LogError, TooManyConflicts):
            await asyncio.sleep(0.01)


async def assert_once_each(log: EventLog, commands: set[str]) -> None:
    """Check that every command is stored once, with its two events next to each other."""
    events = await read_events(log)
    assert sorted(notes_of(events)) == sorted([*commands, *commands])
    for first, second in zip(events[::2], events[1::2], strict=True):
        assert note_of(first) == note_of(second)
        assert [first.subject, second.subject] == [str(LEDGER_SUBJECT), str(OTHER_SUBJECT)]
        assert second.sequence == first.sequence + 1


async def test_a_repeated_command_is_applied_once(backend: Backend) -> None:
    entities, restarted = (
        ledger_handler(await backend.event_log()),
        ledger_handler(await backend.event_log()),
    )

    assert await apply_command(entities, "a", is_new=True) == ("a",)
    assert await apply_command(entities, "b") == ("a", "b")
    assert await apply_command(entities, "a") == ("a", "b")
    assert await apply_command(restarted, "b") == ("a", "b")
    assert await apply_command(ledger_handler(await backend.event_log()), "a", is_new=True) == (
        "a",
        "b",
    )

    await assert_once_each(await backend.event_log(), {"a", "b"})


@pytest.mark.parametrize("command", ["b", "c"])
async def test_an_entity_that_was_erased_begins_anew(backend: Backend, command: str) -> None:
    """Also when the handler remembers it, and the command was decided before."""
    log = await backend.event_log()
    entities = ledger_handler(log)
    for earlier in ("a", "b"):
        await apply_command(entities, earlier)
    await backend.remove_user("alice")

    assert await apply_command(entities, command, is_new=True) == (command,)
    assert await apply_command(entities, command) == (command,)
    await assert_once_each(log, {command})


async def test_a_rejected_command_stores_nothing(backend: Backend) -> None:
    log = await backend.event_log()
    with pytest.raises(CommandRejected):
        await ledger_handler(log).handle(LEDGER_SUBJECT, ApplyCommand("never"), correlation="c")
    assert await read_events(log) == []


async def test_an_entity_of_many_pages_is_loaded_completely(backend: Backend) -> None:
    log = await backend.event_log()
    for start in range(0, 1200, 400):
        await log.append([make_draft(note=str(number)) for number in range(start, start + 400)])

    known = await ledger_handler(log).load(LEDGER_SUBJECT)

    assert known.state == tuple(str(number) for number in range(1200))
    assert known.sequence == 1200


async def test_events_carry_the_command_and_the_correlation(backend: Backend) -> None:
    log = await backend.event_log()
    await ledger_handler(log).handle(
        LEDGER_SUBJECT,
        ApplyCommand("a"),
        correlation="c-7",
        traceparent="00-" + "a" * 32 + "-b7ad6b7169203331-01",
    )

    for recorded in await read_events(log):
        assert recorded.metadata.correlation == "c-7"
        assert recorded.metadata.causation == "a"
        assert recorded.metadata.traceparent == "00-" + "a" * 32 + "-b7ad6b7169203331-01"


async def test_two_writers_of_one_entity_lose_no_update(backend: Backend) -> None:
    async def write(name: str) -> None:
        entities = ledger_handler(await backend.event_log())
        for number in range(25):
            state = await apply_command(entities, f"{name}{number}")
            assert f"{name}{number}" in state

    await asyncio.gather(write("a"), write("b"))

    log = await backend.event_log()
    await assert_once_each(log, {f"{name}{number}" for name in "ab" for number in range(25)})
    assert len((await ledger_handler(log).load(LEDGER_SUBJECT)).state) == 50


class LossyLog:
    """A log that loses acknowledgements or appends."""

    def __init__(self, log: EventLog, seed: int) -> None:
        self._log = log
        self._random = random.Random(seed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, drafts: Sequence[EventDraft]) -> int:
        fate = self._random.random()
        if fate < 0.2:
            raise OutcomeUnknown("the append got lost")
        last = await self._log.append(drafts)
        if fate < 0.5:
            raise OutcomeUnknown("the acknowledgement got lost")
        return last


@pytest.mark.parametrize("seed", range(3))
async def test_lost_acknowledgements_apply_no_command_twice(backend: Backend, seed: int) -> None:
    async def write(name: str) -> None:
        log: Any = LossyLog(await backend.event_log(), seed)
        entities = ledger_handler(log)
        for number in range(10):
            await apply_command(entities, f"{name}{number}")
            await apply_command(entities, f"{name}{number}")

    await asyncio.gather(write("a"), write("b"))

    await assert_once_each(
        await backend.event_log(), {f"{name}{number}" for name in "ab" for number in range(10)}
    )


async def run_with_random_faults(seed: int) -> None:
    """Three processes write to one entity under every fault."""
    server = MemoryServer()

    async def write(name: str, number: int) -> None:
        faults = Faults.rough(seed * 10 + number)
        faults.lost_ack_rate = faults.late_append_rate = faults.conflict_rate = 0.1
        entities = ledger_handler(MemoryEventLog(server, faults))
        for turn in range(8):
            state = await apply_command(entities, f"{name}{turn}", is_new=turn == 0)
            assert f"{name}{turn}" in state

    await asyncio.gather(*[write(name, number) for number, name in enumerate("abc")])
    await asyncio.sleep(10)  # until late appends have arrived

    await assert_once_each(
        MemoryEventLog(server), {f"{name}{turn}" for name in "abc" for turn in range(8)}
    )


@pytest.mark.parametrize(
    "seeds", [range(start, start + 50) for start in range(0, 200, 50)], ids=str
)
def test_every_command_is_applied_once_under_random_faults(seeds: range) -> None:
    for seed in seeds:
        try:
            virtual_time.run(run_with_random_faults(seed))
        except BaseException as error:
            error.add_note(f"play it again: bad_day({seed})")
            raise
