"""Idempotency keys on both logs: a key belongs to one content for ever, and event ids stay unique.

The regressions: a key that was used again for another entity made the handler retry for two
minutes, and then stored an event id a second time. A key with another content returned the result
of the first, or was executed after the command ids of an entity were forgotten.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tapewire.events import AgentStatusChanged, Event, IdempotencyKeyUsed
from tapewire.log import (
    CommandHandler,
    CommandRejected,
    Decider,
    EventDraft,
    EventLog,
    EventSubject,
    IdempotencyKey,
    LogError,
    NewEvent,
    OutcomeUnknown,
    TooManyConflicts,
)
from tapewire.log.memory import Faults, MemoryEventLog, MemoryServer
from tests.contract.backends import Backend
from tests.harness import virtual_time
from tests.harness.event_factories import make_event, make_subject, note_of
from tests.harness.recorded_log import read_events

FIRST, SECOND = make_subject("alice/orders/1"), make_subject("alice/orders/2")
MAX_SEEN = 4

State = tuple[str, ...]


class Note(msgspec.Struct, frozen=True):
    """Append `text` to the notes of `subject`."""

    id: str
    subject: EventSubject
    text: str


def decide(state: State, command: Note) -> Sequence[NewEvent]:
    """Like the deciders of services, remember the last few commands only."""
    if command.text == "never":
        raise CommandRejected("invalid", "this one is never written", "text")
    if command.text == "nothing" or command.id in [one.split("=")[0] for one in state[-MAX_SEEN:]]:
        return []
    return [NewEvent(command.subject, make_event(f"{command.id}={command.text}"))]


def evolve(state: State, event: Event) -> State:
    if isinstance(event, IdempotencyKeyUsed):
        return state
    assert isinstance(event, AgentStatusChanged)
    return (*state, event.detail or "")


DECIDER: Decider[State, Note] = Decider(initial_state=(), decide=decide, evolve=evolve)


class Writer:
    """One process."""

    def __init__(self, log: EventLog) -> None:
        self._handler = CommandHandler(log, DECIDER)

    async def write(
        self, text: str, key: str | None = None, subject: EventSubject = FIRST, command: str = ""
    ) -> State:
        id_ = command or key or text
        used = key and IdempotencyKey(
            user=subject.owner, text=key, command_id=id_, digest=f"{subject} {text}"
        )
        written = await self._handler.handle(
            subject, Note(id_, subject, text), correlation="c", key=used or None, is_new=True
        )
        return written.state


async def refused(writing: Any) -> None:
    with pytest.raises(CommandRejected) as caught:
        await writing
    assert (caught.value.code, caught.value.path) == ("key_reused", "Idempotency-Key")
    assert "'k'" in caught.value.message


async def notes(log: EventLog) -> list[str]:
    """The notes in the log, without the events of keys; checks that every event id is unique."""
    events = await read_events(log)
    ids = [recorded.metadata.id for recorded in events]
    assert len(set(ids)) == len(ids), ids
    return [note_of(one) for one in events if one.tag != "key.used.v1"]


@pytest.fixture
async def writer(log: EventLog) -> Writer:
    return Writer(log)


@pytest.fixture
async def other(backend: Backend) -> Writer:
    """Return another process, which remembers nothing."""
    return Writer(await backend.event_log())


async def test_a_key_with_the_same_content_is_carried_out_once(
    log: EventLog, writer: Writer, other: Writer
) -> None:
    for process in (writer, writer, other):
        assert await process.write("a", key="k") == ("k=a",)
    assert await notes(log) == ["k=a"]


@pytest.mark.parametrize("is_same_process", [True, False])
@pytest.mark.parametrize("subject", [FIRST, SECOND], ids=["same entity", "other entity"])
async def test_a_key_with_another_content_is_refused(
    log: EventLog, writer: Writer, other: Writer, subject: EventSubject, is_same_process: bool
) -> None:
    await writer.write("a", key="k")
    await refused((writer if is_same_process else other).write("b", key="k", subject=subject))
    assert await notes(log) == ["k=a"]


async def test_a_key_is_known_when_the_entity_has_forgotten_the_command(
    log: EventLog, writer: Writer, other: Writer
) -> None:
    await writer.write("a", key="k")
    for number in range(2 * MAX_SEEN):
        await writer.write(f"later {number}")
    for process in (writer, other):
        assert len(await process.write("a", key="k")) == 2 * MAX_SEEN + 1
        await refused(process.write("b", key="k"))
    assert len(await notes(log)) == 2 * MAX_SEEN + 1


async def test_a_rejected_command_leaves_its_key_unused(log: EventLog, writer: Writer) -> None:
    with pytest.raises(CommandRejected, match="never written"):
        await writer.write("never", key="k")
    assert await writer.write("a", key="k") == ("k=a",)
    await refused(writer.write("never", key="k"))
    assert await notes(log) == ["k=a"]


async def test_a_command_that_changes_nothing_uses_its_key(log: EventLog, writer: Writer) -> None:
    await writer.write("nothing", key="k")
    await writer.write("nothing", key="k")
    await refused(writer.write("a", key="k"))
    assert await notes(log) == []


async def test_keys_of_two_users_do_not_meet(log: EventLog, writer: Writer) -> None:
    await writer.write("a", key="k")
    await writer.write("b", key="k", subject=make_subject("bob/orders/1"))
    assert await notes(log) == ["k=a", "k=b"]


async def test_one_command_id_on_two_entities_gives_different_event_ids(
    log: EventLog, writer: Writer
) -> None:
    """Without a key, as a request of another program may do it."""
    for subject in (FIRST, SECOND, make_subject("bob/orders/1"), make_subject("alice/rules/1")):
        assert await writer.write("a", subject=subject, command="x") == ("x=a",)
    assert await notes(log) == ["x=a"] * 4


async def test_of_two_contents_at_the_same_time_one_is_carried_out(
    backend: Backend, log: EventLog
) -> None:
    writers = [Writer(await backend.event_log()) for _ in range(6)]
    outcomes = await asyncio.gather(
        *(
            writer.write("ab"[number % 2], key="k", subject=(FIRST, SECOND)[number % 2])
            for number, writer in enumerate(writers)
        ),
        return_exceptions=True,
    )
    [written] = await notes(log)
    for number, outcome in enumerate(outcomes):
        if "ab"[number % 2] == written[-1]:
            assert outcome == (written,)
        else:
            assert isinstance(outcome, CommandRejected)


class LossyLog:
    """A log that stores what it says it may not have stored."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.losses = 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, drafts: Sequence[EventDraft]) -> int:
        last = await self._log.append(drafts)
        if self.losses:
            self.losses -= 1
            raise OutcomeUnknown("the acknowledgement got lost")
        return last


async def test_a_lost_acknowledgement_does_not_refuse_the_command_itself(log: EventLog) -> None:
    lossy: Any = LossyLog(log)
    assert await Writer(lossy).write("a", key="k") == ("k=a",)
    assert await notes(log) == ["k=a"]


async def reuse_keys_under_faults(seed: int) -> None:
    """Three processes use ten keys, each with two contents, under every fault and for minutes."""
    server = MemoryServer()

    async def use(number: int) -> None:
        faults = Faults.rough(seed * 10 + number)
        faults.lost_ack_rate = faults.late_append_rate = faults.conflict_rate = 0.1
        writer = Writer(MemoryEventLog(server, faults))
        for turn in range(20):
            text, subject = ("a", FIRST) if (turn + number) % 2 else ("b", SECOND)
            while True:
                try:
                    await writer.write(text, key=f"k{turn % 10}", subject=subject)
                except CommandRejected:
                    break
                except (LogError, TooManyConflicts):
                    await asyncio.sleep(0.1)
                else:
                    break
            await asyncio.sleep(15)  # beyond the server's memory of event ids in the end

    await asyncio.gather(*(use(number) for number in range(3)))
    await asyncio.sleep(10)  # until late appends have arrived
    written = await notes(MemoryEventLog(server))
    assert len({one.split("=")[0] for one in written}) == len(written) == 10, written


@pytest.mark.parametrize("seeds", [range(start, start + 10) for start in (0, 10)], ids=str)
def test_a_key_is_used_once_under_random_faults(seeds: range) -> None:
    for seed in seeds:
        try:
            virtual_time.run(reuse_keys_under_faults(seed))
        except BaseException as error:
            error.add_note(f"play it again: reuse_keys_under_faults({seed})")
            raise
