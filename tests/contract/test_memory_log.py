"""The faults of the in-memory log, which go beyond the contract.

The faults are those of a real server, and are decided by a seed. Tests of code that uses the log
can therefore meet all of them, and can be repeated.
"""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from tapewire.log import AlreadyStored, LogError, RecordedEvent
from tapewire.log.memory import Faults, MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.memory.journal import DUPLICATE_WINDOW_SECONDS
from tests.harness import virtual_time
from tests.harness.event_factories import make_draft, note_of, notes_of, sequences_of
from tests.harness.recorded_log import read_events

pytestmark = pytest.mark.virtual_time

START_TIME = datetime(2026, 3, 2, tzinfo=UTC)


class LiveRecorder:
    """Records the sequences and gaps that a reader receives, in order."""

    def __init__(self) -> None:
        self.received: list[int | str] = []

    def on_event(self, recorded: RecordedEvent) -> None:
        self.received.append(recorded.sequence)

    def on_gap(self, reason: str) -> None:
        self.received.append(reason.split()[0])

    @property
    def sequences(self) -> list[int]:
        return [one for one in self.received if isinstance(one, int)]


async def run_live_reader(
    faults: Faults, events: int = 200
) -> tuple[list[int | str], list[str], int]:
    """Run a live reader that also appends, under `faults`.

    Returns what it received, the names of its errors, and the last sequence of the log.
    """
    server = MemoryServer()
    recorder = LiveRecorder()
    reader, writer = MemoryEventLog(server, faults), MemoryEventLog(server)
    while True:
        try:
            await reader.subscribe("ev.>", recorder.on_event, recorder.on_gap)
            await reader.last_sequence("ev.>")
            break
        except LogError:
            await asyncio.sleep(0.1)
    errors: list[str] = []
    for number in range(events):
        await asyncio.sleep(0.01)
        try:
            await reader.append([make_draft("alice/orders/1", str(number))])
        except LogError as error:
            errors.append(type(error).__name__)
            await asyncio.sleep(0.2)
    await asyncio.sleep(30)
    return recorder.received, errors, await writer.last_sequence("ev.>")


def record_live_reader(faults: Faults) -> LiveRecorder:
    recorder = LiveRecorder()
    recorder.received, _, _ = virtual_time.run(run_live_reader(faults))
    return recorder


@pytest.mark.parametrize("seed", range(5))
def test_equal_seeds_give_equal_runs(seed: int) -> None:
    assert virtual_time.run(run_live_reader(Faults.rough(seed))) == virtual_time.run(
        run_live_reader(Faults.rough(seed))
    )


def test_different_seeds_give_different_runs() -> None:
    assert virtual_time.run(run_live_reader(Faults.rough(1))) != virtual_time.run(
        run_live_reader(Faults.rough(2))
    )


def test_without_faults_all_live_messages_arrive_in_order() -> None:
    assert record_live_reader(Faults(seed=1)).received == list(range(1, 201))


def test_delayed_messages_stay_in_order() -> None:
    assert record_live_reader(Faults(seed=1, max_delay_seconds=0.5)).sequences == list(
        range(1, 201)
    )


def test_lost_messages_are_not_reported() -> None:
    recorder = record_live_reader(Faults(seed=1, lost_message_rate=0.1))
    assert recorder.sequences == recorder.received == sorted(recorder.sequences)
    assert 150 < len(recorder.sequences) < 200


def test_a_gap_is_reported_before_any_later_message() -> None:
    recorder = record_live_reader(Faults(seed=1, gap_rate=0.1, max_delay_seconds=0.3))
    expected = 1
    gap = False
    for one in recorder.received:
        if isinstance(one, str):
            gap = True
            continue
        assert one == expected or gap, f"{one} after a loss without a gap report"
        expected, gap = one + 1, False
    assert 150 < len(recorder.sequences) < 200


def test_late_messages_arrive_out_of_order_and_none_is_missing() -> None:
    recorder = record_live_reader(Faults(seed=1, late_message_rate=0.1))
    assert recorder.sequences != sorted(recorder.sequences)
    assert sorted(recorder.sequences) == list(range(1, 201))


def test_duplicate_messages_arrive_after_later_messages() -> None:
    recorder = record_live_reader(Faults(seed=1, duplicate_message_rate=0.1))
    again = [one for one, times in Counter(recorder.sequences).items() if times > 1]
    assert 5 < len(again) < 50
    assert sorted(set(recorder.sequences)) == list(range(1, 201))
    assert recorder.sequences != sorted(recorder.sequences)


def test_a_broken_connection_reports_a_gap_after_it_reconnects() -> None:
    received, errors, _ = virtual_time.run(
        run_live_reader(Faults(seed=1, disconnect_rate=0.05, max_outage_seconds=0.5))
    )
    assert "reconnected" in received
    assert set(errors) <= {"Unavailable", "OutcomeUnknown"}
    assert errors


async def test_an_outage_affects_all_connections() -> None:
    server = MemoryServer()
    one, other = LiveRecorder(), LiveRecorder()
    log, bystander = (
        MemoryEventLog(server, Faults(seed=1, outage_rate=1.0)),
        MemoryEventLog(server),
    )
    await log.subscribe("ev.>", one.on_event, one.on_gap)
    await bystander.subscribe("ev.>", other.on_event, other.on_gap)
    with pytest.raises(LogError):
        await log.append([make_draft()])
    with pytest.raises(LogError):
        await bystander.last_sequence("ev.>")
    await asyncio.sleep(2)
    assert await bystander.last_sequence("ev.>") == 0
    assert [*map(str, one.received), *map(str, other.received)] == ["reconnected", "reconnected"]


async def test_a_stale_replica_returns_fewer_events_than_the_leader() -> None:
    server = MemoryServer()
    for number in range(50):
        await MemoryEventLog(server).append([make_draft(note=str(number))])
    log = MemoryEventLog(server, Faults(seed=1, stale_read_rate=0.5))
    assert await log.last_sequence("ev.>") == 50, "the leader never lags"
    ends = {len((await log.page("ev.>", after=0)).events) for _ in range(50)}
    assert max(ends) == 50
    assert 34 <= min(ends) < 50


async def test_duplicate_ids_are_detected_for_two_minutes() -> None:
    log = MemoryEventLog(MemoryServer())
    await log.append([make_draft(event_id="e-1")])
    await asyncio.sleep(DUPLICATE_WINDOW_SECONDS - 1)
    with pytest.raises(AlreadyStored):
        await log.append([make_draft(event_id="e-1")])
    await asyncio.sleep(2)
    assert await log.append([make_draft(event_id="e-1")]) == 2


async def test_events_have_the_time_of_the_given_clock() -> None:
    clock = asyncio.get_running_loop().time
    log = MemoryEventLog(MemoryServer(now=lambda: START_TIME + timedelta(seconds=clock())))
    await asyncio.sleep(60)
    await log.append([make_draft()])
    [recorded] = await read_events(log)
    assert recorded.time == START_TIME + timedelta(seconds=60)


async def test_an_event_is_redelivered_when_its_acknowledgement_is_lost() -> None:
    server = MemoryServer(ack_wait_seconds=1.0)
    handled: Counter[str] = Counter()

    async def handle(recorded: RecordedEvent) -> None:
        handled[note_of(recorded)] += 1

    log = MemoryEventLog(server, Faults(seed=1, redelivery_rate=0.3))
    await log.subscribe_durable("positions", "ev.>", handle)
    for number in range(50):
        await log.append([make_draft(note=str(number))])
    await asyncio.sleep(60)
    assert len(handled) == 50
    assert 10 < sum(handled.values()) - 50 < 50


@pytest.mark.parametrize("in_order", [False, True])
async def test_a_lagging_replica_loses_no_failed_event(in_order: bool) -> None:
    """A failed event is read again, maybe from a replica that does not have it yet."""
    failed_before: set[str] = set()
    handled: set[str] = set()

    async def handle(recorded: RecordedEvent) -> None:
        note = note_of(recorded)
        if note not in failed_before:
            failed_before.add(note)
            raise RuntimeError(note)
        handled.add(note)

    log = MemoryEventLog(MemoryServer(), Faults(seed=1, stale_read_rate=0.5))
    await log.subscribe_durable("positions", "ev.>", handle, in_order=in_order)
    for number in range(20):
        await log.append([make_draft(f"alice/orders/{number}", str(number))])
    await asyncio.sleep(600)
    assert handled == {str(number) for number in range(20)}


async def test_the_pending_event_of_a_killed_process_is_redelivered_after_the_ack_wait() -> None:
    server = MemoryServer(ack_wait_seconds=30.0)
    handled: list[str] = []

    async def hang(_: RecordedEvent) -> None:
        await asyncio.Event().wait()

    async def handle(recorded: RecordedEvent) -> None:
        handled.append(note_of(recorded))

    first = MemoryEventLog(server)
    await first.subscribe_durable("positions", "ev.>", hang)
    await first.append([make_draft(note="a")])
    await asyncio.sleep(1)
    first.kill()
    await MemoryEventLog(server).subscribe_durable("positions", "ev.>", handle)
    await asyncio.sleep(28)
    assert handled == []
    await asyncio.sleep(3)
    assert handled == ["a"]


async def test_a_killed_process_receives_nothing_and_cannot_append() -> None:
    server, recorder = MemoryServer(), LiveRecorder()
    log = MemoryEventLog(server)
    await log.subscribe("ev.>", recorder.on_event, recorder.on_gap)
    log.kill()
    await MemoryEventLog(server).append([make_draft()])
    await asyncio.sleep(1)
    assert recorder.received == []
    with pytest.raises(LogError):
        await log.append([make_draft()])


async def test_disable_ends_all_faults() -> None:
    server, faults = MemoryServer(), Faults.rough(3)
    log = MemoryEventLog(server, faults)
    faults.disable()
    for number in range(300):
        await log.append([make_draft(note=str(number))])
    assert notes_of(await read_events(log)) == [str(number) for number in range(300)]
    assert sequences_of(await read_events(log)) == list(range(1, 301))


async def test_unacknowledged_values_may_be_lost_and_reads_may_be_stale() -> None:
    server = MemoryServer()
    values = MemoryLatestValueStore(server, Faults(seed=1, lost_append_rate=0.2))
    for number in range(100):
        await values.put_unacknowledged(f"S{number}", b"")
    stored = len(await values.get_all())
    await MemoryLatestValueStore(server).put("IBM", b"1")
    await MemoryLatestValueStore(server).put("IBM", b"2")
    lagging = MemoryLatestValueStore(server, Faults(seed=1, stale_read_rate=0.5))
    seen = {await lagging.get("IBM") for _ in range(20)}
    assert 60 < stored < 100
    assert seen == {b"1", b"2"}
