"""The server away, dead or silent: which errors are raised, and what they promise."""

import asyncio

import pytest

from tapewire.log import EventLog, LogError, Unavailable, Uncertain
from tapewire.log.jetstream.wire import REQUEST_SECONDS
from tapewire.log.memory import Faults, MemoryLog, MemoryServer
from tests.contract.backends import Backend, JetStreamBackend
from tests.contract.drafts import draft, everything, note, notes
from tests.contract.test_live import Ear
from tests.contract.test_react import Worker
from tests.waiting import until


async def test_without_a_server_everything_is_unavailable_at_once(backend: Backend) -> None:
    log, values = await backend.log(), await backend.values()
    await log.append([draft(note="before")])

    # At once: all of these calls together take less than one would that waits for an answer.
    async with backend.away(), asyncio.timeout(REQUEST_SECONDS):
        for call in (
            lambda: log.append([draft(note="meanwhile")]),
            lambda: log.append([draft(note="meanwhile"), draft("bob/orders/1")]),
            lambda: log.page("ev.>", after=0),
            lambda: log.last("ev.>"),
            lambda: log.bounds(),
            lambda: values.put("IBM", b"1"),
            lambda: values.get("IBM"),
            lambda: values.all(),
        ):
            with pytest.raises(Unavailable):
                await call()

    assert notes(await everything(log)) == ["before"]
    await log.append([draft(note="after")])
    assert notes(await everything(log)) == ["before", "after"]


async def test_what_was_acknowledged_is_there_after_the_server_died(backend: Backend) -> None:
    log = await backend.log()
    before = await log.bounds()
    for number in range(100):
        await log.append([draft(f"alice/orders/{number}", str(number))])

    async with backend.away():
        pass

    assert notes(await everything(log)) == [str(number) for number in range(100)]
    after = await log.bounds()
    assert (after.epoch, after.last) == (before.epoch, 100)
    assert await log.append([draft("alice/orders/1", expect=2)]) == 101


async def test_a_live_reader_is_told_of_the_gap_before_anything_later(backend: Backend) -> None:
    writer, reader = await backend.log(), await backend.log()
    story: list[str] = []
    await reader.live("ev.>", lambda one: story.append(note(one)), lambda _: story.append("gap"))
    await reader.last("ev.>")
    await writer.append([draft(note="before")])
    await until("the first event heard", lambda: story == ["before"], seen=lambda: story)

    async with backend.away():
        pass
    await reader.last("ev.>")
    await writer.append([draft(note="after")])

    await until("the last event heard", lambda: "after" in story, seen=lambda: story)
    assert story.index("before") < story.index("gap") < story.index("after")
    assert [one for one in story if one != "gap"] == ["before", "after"]


async def test_a_reaction_carries_on_after_the_server_died(backend: Backend) -> None:
    log, worker = await backend.log(), Worker()
    reaction = await log.react("positions", "ev.>", worker.handle)
    await log.append([draft(note="before")])
    await worker.has_done("before")

    async with backend.away():
        pass
    await log.append([draft(note="after")])

    await worker.has_done("after")
    await reaction.close()


async def test_values_can_be_put_again_after_the_server_died(jetstream: JetStreamBackend) -> None:
    """Quotes are held in memory: the server comes back without them, and without their stream
    until somebody provisions it."""
    values = await jetstream.values()
    await values.put("IBM", b"1")

    async with jetstream.away():
        pass
    await jetstream.provision()

    await values.put("IBM", b"2")
    assert await values.all() == {"IBM": b"2"}


async def test_a_frozen_server_leaves_an_append_uncertain(jetstream: JetStreamBackend) -> None:
    """It may still store what it has received, as here, after everybody gave up."""
    log, ear = await jetstream.log(), Ear()
    await log.live("ev.>", ear.on_event, ear.on_gap)
    await log.append([draft(note="before")])

    async with jetstream.frozen():
        appending = asyncio.create_task(log.append([draft(note="meanwhile", event_id="e-1")]))
        reading = asyncio.create_task(log.last("ev.>"))
        with pytest.raises(Uncertain):
            await appending
        with pytest.raises(Unavailable):
            await reading

    assert notes(await ear.hears(2)) == ["before", "meanwhile"]
    assert notes(await everything(log)) == ["before", "meanwhile"]


async def test_appends_under_way_when_the_server_dies_are_uncertain_or_stored(
    backend: Backend,
) -> None:
    log = await backend.log()
    told: dict[str, str] = {}

    async def append(name: str) -> None:
        try:
            await log.append([draft(f"alice/orders/{name}", name), draft(f"alice/x/{name}", name)])
        except LogError as error:
            told[name] = type(error).__name__
        else:
            told[name] = "stored"

    before = [asyncio.create_task(append(str(number))) for number in range(50)]
    await until("some are stored, or all are told", lambda: len(told) > 10)
    tasks = [*before, *(asyncio.create_task(append(str(number))) for number in range(50, 200))]
    await asyncio.sleep(0)  # each is sent; no answer is read before the server is dead
    async with backend.away():
        await asyncio.gather(*tasks)

    stored = notes(await everything(log))
    assert set(told.values()) <= {"stored", "Uncertain", "Unavailable"}
    for name, word in told.items():
        wanted = {"stored": {2}, "Unavailable": {0}, "Uncertain": {0, 2}}[word]
        assert stored.count(name) in wanted, f"{name} was told {word}"


@pytest.mark.parametrize(
    ("faults", "stored"),
    [
        (Faults(seed=1, lost_ack=1.0), True),
        (Faults(seed=1, lost_append=1.0), False),
        (Faults(seed=1, late_append=1.0, lateness=0.01), True),
    ],
)
async def test_the_fake_leaves_an_append_uncertain(faults: Faults, stored: bool) -> None:
    server = MemoryServer()
    with pytest.raises(Uncertain):
        await MemoryLog(server, faults).append([draft(note="meanwhile")])

    log: EventLog = MemoryLog(server)
    if stored:
        await until("stored in the end", lambda: server.journal.last == 1)
    assert notes(await everything(log)) == (["meanwhile"] if stored else [])
