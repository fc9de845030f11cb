"""Live subscriptions: delivery of new events, and how a reader joins them to stored events."""

import asyncio

import pytest

from tapewire.log import AlreadyStored, Conflict, EventLog, RecordedEvent
from tests.contract.backends import Backend
from tests.harness.event_factories import make_draft, note_of, notes_of, sequences_of
from tests.harness.recorded_log import read_events
from tests.harness.waiting import wait_until


class EventCollector:
    """Collects what its callbacks receive."""

    def __init__(self) -> None:
        self.events: list[RecordedEvent] = []
        self.gaps: list[str] = []

    def on_event(self, recorded: RecordedEvent) -> None:
        self.events.append(recorded)

    def on_gap(self, reason: str) -> None:
        self.gaps.append(reason)

    async def wait_for(self, count: int) -> list[RecordedEvent]:
        await wait_until(
            f"{count} events are received",
            lambda: len(self.events) >= count,
            describe_last=lambda: sequences_of(self.events),
        )
        return self.events


async def test_live_events_arrive_complete_and_in_order(backend: Backend) -> None:
    writer, reader = await backend.event_log(), await backend.event_log()
    collector = EventCollector()
    await reader.subscribe("ev.alice.>", collector.on_event, collector.on_gap)
    await reader.last_sequence("ev.>")

    for number in range(50):
        await writer.append([make_draft(f"alice/orders/{number % 3}", str(number))])
        await writer.append([make_draft("bob/orders/1")])
    await writer.append([make_draft("alice/orders/1", "50"), make_draft("alice/trades/1", "51")])

    received = await collector.wait_for(52)
    assert notes_of(received) == [str(number) for number in range(52)]
    stored = await read_events(reader, "ev.alice.>")
    assert [
        (one.sequence, one.subject, one.tag, one.data, one.metadata, one.time) for one in received
    ] == [(one.sequence, one.subject, one.tag, one.data, one.metadata, one.time) for one in stored]
    assert collector.gaps == []


@pytest.mark.parametrize(
    ("filter_", "wanted"),
    [
        ("ev.>", [1, 2, 3, 4]),
        ("ev.alice.orders.1", [1]),
        ("ev.*.orders.>", [1, 3, 4]),
        ("ev.*.orders.1", [1, 4]),
        ("ev.carol.>", []),
    ],
)
async def test_live_subscriptions_accept_the_filters_of_pages(
    backend: Backend, filter_: str, wanted: list[int]
) -> None:
    log, collector, all_ = await backend.event_log(), EventCollector(), EventCollector()
    await log.subscribe(filter_, collector.on_event, collector.on_gap)
    await log.subscribe("ev.>", all_.on_event, all_.on_gap)
    await log.last_sequence("ev.>")

    for name in ("alice/orders/1", "alice/trades/1", "alice/orders/2", "bob/orders/1"):
        await log.append([make_draft(name)])

    await all_.wait_for(4)
    await collector.wait_for(len(wanted))
    assert sequences_of(collector.events) == wanted


async def test_rejected_events_are_not_delivered(backend: Backend) -> None:
    log, collector = await backend.event_log(), EventCollector()
    await log.subscribe("ev.>", collector.on_event, collector.on_gap)
    await log.last_sequence("ev.>")
    await log.append([make_draft("alice/orders/1", "first", event_id="e-1", expected_sequence=0)])
    for drafts in (
        [make_draft("alice/orders/1", "conflict", expected_sequence=0)],
        [make_draft("alice/orders/1", "known", event_id="e-1")],
        [
            make_draft("bob/orders/1", "with it"),
            make_draft("alice/orders/1", "conflict", expected_sequence=0),
        ],
    ):
        with pytest.raises((Conflict, AlreadyStored)):
            await log.append(drafts)
    await log.append([make_draft("alice/orders/1", "last")])

    assert notes_of(await collector.wait_for(2)) == ["first", "last"]


async def test_pages_and_a_live_subscription_join_without_a_gap(backend: Backend) -> None:
    """Subscribe, request the last sequence, and read up to it. The live events continue from there.

    The writer appends meanwhile. It pauses twice: it cannot finish before the reader subscribes,
    and it appends more events after the reader has read.
    """
    writer, reader = await backend.event_log(), await backend.event_log()
    begun, joined = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        for number in range(400):
            if number == 200:
                await begun.wait()
            if number == 300:
                await joined.wait()
            await writer.append([make_draft(f"alice/orders/{number % 7}", str(number))])
            await writer.append([make_draft("bob/orders/1")])

    writing = asyncio.create_task(write())
    await wait_until_stored(reader, 100)
    begun.set()
    collector = EventCollector()
    await reader.subscribe("ev.alice.>", collector.on_event, collector.on_gap)
    proven = await reader.last_sequence("ev.alice.>")
    read = [one for one in await read_events(reader, "ev.alice.>") if one.sequence <= proven]
    assert read[-1].sequence == proven
    joined.set()
    await writing

    await wait_until(
        "the last event is received",
        lambda: collector.events and note_of(collector.events[-1]) == "399",
    )
    all_ = read + [one for one in collector.events if one.sequence > proven]
    assert notes_of(all_) == [str(number) for number in range(400)]
    assert collector.gaps == []


async def wait_until_stored(log: EventLog, count: int) -> None:
    stored = 0
    while stored < count:
        stored = await log.last_sequence("ev.>")


async def test_two_subscriptions_are_independent(backend: Backend) -> None:
    log, one, two = await backend.event_log(), EventCollector(), EventCollector()
    first = await log.subscribe("ev.alice.>", one.on_event, one.on_gap)
    await log.subscribe("ev.alice.>", two.on_event, two.on_gap)
    await log.last_sequence("ev.>")
    await log.append([make_draft(note="both")])
    await one.wait_for(1)

    await first.close()
    await log.append([make_draft(note="the second")])

    assert notes_of(await two.wait_for(2)) == ["both", "the second"]
    assert notes_of(one.events) == ["both"]


async def test_close_stops_the_callbacks_at_once(backend: Backend) -> None:
    log, other, collector, witness = (
        await backend.event_log(),
        await backend.event_log(),
        EventCollector(),
        EventCollector(),
    )
    subscription = await log.subscribe("ev.>", collector.on_event, collector.on_gap)
    await log.subscribe("ev.>", witness.on_event, witness.on_gap)
    await log.last_sequence("ev.>")
    for _ in range(200):
        await other.append([make_draft()])

    await subscription.close()
    received_count = len(collector.events)
    await subscription.close()

    await witness.wait_for(200)
    assert len(collector.events) == received_count


async def test_a_subscription_may_close_itself_in_its_callback(backend: Backend) -> None:
    log, witness = await backend.event_log(), EventCollector()
    received: list[RecordedEvent] = []
    closing: list[asyncio.Task[None]] = []

    def on_event(recorded: RecordedEvent) -> None:
        received.append(recorded)
        closing.append(asyncio.ensure_future(subscription.close()))

    subscription = await log.subscribe("ev.>", on_event, lambda _: received.clear())
    await log.subscribe("ev.>", witness.on_event, witness.on_gap)
    await log.last_sequence("ev.>")
    await log.append([make_draft()])
    await wait_until("the subscription is closed", lambda: closing and closing[0].done())

    await log.append([make_draft()])

    await witness.wait_for(2)
    assert len(received) == 1


async def test_a_subscription_continues_after_the_log_is_recreated(backend: Backend) -> None:
    """No message says that the log was recreated: live readers compare the epochs of `bounds`."""
    log, collector = await backend.event_log(), EventCollector()
    await log.subscribe("ev.>", collector.on_event, collector.on_gap)
    await log.last_sequence("ev.>")
    await log.append([make_draft(note="before")])
    await collector.wait_for(1)

    await backend.recreate()
    await log.append([make_draft(note="after")])

    received = await collector.wait_for(2)
    assert [(note_of(one), one.sequence) for one in received] == [("before", 1), ("after", 1)]
