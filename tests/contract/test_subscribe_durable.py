"""Durable subscriptions: every event is handled at least once, by one of the processes that
subscribe with the same name."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial

import msgspec
import pytest

from tapewire.log import Conflict, EventLog, RecordedEvent, Subscription, failed_events
from tapewire.log.failed_event_store import (
    FailedEvent,
    FailedEventChanges,
    FailedEventStore,
    StoredFailedEvent,
    StorePosition,
    retry_parked,
)
from tapewire.log.failed_events import RetryingHandler
from tests.contract.backends import Backend
from tests.harness.event_factories import make_draft, note_of
from tests.harness.waiting import wait_until, wait_until_async


class RecordingHandler:
    """Counts how often the handling of each event was started and completed."""

    def __init__(self) -> None:
        self.started: Counter[str] = Counter()
        self.completed: Counter[str] = Counter()
        self.failures_left: dict[str, int] = {}
        """The number of remaining failures, by note."""

    async def handle(self, recorded: RecordedEvent) -> None:
        self.started[note_of(recorded)] += 1
        await asyncio.sleep(0)
        if self.failures_left.get(note_of(recorded), 0) > 0:
            self.failures_left[note_of(recorded)] -= 1
            raise RuntimeError(f"not now: {note_of(recorded)}")
        self.completed[note_of(recorded)] += 1

    async def wait_completed(self, *wanted: str) -> None:
        await wait_until(
            f"handled: {wanted}",
            lambda: all(self.completed[one] for one in wanted),
            describe_last=lambda: dict(self.completed),
        )


@pytest.fixture
def worker() -> RecordingHandler:
    return RecordingHandler()


async def test_every_event_since_the_first_one_is_handled_once(
    backend: Backend, worker: RecordingHandler
) -> None:
    log = await backend.event_log()
    for number in range(100):
        await log.append([make_draft(f"alice/orders/{number}", str(number))])

    subscription = await log.subscribe_durable("positions", "ev.>", worker.handle)
    for number in range(100, 200):
        await log.append([make_draft(f"alice/orders/{number}", str(number))])

    await worker.wait_completed(*[str(number) for number in range(200)])
    assert set(worker.completed.values()) == {1}
    await subscription.close()


async def test_a_durable_subscription_receives_events_as_stored(backend: Backend) -> None:
    log = await backend.event_log()
    await log.append([make_draft("alice/orders/1", "first", event_id="e-1")])
    [stored] = (await log.page("ev.>", after=0)).events
    got: list[RecordedEvent] = []

    async def handle(recorded: RecordedEvent) -> None:
        got.append(recorded)

    subscription = await log.subscribe_durable("positions", "ev.>", handle)
    await wait_until("handled", lambda: got)
    [one] = got
    assert (one.sequence, one.subject, one.tag, one.data, one.metadata) == (
        stored.sequence,
        stored.subject,
        stored.tag,
        stored.data,
        stored.metadata,
    )
    assert one.time == stored.time
    await subscription.close()


async def test_only_events_that_match_the_filter_are_handled(
    backend: Backend, worker: RecordingHandler
) -> None:
    log = await backend.event_log()
    subscription = await log.subscribe_durable("trades", "ev.*.trades.>", worker.handle)
    for name in ("alice/orders/1", "alice/trades/1", "bob/orders/1", "bob/trades/1"):
        await log.append([make_draft(name, name)])

    await worker.wait_completed("alice/trades/1", "bob/trades/1")
    assert len(worker.started) == 2
    await subscription.close()


async def test_a_failed_event_is_redelivered_and_blocks_no_other(
    backend: Backend, worker: RecordingHandler
) -> None:
    log = await backend.event_log()
    worker.failures_left = {"3": 2}
    subscription = await log.subscribe_durable("positions", "ev.>", worker.handle)
    for number in range(10):
        await log.append([make_draft("alice/orders/1", str(number))])

    await worker.wait_completed(*[str(number) for number in range(10)])
    assert worker.started["3"] == 3
    assert sum(worker.started.values()) == 12
    await subscription.close()


async def test_durable_subscriptions_of_different_names_are_independent(backend: Backend) -> None:
    log, one, two = await backend.event_log(), RecordingHandler(), RecordingHandler()
    subscriptions = [
        await log.subscribe_durable("positions", "ev.>", one.handle),
        await log.subscribe_durable("alerts", "ev.>", two.handle),
    ]
    for number in range(10):
        await log.append([make_draft("alice/orders/1", str(number))])

    for worker in (one, two):
        await worker.wait_completed(*[str(number) for number in range(10)])
        assert set(worker.started.values()) == {1}
    for subscription in subscriptions:
        await subscription.close()


async def test_an_event_has_its_delivery_count(backend: Backend) -> None:
    log, handed = await backend.event_log(), []
    await log.append([make_draft(note="one")])

    async def handle(recorded: RecordedEvent) -> None:
        handed.append((note_of(recorded), recorded.delivery_count))
        if len(handed) < 3:
            raise RuntimeError("not now")

    subscription = await log.subscribe_durable("positions", "ev.>", handle)
    await wait_until(
        "the event is delivered three times", lambda: len(handed) == 3, describe_last=lambda: handed
    )
    await log.append([make_draft(note="two")])
    await wait_until(
        "the next event is delivered", lambda: len(handed) == 4, describe_last=lambda: handed
    )
    assert handed == [("one", 1), ("one", 2), ("one", 3), ("two", 1)]
    await subscription.close()


async def test_two_processes_share_a_durable_subscription(backend: Backend) -> None:
    first, second = await backend.event_log(), await backend.event_log()
    one, two = RecordingHandler(), RecordingHandler()
    subscriptions = [
        await first.subscribe_durable("positions", "ev.>", one.handle),
        await second.subscribe_durable("positions", "ev.>", two.handle),
    ]
    for number in range(300):
        await first.append([make_draft("alice/orders/1", str(number))])

    await wait_until(
        "all events are handled by either process",
        lambda: sum((one.completed + two.completed).values()) >= 300,
        describe_last=lambda: (sum(one.completed.values()), sum(two.completed.values())),
    )
    assert set((one.completed + two.completed).values()) == {1}
    assert one.completed
    assert two.completed
    for subscription in subscriptions:
        await subscription.close()


async def test_a_restarted_process_continues_where_the_last_one_stopped(backend: Backend) -> None:
    one, two = RecordingHandler(), RecordingHandler()
    log = await backend.event_log()
    for number in range(150):
        await log.append([make_draft("alice/orders/1", str(number))])
    subscription = await (await backend.event_log()).subscribe_durable(
        "positions", "ev.>", one.handle
    )
    await wait_until("some events are handled", lambda: sum(one.completed.values()) >= 20)
    await subscription.close()
    done = sum(one.completed.values())
    for number in range(150, 160):
        await log.append([make_draft("alice/orders/1", str(number))])

    subscription = await (await backend.event_log()).subscribe_durable(
        "positions", "ev.>", two.handle
    )

    await wait_until(
        "the remaining events are handled",
        lambda: len(one.completed + two.completed) == 160,
        describe_last=lambda: len(one.completed + two.completed),
    )
    assert sum(one.completed.values()) == done
    # Delivery is at least once: both processes may handle the event that was pending at the stop.
    assert sum((one.completed + two.completed).values()) <= 161
    await subscription.close()


async def test_repeated_restarts_leave_no_event_pending(backend: Backend) -> None:
    """Regression: a process stopped while a batch was on its way to it. The events of that batch
    were redelivered only after the acknowledgement timeout, half a minute later."""
    log, worker = await backend.event_log(), RecordingHandler()
    for number in range(400):
        await log.append([make_draft("alice/orders/1", str(number))])

    def are_completed(count: int) -> bool:
        return len(worker.completed) >= count

    for round_ in range(1, 9):
        subscription = await log.subscribe_durable("positions", "ev.>", worker.handle)
        await wait_until(
            f"an event is handled in round {round_}",
            partial(are_completed, 20 * round_),
            describe_last=lambda: len(worker.completed),
        )
        await subscription.close()
    subscription = await log.subscribe_durable("positions", "ev.>", worker.handle)

    await wait_until(
        "all events are handled",
        lambda: len(worker.completed) == 400,
        describe_last=lambda: len(worker.completed),
    )
    await subscription.close()


async def test_the_pending_events_of_a_stopped_process_go_to_another(backend: Backend) -> None:
    """The first process receives all events, blocks while it handles the first, and is stopped."""
    log, worker = await backend.event_log(), RecordingHandler()
    hanging = asyncio.Event()

    async def hang(_: RecordedEvent) -> None:
        hanging.set()
        await asyncio.Event().wait()

    for number in range(5):
        await log.append([make_draft("alice/orders/1", str(number))])
    stuck = await log.subscribe_durable("positions", "ev.>", hang)
    await asyncio.wait_for(hanging.wait(), 60)
    await stuck.close()

    subscription = await (await backend.event_log()).subscribe_durable(
        "positions", "ev.>", worker.handle
    )

    await worker.wait_completed(*[str(number) for number in range(5)])
    await subscription.close()


async def test_a_durable_subscription_continues_after_the_log_is_recreated(
    backend: Backend, worker: RecordingHandler
) -> None:
    log = await backend.event_log()
    subscription = await log.subscribe_durable("positions", "ev.>", worker.handle)
    await log.append([make_draft(note="before")])
    await worker.wait_completed("before")

    await backend.recreate()
    await log.append([make_draft(note="after")])

    await worker.wait_completed("after")
    await subscription.close()


async def test_any_number_of_failing_events_holds_up_no_other(
    backend: Backend, worker: RecordingHandler
) -> None:
    """More events fail than the server leaves unacknowledged."""
    log = await backend.event_log()
    poisoned = [str(number) for number in range(300)]
    worker.failures_left = dict.fromkeys(poisoned, 1000)
    for note in [*poisoned, "good 1", "good 2"]:
        await log.append([make_draft(f"alice/orders/{note}", note)])

    subscription = await log.subscribe_durable("positions", "ev.>", worker.handle)

    await worker.wait_completed("good 1", "good 2")
    await subscription.close()


async def test_an_event_that_keeps_failing_is_parked(
    backend: Backend, worker: RecordingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failed_events, "MAX_ATTEMPTS", 3)
    log, store = await backend.event_log(), await backend.failed_event_store()
    worker.failures_left = {"poisoned": 1000}
    subscription = await log.subscribe_durable("positions", "ev.>", worker.handle)
    sequence = await log.append([make_draft("alice/orders/1", "poisoned", event_id="e-1")])

    [failed] = await _wait_parked(store, "positions", 1)

    assert (failed.event.sequence, failed.event.event_id) == (sequence, "e-1")
    assert failed.event.subject == "ev.alice.orders.1"
    assert failed.event.attempts == worker.started["poisoned"] == 3
    assert failed.event.error == "RuntimeError: not now: poisoned"
    await log.append([make_draft("alice/orders/1", "later")])
    await worker.wait_completed("later")
    assert worker.started["poisoned"] == 3
    await subscription.close()


async def test_a_parked_event_is_handled_once_it_is_retried(
    backend: Backend, worker: RecordingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failed_events, "MAX_ATTEMPTS", 1)
    monkeypatch.setattr(failed_events, "POLL_SECONDS", 0.2)
    log, store = await backend.event_log(), await backend.failed_event_store()
    worker.failures_left = {"poisoned": 1}
    subscription, failed = await _park_event(log, store, worker)

    await retry_parked(store, failed, datetime(1970, 1, 1, tzinfo=UTC))

    await worker.wait_completed("poisoned")
    await _wait_for_none(store, "positions")
    await subscription.close()


async def test_a_dropped_event_is_not_handled_again(
    backend: Backend, worker: RecordingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failed_events, "MAX_ATTEMPTS", 1)
    log, store = await backend.event_log(), await backend.failed_event_store()
    worker.failures_left = {"poisoned": 1}
    subscription, failed = await _park_event(log, store, worker)

    assert await store.remove(failed.event, failed.revision)
    assert not await store.remove(failed.event, failed.revision)

    await subscription.close()
    subscription = await log.subscribe_durable("positions", "ev.>", worker.handle)
    await log.append([make_draft("alice/orders/1", "later")])
    await worker.wait_completed("later")
    assert worker.started["poisoned"] == 1
    await subscription.close()


async def test_failed_events_of_one_subscription_are_not_those_of_another(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failed_events, "MAX_ATTEMPTS", 1)
    log, store = await backend.event_log(), await backend.failed_event_store()
    failing, healthy = RecordingHandler(), RecordingHandler()
    failing.failures_left = {"poisoned": 1000}
    subscriptions = [
        await log.subscribe_durable("positions", "ev.>", failing.handle),
        await log.subscribe_durable("positions@loans", "ev.>", healthy.handle),
    ]
    await log.append([make_draft("alice/orders/1", "poisoned")])

    await _wait_parked(store, "positions", 1)

    await healthy.wait_completed("poisoned")
    assert await store.get_all("positions@loans") == []
    assert [one.event.subscription for one in await store.get_all()] == ["positions"]
    for subscription in subscriptions:
        await subscription.close()


@pytest.mark.parametrize("processes", [1, 2])
async def test_in_order_the_successors_of_a_failed_event_wait_for_it(
    backend: Backend, worker: RecordingHandler, processes: int
) -> None:
    log = await backend.event_log()
    handled: list[str] = []

    async def handle(recorded: RecordedEvent) -> None:
        await worker.handle(recorded)
        handled.append(note_of(recorded))

    worker.failures_left = {"a1": 2, "b2": 1}
    subscriptions = [
        await (await backend.event_log()).subscribe_durable(
            "positions", "ev.>", handle, in_order=True
        )
        for _ in range(processes)
    ]
    notes = ["a1", "b1", "a2", "c1", "b2", "a3", "b3"]
    for note in notes:
        await log.append([make_draft(f"alice/orders/{note[0]}", note)])

    await worker.wait_completed(*notes)

    for entity in "abc":
        of_entity = [note for note in handled if note[0] == entity]
        assert list(dict.fromkeys(of_entity)) == sorted(of_entity), handled
    assert handled.index("c1") < handled.index("a1"), "another entity does not wait"
    for subscription in subscriptions:
        await subscription.close()


async def test_in_order_the_successors_of_a_dropped_event_go_on(
    backend: Backend, worker: RecordingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failed_events, "MAX_ATTEMPTS", 1)
    monkeypatch.setattr(failed_events, "POLL_SECONDS", 0.2)
    log, store = await backend.event_log(), await backend.failed_event_store()
    worker.failures_left = {"1": 1000}
    subscription = await log.subscribe_durable("positions", "ev.>", worker.handle, in_order=True)
    for note in ("1", "2", "3"):
        await log.append([make_draft("alice/orders/1", note)])
    await log.append([make_draft("alice/orders/2", "other")])
    [first, *_] = await _wait_parked(store, "positions", 1)
    await worker.wait_completed("other")
    assert not worker.started["2"]

    assert await store.remove(first.event, first.revision)

    await worker.wait_completed("2", "3")
    await _wait_for_none(store, "positions")
    await subscription.close()


async def test_two_claims_of_a_failed_event_conflict(
    backend: Backend, worker: RecordingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failed_events, "MAX_ATTEMPTS", 1)
    log, store = await backend.event_log(), await backend.failed_event_store()
    worker.failures_left = {"poisoned": 1000}
    subscription, failed = await _park_event(log, store, worker)
    await subscription.close()

    revision = await store.put(failed.event, failed.revision)

    assert revision != failed.revision
    for stale in (0, failed.revision):
        with pytest.raises(Conflict):
            await store.put(failed.event, stale)
    assert await store.sequences("positions", "ev.alice.orders.1") == [failed.event.sequence]
    assert await store.sequences("positions", "ev.alice.orders.10") == []
    assert await store.sequences("position", "ev.alice.orders.1") == []


async def test_failed_events_that_did_not_change_are_not_read_again(
    backend: Backend, worker: RecordingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: every process read all failed events of a subscription every five seconds."""
    monkeypatch.setattr(failed_events, "POLL_SECONDS", 0.01)
    store = await backend.failed_event_store()
    await _put_parked(store, range(1, 401))
    counting = CountingStore(store)
    handler = _retrying_handler(await backend.event_log(), counting, worker)
    running = asyncio.create_task(handler.run())
    await wait_until("all are known", lambda: handler.parked_count == 400)

    reads = counting.reads
    await wait_until("changes were read ten times", lambda: counting.reads > reads + 10)
    assert counting.events_read == 400

    [one] = await _put_parked(store, [401])
    await wait_until("another process parked one", lambda: handler.parked_count == 401)
    assert await store.remove(one.event, one.revision)
    await wait_until("an operator dropped it", lambda: handler.parked_count == 400)
    assert counting.events_read == 401
    running.cancel()


async def test_all_failed_events_are_read_again_when_removals_may_be_unknown(
    backend: Backend, worker: RecordingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was suspended or cut off for long, and a purge by an operator."""
    monkeypatch.setattr(failed_events, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(failed_events, "FULL_READ_SECONDS", 0.05)
    store = await backend.failed_event_store()
    await _put_parked(store, range(1, 11))
    counting = CountingStore(store)
    counting.forgets_removals = True
    handler = _retrying_handler(await backend.event_log(), counting, worker)
    running = asyncio.create_task(handler.run())
    await wait_until("all are known", lambda: handler.parked_count == 10)
    for stored in await store.get_all("positions"):
        await store.remove(stored.event, stored.revision)
    await wait_until("none is parked", lambda: handler.parked_count == 0)
    running.cancel()


async def test_an_event_fails_again_right_after_it_was_removed(backend: Backend) -> None:
    """In a replaced journal another event can have the sequence and subject of an earlier one."""
    store = await backend.failed_event_store()
    [first] = await _put_parked(store, [7])
    assert await store.remove(first.event, first.revision)
    [second] = await _put_parked(store, [7])
    assert await store.get_all("positions") == [second]
    changes = await store.changes("positions", None)
    assert (changes.stored, changes.is_all) == ([second], True)
    assert second.revision not in changes.removed.values()


class CountingStore:
    """Counts the failed events that are read from `store`. With `forgets_removals` it reports no
    removal, as after a purge."""

    def __init__(self, store: FailedEventStore) -> None:
        self._store = store
        self.reads = self.events_read = 0
        self.forgets_removals = False
        self.get_all, self.sequences = store.get_all, store.sequences
        self.put, self.remove = store.put, store.remove

    async def changes(self, subscription: str, since: StorePosition | None) -> FailedEventChanges:
        found = await self._store.changes(subscription, since)
        self.reads += 1
        self.events_read += len(found.stored)
        return msgspec.structs.replace(found, removed={}) if self.forgets_removals else found


def _retrying_handler(
    log: EventLog, store: FailedEventStore, worker: RecordingHandler
) -> RetryingHandler:
    return RetryingHandler("positions", worker.handle, log, store, lambda: datetime.now(UTC))


async def _put_parked(store: FailedEventStore, sequences: Iterable[int]) -> list[StoredFailedEvent]:
    parked = [
        FailedEvent(
            subscription="positions",
            sequence=sequence,
            subject=f"ev.alice.orders.{sequence}",
            tag="test",
            event_id=f"e-{sequence}",
            attempts=10,
            error="RuntimeError: poisoned",
            failed_at=datetime.now(UTC),
            next_attempt_at=None,
        )
        for sequence in sequences
    ]
    return [StoredFailedEvent(event, await store.put(event, 0)) for event in parked]


async def _park_event(
    log: EventLog, store: FailedEventStore, worker: RecordingHandler
) -> tuple[Subscription, StoredFailedEvent]:
    """Subscribe `worker`, append the event that it fails for, and wait until it is parked."""
    subscription = await log.subscribe_durable("positions", "ev.>", worker.handle)
    await log.append([make_draft("alice/orders/1", "poisoned")])
    [failed] = await _wait_parked(store, "positions", 1)
    return subscription, failed


async def _wait_parked(
    store: FailedEventStore, subscription: str, count: int
) -> list[StoredFailedEvent]:
    parked: list[StoredFailedEvent] = []

    async def are_parked() -> bool:
        nonlocal parked
        parked = [one for one in await store.get_all(subscription) if one.event.is_parked]
        return len(parked) == count

    await wait_until_async(f"{count} events of {subscription} are parked", are_parked)
    return parked


async def _wait_for_none(store: FailedEventStore, subscription: str) -> None:
    async def is_empty() -> bool:
        return await store.get_all(subscription) == []

    await wait_until_async(f"no failed event of {subscription} is left", is_empty)
