"""Catch-up subscriptions on the in-memory log, with every fault that it can inject."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime

import pytest

from tapewire.events import CODEC, AgentState, AgentStatusChanged
from tapewire.log import (
    EventDraft,
    EventMetadata,
    EventSubject,
    LogError,
    RecordedEvent,
    Unavailable,
    new_id,
)
from tapewire.log.catch_up_subscription import (
    MAX_CHECKPOINT_AGE_SECONDS,
    MIN_CHECKPOINT_EVENTS,
    CatchUpSubscription,
    EventConsumer,
)
from tapewire.log.memory import Faults, MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.ports import CATCH_UP_PAGE_EVENTS
from tests.harness import waiting

pytestmark = pytest.mark.virtual_time

FILTER = "ev.*.system.>"
EVENTS_OVER_ONE_PAGE = CATCH_UP_PAGE_EVENTS + 44
"""More events than fit into one page."""
EVENT_TIME = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


class RecordingConsumer(EventConsumer):
    """A consumer whose state is the list of handled sequences, which shows duplicates."""

    def __init__(self, fail: Callable[[], None] = lambda: None) -> None:
        self.sequences: list[int] = []
        self.sequences_when_caught_up: int | None = None
        self.restored = 0
        self._fail = fail

    def restore_state(self, state: bytes) -> None:
        self.sequences = CODEC.decode(state, list[int])
        self.restored = len(self.sequences)

    def serialize_state(self) -> bytes:
        return CODEC.encode(self.sequences)

    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        self._fail()
        self.sequences += [recorded.sequence for recorded in events]

    async def on_caught_up(self) -> None:
        assert self.sequences_when_caught_up is None
        self.sequences_when_caught_up = len(self.sequences)


async def append(log: MemoryEventLog, number: int) -> None:
    event = AgentStatusChanged(
        service="test",
        instance=str(number),
        state=AgentState.RUNNING,
        detail=None,
        timestamp=EVENT_TIME,
    )
    draft = EventDraft(
        subject=EventSubject(f"u{number % 3}", "system", "test"),
        event=event,
        metadata=EventMetadata(id=new_id(), correlation="c"),
    )
    while True:
        try:
            await log.append([draft])
        except LogError:
            await asyncio.sleep(0.2)
        else:
            return


def subscribe(
    server: MemoryServer,
    make_consumer: Callable[[], EventConsumer],
    faults: Faults | None = None,
    seed: int = 1,
) -> CatchUpSubscription[EventConsumer]:
    return CatchUpSubscription(
        MemoryEventLog(server, faults),
        MemoryLatestValueStore(server, faults=faults),
        name="sums",
        filter_=FILTER,
        make_consumer=make_consumer,
        rng=random.Random(seed),
    )


@contextlib.asynccontextmanager
async def start_subscription(
    server: MemoryServer, consumer: RecordingConsumer, faults: Faults | None = None, seed: int = 1
) -> AsyncIterator[asyncio.Task[None]]:
    made = iter([consumer])
    task = asyncio.create_task(subscribe(server, lambda: next(made), faults, seed).run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until(condition: Callable[[], bool]) -> None:
    await waiting.wait_until("the consumer has handled the events", condition, timeout_seconds=600)


async def test_stored_events_are_handled_before_new_ones() -> None:
    server, sums = MemoryServer(), RecordingConsumer()
    writer = MemoryEventLog(server)
    for number in range(EVENTS_OVER_ONE_PAGE):
        await append(writer, number)
    async with start_subscription(server, sums):
        await until(lambda: sums.sequences_when_caught_up is not None)
        assert sums.sequences_when_caught_up == EVENTS_OVER_ONE_PAGE
        await append(writer, EVENTS_OVER_ONE_PAGE)
        await until(lambda: len(sums.sequences) == EVENTS_OVER_ONE_PAGE + 1)
    assert sums.sequences == list(range(1, EVENTS_OVER_ONE_PAGE + 2))


async def test_last_handled_sequence_is_known_after_catching_up() -> None:
    server = MemoryServer()
    writer, handled_sequences = MemoryEventLog(server), list[int | None]()
    for number in range(EVENTS_OVER_ONE_PAGE):
        await append(writer, number)
    subscription = subscribe(
        server,
        lambda: RecordingConsumer(
            lambda: handled_sequences.append(subscription.last_handled_sequence)
        ),
    )
    task = asyncio.create_task(subscription.run())
    await until(lambda: subscription.last_handled_sequence == EVENTS_OVER_ONE_PAGE)
    await append(writer, EVENTS_OVER_ONE_PAGE)
    await until(lambda: subscription.last_handled_sequence == EVENTS_OVER_ONE_PAGE + 1)
    assert handled_sequences == [None, None, EVENTS_OVER_ONE_PAGE]
    task.cancel()
    await asyncio.wait({task})
    assert subscription.last_handled_sequence is None, (
        "the position of a stopped subscription is unknown"
    )


async def test_consumer_is_available_only_while_it_is_caught_up() -> None:
    server = MemoryServer()
    await append(MemoryEventLog(server), 0)
    available = list[bool]()

    def is_available() -> bool:
        try:
            return subscription.consumer is consumer
        except Unavailable:
            return False

    consumer = RecordingConsumer(lambda: available.append(is_available()))
    subscription = subscribe(server, lambda: consumer)
    assert not is_available(), "not started"
    task = asyncio.create_task(subscription.run())
    await until(is_available)
    assert available == [False], "while it handles stored events"
    task.cancel()
    await asyncio.wait({task})
    assert not is_available(), "another process may run it now"


async def test_a_new_subscription_starts_at_the_checkpoint() -> None:
    server, first, second = MemoryServer(), RecordingConsumer(), RecordingConsumer()
    writer = MemoryEventLog(server)
    for number in range(MIN_CHECKPOINT_EVENTS):
        await append(writer, number)
    async with start_subscription(server, first):
        await until(lambda: len(first.sequences) == MIN_CHECKPOINT_EVENTS)
        await asyncio.sleep(5)
    await append(writer, 1)
    async with start_subscription(server, second):
        await until(lambda: len(second.sequences) == MIN_CHECKPOINT_EVENTS + 1)
    assert second.restored == MIN_CHECKPOINT_EVENTS


async def test_a_few_events_are_checkpointed_too_but_later() -> None:
    """Otherwise a subscription of rare events would hold up every archive."""
    server, first, second = MemoryServer(), RecordingConsumer(), RecordingConsumer()
    writer = MemoryEventLog(server)
    await append(writer, 0)
    async with start_subscription(server, first):
        await until(lambda: len(first.sequences) == 1)
        await asyncio.sleep(2 * MAX_CHECKPOINT_AGE_SECONDS)
    async with start_subscription(server, second):
        await append(writer, 1)
        await until(lambda: second.sequences == [1, 2])
    assert second.restored == 1


async def test_a_page_whose_handling_failed_is_retried() -> None:
    failures = [Unavailable("not now"), Unavailable("nor now")]

    def stumble() -> None:
        if failures:
            raise failures.pop()

    server, sums = MemoryServer(), RecordingConsumer(stumble)
    await append(MemoryEventLog(server), 0)
    async with start_subscription(server, sums):
        await until(lambda: sums.sequences == [1])


async def test_an_unexpected_error_of_the_consumer_ends_the_subscription() -> None:
    def stumble() -> None:
        raise ZeroDivisionError

    server = MemoryServer()
    await append(MemoryEventLog(server), 0)
    async with start_subscription(server, RecordingConsumer(stumble)) as task:
        with pytest.raises(ExceptionGroup) as raised:
            await task
    assert raised.group_contains(ZeroDivisionError)


async def test_a_recreated_log_is_handled_by_a_new_consumer() -> None:
    server, consumers = MemoryServer(), [RecordingConsumer()]
    writer = MemoryEventLog(server)

    def make() -> RecordingConsumer:
        consumers.append(RecordingConsumer())
        return consumers[-1]

    task = asyncio.create_task(subscribe(server, make).run())
    for number in range(5):
        await append(writer, number)
    await until(lambda: consumers[-1].sequences == [1, 2, 3, 4, 5])
    server.recreate()
    await append(writer, 0)
    await until(lambda: consumers[-1].sequences == [1])
    assert len(consumers) == 3
    task.cancel()


class BackgroundConsumer(RecordingConsumer):
    """A consumer that records whether its background work runs."""

    is_running = False

    async def run(self) -> None:
        self.is_running = True
        try:
            await asyncio.Event().wait()
        finally:
            self.is_running = False


async def test_background_work_runs_as_long_as_its_consumer() -> None:
    server, consumers = MemoryServer(), list[BackgroundConsumer]()
    writer = MemoryEventLog(server)

    def make() -> BackgroundConsumer:
        consumers.append(BackgroundConsumer())
        return consumers[-1]

    task = asyncio.create_task(subscribe(server, make).run())
    for number in range(2):
        await append(writer, number)
    await until(lambda: consumers[-1].sequences == [1, 2])
    assert consumers[0].is_running
    server.recreate()
    await append(writer, 0)
    await until(lambda: len(consumers) == 2 and consumers[1].sequences == [1])
    assert (consumers[0].is_running, consumers[1].is_running) == (False, True)
    task.cancel()
    await asyncio.wait({task})
    assert not consumers[1].is_running


async def test_a_large_state_is_checkpointed_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state whose size uses 100 s of the write budget is saved once in that time."""
    monkeypatch.setattr("tapewire.log.catch_up_subscription.CHECKPOINT_BYTES_PER_SECOND", 2)
    server, sums = MemoryServer(), RecordingConsumer()
    writer, saved_lengths = MemoryEventLog(server), list[int]()
    serialize = sums.serialize_state

    def record() -> bytes:
        saved_lengths.append(len(sums.sequences))
        return serialize()

    monkeypatch.setattr(sums, "serialize_state", record)
    async with start_subscription(server, sums):
        for number in range(3 * MIN_CHECKPOINT_EVENTS):
            await append(writer, number)
            await asyncio.sleep(0.1)
        await until(lambda: len(sums.sequences) == 3 * MIN_CHECKPOINT_EVENTS)
        await asyncio.sleep(10)
        assert len(saved_lengths) == 1
        await asyncio.sleep(200)
        assert len(saved_lengths) == 2


@pytest.mark.parametrize("seed", range(20))
async def test_through_random_faults_every_event_is_handled_once_and_in_order(seed: int) -> None:
    server, sums = MemoryServer(), RecordingConsumer()
    writer = MemoryEventLog(server, Faults.rough(seed))
    async with start_subscription(server, sums, Faults.rough(seed + 1000), seed):
        for number in range(200):
            await append(writer, number)
        last = await MemoryEventLog(server).last_sequence(FILTER)
        await until(lambda: bool(sums.sequences) and sums.sequences[-1] == last)
    assert sums.sequences == list(range(1, last + 1))
