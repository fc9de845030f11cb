"""The log tail passes on every event once and in order, whatever messages are lost or late."""

import asyncio
from collections.abc import Callable
from typing import Self

import msgspec
import pytest

from tapewire.log import (
    EventDraft,
    EventMetadata,
    EventSubject,
    LogError,
    RecordedEvent,
    Subscription,
    new_id,
)
from tapewire.log.erasures import make_erasure
from tapewire.log.memory import Faults, MemoryEventLog, MemoryServer
from tapewire_services.edge.ingest import log_tail as module
from tapewire_services.edge.ingest import tail_buffer
from tapewire_services.edge.ingest.log_tail import LogTail
from tests.harness.erasures import ERASED_AT
from tests.harness.publishers import order_placed
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.virtual_time

PATIENT_SECONDS = 60.0


class LogTailHarness:
    """A server, a writer without faults, and a log tail whose connection has `faults`."""

    def __init__(
        self, faults: Faults | None = None, log: type[MemoryEventLog] = MemoryEventLog
    ) -> None:
        self.server = MemoryServer()
        self.writer = MemoryEventLog(self.server)
        self.log = log(self.server, faults)
        self.received: list[RecordedEvent] = []
        self.restarts: list[tuple[str, int]] = []
        self.log_tail = LogTail(self.log, seed=1)
        self.log_tail.subscribe(self.received.append)
        self.log_tail.subscribe_recreated(self.restart)

    def restart(self) -> None:
        self.restarts.append((self.log_tail.epoch, self.log_tail.last_sequence))
        self.received.clear()

    async def __aenter__(self) -> Self:
        self.running = asyncio.create_task(self.log_tail.run())
        await self.log_tail.ready.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.running.cancel()
        await asyncio.wait({self.running})

    async def append(self, count: int = 1, owner: str = "alice") -> None:
        for _ in range(count):
            event = order_placed(new_id())
            subject = EventSubject(owner, "orders", event.order.order_id)
            meta = EventMetadata(id=new_id(), correlation="c")
            await self.writer.append([EventDraft(subject=subject, event=event, metadata=meta)])
            await asyncio.sleep(0.001)

    async def caught_up(self) -> None:
        await wait_until(
            "the log tail is at the end of the log",
            lambda: self.log_tail.last_sequence >= self.server.journal.last,
            describe_last=lambda: self.log_tail.last_sequence,
            timeout_seconds=PATIENT_SECONDS,
        )

    @property
    def sequences(self) -> list[int]:
        return [recorded.sequence for recorded in self.received]


async def test_the_log_tail_starts_at_the_end_with_an_empty_buffer() -> None:
    following = LogTailHarness()
    await following.append(5)
    async with following:
        assert following.log_tail.last_sequence == 5
        assert following.restarts == [("m1", 5)]
        assert following.log_tail.covers(5)
        assert not following.log_tail.covers(4)


async def test_received_events_are_buffered_by_owner() -> None:
    async with LogTailHarness() as following:
        for owner in ("alice", "bob", "alice"):
            await following.append(owner=owner)
        await following.caught_up()
        assert following.sequences == [1, 2, 3]
        log_tail = following.log_tail
        assert [r.sequence for r in log_tail.events_after(("alice",), 0)] == [1, 3]
        assert [r.sequence for r in log_tail.events_after(("alice",), 1)] == [3]
        assert log_tail.events_after(("nobody",), 0) == []


async def test_the_buffer_is_bounded_in_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_buffer, "MAX_BUFFERED_EVENTS", 10)

    async with LogTailHarness() as following:
        await following.append(25)
        await following.append(5, owner="bob")
        await following.caught_up()
        log_tail = following.log_tail
        assert [r.sequence for r in log_tail.events_after(("alice",), 0)] == [21, 22, 23, 24, 25]
        assert log_tail.covers(20)
        assert not log_tail.covers(19)
        await following.append(10, owner="bob")
        await following.caught_up()
        assert log_tail.events_after(("alice",), 0) == []


async def test_the_buffer_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_buffer, "MAX_BUFFERED_BYTES", 2000)

    async with LogTailHarness() as following:
        await following.append(50)
        await following.caught_up()
        buffered = following.log_tail.events_after(("alice",), 0)
        assert 0 < sum(len(recorded.data) for recorded in buffered) <= 2000
        assert following.log_tail.covers(buffered[0].sequence - 1)
        assert not following.log_tail.covers(buffered[0].sequence - 2)


async def test_the_buffer_has_no_event_of_an_erased_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_buffer, "MAX_BUFFERED_EVENTS", 10)

    async with LogTailHarness() as following:
        for owner in ("alice", "bob", "alice", "bob", "alice"):
            await following.append(2, owner=owner)
        await following.caught_up()
        log_tail = following.log_tail
        for _ in range(2):
            log_tail.forget_user(make_erasure("e", "alice", ERASED_AT))
        assert log_tail.events_after(("alice",), 0) == []
        assert [r.sequence for r in log_tail.events_after(("alice", "bob"), 3)] == [4, 7, 8]
        assert log_tail.covers(0)

        await following.append(3)
        await following.append(5, owner="bob")
        await following.caught_up()
        assert [r.sequence for r in log_tail.events_after(("alice",), 0)] == [11, 12, 13]
        assert (log_tail.covers(4), log_tail.covers(3)) == (True, False)
        await following.append(20, owner="bob")
        await following.caught_up()
        assert log_tail.events_after(("alice",), 0) == []


@pytest.mark.parametrize(
    "faults",
    [
        {"lost_message_rate": 0.2},
        {"gap_rate": 0.2},
        {"late_message_rate": 0.3},
        {"duplicate_message_rate": 0.3},
        {"max_delay_seconds": 0.1},
        {"stale_read_rate": 0.5, "lost_message_rate": 0.2},
        {"unavailable_rate": 0.3, "lost_message_rate": 0.2},
        {"disconnect_rate": 0.2, "lost_message_rate": 0.1},
        {"lost_message_rate": 1.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", range(5))
async def test_every_event_is_passed_on_once_in_order_under_faults(
    faults: dict[str, float], seed: int
) -> None:
    async with LogTailHarness(msgspec.structs.replace(Faults(seed=seed), **faults)) as following:
        await following.append(300)
        await following.caught_up()
        assert following.sequences == list(range(1, 301))
        assert len(following.restarts) == 1


async def test_a_lost_last_message_is_found_by_the_next_poll() -> None:
    async with LogTailHarness(Faults(seed=1, lost_message_rate=1.0)) as following:
        began = asyncio.get_running_loop().time()
        await following.append()
        await following.caught_up()
        assert asyncio.get_running_loop().time() - began < 2 * module.POLL_INTERVAL_SECONDS
        assert following.log_tail.repair_count == 1


class LossyEventLog(MemoryEventLog):
    """A log that loses the live message of sequence 2."""

    async def subscribe(
        self,
        filter: str,  # noqa: A002
        on_event: Callable[[RecordedEvent], None],
        on_gap: Callable[[str], None],
    ) -> Subscription:
        def forward(recorded: RecordedEvent) -> None:
            if recorded.sequence != 2:
                on_event(recorded)

        return await super().subscribe(filter, forward, on_gap)


async def test_events_after_a_gap_are_held_until_the_gap_is_repaired() -> None:
    """The log tail starts the repair as soon as it detects the gap."""
    async with LogTailHarness(log=LossyEventLog) as following:
        await following.append(4)
        assert following.sequences == [1]
        began = asyncio.get_running_loop().time()
        await following.caught_up()
        assert asyncio.get_running_loop().time() - began < 0.2
        assert following.sequences == [1, 2, 3, 4]
        assert following.log_tail.repair_count == 1


async def test_a_recreated_log_is_followed_from_its_start() -> None:
    async with LogTailHarness() as following:
        await following.append(5)
        await following.caught_up()
        following.server.recreate()
        await wait_until(
            "the log tail follows the new log",
            lambda: following.log_tail.epoch == "m2",
            timeout_seconds=PATIENT_SECONDS,
        )
        assert (
            following.log_tail.last_sequence,
            following.log_tail.events_after(("alice",), 0),
        ) == (
            0,
            [],
        )
        await following.append(2)
        await following.caught_up()
        assert following.sequences == [1, 2]
        assert following.restarts == [("m1", 0), ("m2", 0)]


async def test_trimming_updates_the_bounds_and_keeps_the_buffer() -> None:
    async with LogTailHarness() as following:
        await following.append(10)
        await following.caught_up()
        following.server.trim(6)
        await wait_until(
            "the log tail detects the trimming",
            lambda: following.log_tail.bounds.first == 7,
            timeout_seconds=PATIENT_SECONDS,
        )
        assert following.log_tail.bounds.last == 10
        assert len(following.log_tail.events_after(("alice",), 0)) == 10


async def test_the_log_tail_is_not_ready_during_an_outage_and_recovers() -> None:
    async with LogTailHarness() as following:
        await following.append()
        await following.caught_up()
        following.server.stop()
        await wait_until(
            "the log tail detects the outage",
            lambda: not following.log_tail.ready.is_set(),
            timeout_seconds=PATIENT_SECONDS,
        )
        with pytest.raises(LogError):
            await following.append()
        following.server.start()
        await following.log_tail.ready.wait()
        await following.append(3)
        await following.caught_up()
        assert following.sequences == [1, 2, 3, 4]


async def test_the_log_tail_waits_for_a_server_that_has_not_started() -> None:
    following = LogTailHarness()
    following.server.stop()
    running = asyncio.create_task(following.log_tail.run())
    await asyncio.sleep(5)
    assert not following.log_tail.ready.is_set()
    following.server.start()
    await asyncio.wait_for(following.log_tail.ready.wait(), PATIENT_SECONDS)
    running.cancel()
    await asyncio.wait({running})
