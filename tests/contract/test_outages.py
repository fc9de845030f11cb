"""A server that is down, crashed or frozen: which errors are raised, and what they guarantee."""

import asyncio

import pytest

from tapewire.log import EventLog, LogError, OutcomeUnknown, Unavailable
from tapewire.log.jetstream.connection import REQUEST_TIMEOUT_SECONDS
from tapewire.log.memory import Faults, MemoryEventLog, MemoryServer
from tests.contract.backends import Backend, JetStreamBackend
from tests.contract.test_subscribe import EventCollector
from tests.contract.test_subscribe_durable import RecordingHandler
from tests.harness.event_factories import make_draft, note_of, notes_of
from tests.harness.recorded_log import read_events
from tests.harness.waiting import wait_until


async def test_all_calls_fail_at_once_without_a_server(backend: Backend) -> None:
    log, values = await backend.event_log(), await backend.value_store()
    await log.append([make_draft(note="before")])

    # All of these calls together take less time than the timeout of one request.
    async with backend.server_down(), asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
        for call in (
            lambda: log.append([make_draft(note="meanwhile")]),
            lambda: log.append([make_draft(note="meanwhile"), make_draft("bob/orders/1")]),
            lambda: log.page("ev.>", after=0),
            lambda: log.last_sequence("ev.>"),
            lambda: log.bounds(),
            lambda: values.put("IBM", b"1"),
            lambda: values.get("IBM"),
            lambda: values.get_all(),
        ):
            with pytest.raises(Unavailable):
                await call()

    assert notes_of(await read_events(log)) == ["before"]
    await log.append([make_draft(note="after")])
    assert notes_of(await read_events(log)) == ["before", "after"]


async def test_acknowledged_events_survive_a_server_crash(backend: Backend) -> None:
    log = await backend.event_log()
    before = await log.bounds()
    for number in range(100):
        await log.append([make_draft(f"alice/orders/{number}", str(number))])

    async with backend.server_down():
        pass

    assert notes_of(await read_events(log)) == [str(number) for number in range(100)]
    after = await log.bounds()
    assert (after.epoch, after.last) == (before.epoch, 100)
    assert await log.append([make_draft("alice/orders/1", expected_sequence=2)]) == 101


async def test_a_live_reader_gets_the_gap_before_later_events(backend: Backend) -> None:
    writer, reader = await backend.event_log(), await backend.event_log()
    callbacks: list[str] = []
    await reader.subscribe(
        "ev.>", lambda one: callbacks.append(note_of(one)), lambda _: callbacks.append("gap")
    )
    await reader.last_sequence("ev.>")
    await writer.append([make_draft(note="before")])
    await wait_until(
        "the first event is received",
        lambda: callbacks == ["before"],
        describe_last=lambda: callbacks,
    )

    async with backend.server_down():
        pass
    await reader.last_sequence("ev.>")
    await writer.append([make_draft(note="after")])

    await wait_until(
        "the last event is received", lambda: "after" in callbacks, describe_last=lambda: callbacks
    )
    assert callbacks.index("before") < callbacks.index("gap") < callbacks.index("after")
    assert [one for one in callbacks if one != "gap"] == ["before", "after"]


async def test_a_durable_subscription_continues_after_a_server_crash(backend: Backend) -> None:
    log, worker = await backend.event_log(), RecordingHandler()
    subscription = await log.subscribe_durable("positions", "ev.>", worker.handle)
    await log.append([make_draft(note="before")])
    await worker.wait_completed("before")

    async with backend.server_down():
        pass
    await log.append([make_draft(note="after")])

    await worker.wait_completed("after")
    await subscription.close()


async def test_values_can_be_put_again_after_a_server_crash(jetstream: JetStreamBackend) -> None:
    """Quotes are stored in memory. After a restart the server has neither the quotes nor their
    stream, until the stream is provisioned again."""
    values = await jetstream.value_store()
    await values.put("IBM", b"1")

    async with jetstream.server_down():
        pass
    await jetstream.provision()

    await values.put("IBM", b"2")
    assert await values.get_all() == {"IBM": b"2"}


async def test_the_outcome_of_an_append_to_a_frozen_server_is_unknown(
    jetstream: JetStreamBackend,
) -> None:
    """The server may store a received event after the request timed out, as in this test."""
    log, collector = await jetstream.event_log(), EventCollector()
    await log.subscribe("ev.>", collector.on_event, collector.on_gap)
    await log.append([make_draft(note="before")])

    async with jetstream.server_frozen():
        appending = asyncio.create_task(log.append([make_draft(note="meanwhile", event_id="e-1")]))
        reading = asyncio.create_task(log.last_sequence("ev.>"))
        with pytest.raises(OutcomeUnknown):
            await appending
        with pytest.raises(Unavailable):
            await reading

    assert notes_of(await collector.wait_for(2)) == ["before", "meanwhile"]
    assert notes_of(await read_events(log)) == ["before", "meanwhile"]


async def test_pending_appends_at_a_server_crash_are_stored_or_reported_as_failed(
    backend: Backend,
) -> None:
    log = await backend.event_log()
    outcomes: dict[str, str] = {}

    async def append(name: str) -> None:
        try:
            await log.append(
                [make_draft(f"alice/orders/{name}", name), make_draft(f"alice/x/{name}", name)]
            )
        except LogError as error:
            outcomes[name] = type(error).__name__
        else:
            outcomes[name] = "stored"

    before = [asyncio.create_task(append(str(number))) for number in range(50)]
    await wait_until("some appends have an outcome", lambda: len(outcomes) > 10)
    tasks = [*before, *(asyncio.create_task(append(str(number))) for number in range(50, 200))]
    await asyncio.sleep(0)  # all appends are sent, and no reply is read before the crash
    async with backend.server_down():
        await asyncio.gather(*tasks)

    stored = notes_of(await read_events(log))
    assert set(outcomes.values()) <= {"stored", "OutcomeUnknown", "Unavailable"}
    for name, outcome in outcomes.items():
        wanted = {"stored": {2}, "Unavailable": {0}, "OutcomeUnknown": {0, 2}}[outcome]
        assert stored.count(name) in wanted, f"{name} was reported as {outcome}"


@pytest.mark.parametrize(
    ("faults", "stored"),
    [
        (Faults(seed=1, lost_ack_rate=1.0), True),
        (Faults(seed=1, lost_append_rate=1.0), False),
        (Faults(seed=1, late_append_rate=1.0, max_late_seconds=0.01), True),
    ],
)
async def test_the_memory_log_simulates_appends_of_unknown_outcome(
    faults: Faults, stored: bool
) -> None:
    server = MemoryServer()
    with pytest.raises(OutcomeUnknown):
        await MemoryEventLog(server, faults).append([make_draft(note="meanwhile")])

    log: EventLog = MemoryEventLog(server)
    if stored:
        await wait_until("the event is stored", lambda: server.journal.last == 1)
    assert notes_of(await read_events(log)) == (["meanwhile"] if stored else [])
