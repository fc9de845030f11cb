"""Live: what is heard while it is stored, and how a reader joins it to what was stored before."""

import asyncio

import pytest

from tapewire.log import AlreadyStored, Conflict, EventLog, Recorded
from tests.contract.backends import Backend
from tests.contract.drafts import draft, everything, note, notes, sequences
from tests.waiting import until


class Ear:
    """Remembers what it is called with."""

    def __init__(self) -> None:
        self.heard: list[Recorded] = []
        self.gaps: list[str] = []

    def on_event(self, recorded: Recorded) -> None:
        self.heard.append(recorded)

    def on_gap(self, why: str) -> None:
        self.gaps.append(why)

    async def hears(self, count: int) -> list[Recorded]:
        await until(
            f"{count} events heard",
            lambda: len(self.heard) >= count,
            seen=lambda: sequences(self.heard),
        )
        return self.heard


async def test_live_events_come_in_order_and_whole(backend: Backend) -> None:
    writer, reader = await backend.log(), await backend.log()
    ear = Ear()
    await reader.live("ev.alice.>", ear.on_event, ear.on_gap)
    await reader.last("ev.>")

    for number in range(50):
        await writer.append([draft(f"alice/orders/{number % 3}", str(number))])
        await writer.append([draft("bob/orders/1")])
    await writer.append([draft("alice/orders/1", "50"), draft("alice/trades/1", "51")])

    heard = await ear.hears(52)
    assert notes(heard) == [str(number) for number in range(52)]
    stored = await everything(reader, "ev.alice.>")
    assert [
        (one.sequence, one.subject, one.tag, one.data, one.meta, one.time) for one in heard
    ] == [(one.sequence, one.subject, one.tag, one.data, one.meta, one.time) for one in stored]
    assert ear.gaps == []


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
async def test_live_takes_the_filters_that_pages_take(
    backend: Backend, filter_: str, wanted: list[int]
) -> None:
    log, ear, all_ = await backend.log(), Ear(), Ear()
    await log.live(filter_, ear.on_event, ear.on_gap)
    await log.live("ev.>", all_.on_event, all_.on_gap)
    await log.last("ev.>")

    for name in ("alice/orders/1", "alice/trades/1", "alice/orders/2", "bob/orders/1"):
        await log.append([draft(name)])

    await all_.hears(4)
    await ear.hears(len(wanted))
    assert sequences(ear.heard) == wanted


async def test_nothing_that_was_refused_is_heard(backend: Backend) -> None:
    log, ear = await backend.log(), Ear()
    await log.live("ev.>", ear.on_event, ear.on_gap)
    await log.last("ev.>")
    await log.append([draft("alice/orders/1", "first", event_id="e-1", expect=0)])
    for drafts in (
        [draft("alice/orders/1", "conflict", expect=0)],
        [draft("alice/orders/1", "known", event_id="e-1")],
        [draft("bob/orders/1", "with it"), draft("alice/orders/1", "conflict", expect=0)],
    ):
        with pytest.raises((Conflict, AlreadyStored)):
            await log.append(drafts)
    await log.append([draft("alice/orders/1", "last")])

    assert notes(await ear.hears(2)) == ["first", "last"]


async def test_joining_live_to_pages_leaves_no_gap(backend: Backend) -> None:
    """Subscribe, ask for `last`, read up to there: what is heard carries on from it, whatever is
    written meanwhile. The writer is held up so that it can be done neither before nor after."""
    writer, reader = await backend.log(), await backend.log()
    begun, joined = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        for number in range(400):
            if number == 200:
                await begun.wait()
            if number == 300:
                await joined.wait()
            await writer.append([draft(f"alice/orders/{number % 7}", str(number))])
            await writer.append([draft("bob/orders/1")])

    writing = asyncio.create_task(write())
    await until_stored(reader, 100)
    begun.set()
    ear = Ear()
    await reader.live("ev.alice.>", ear.on_event, ear.on_gap)
    proven = await reader.last("ev.alice.>")
    read = [one for one in await everything(reader, "ev.alice.>") if one.sequence <= proven]
    assert read[-1].sequence == proven
    joined.set()
    await writing

    await until("the last event heard", lambda: ear.heard and note(ear.heard[-1]) == "399")
    all_ = read + [one for one in ear.heard if one.sequence > proven]
    assert notes(all_) == [str(number) for number in range(400)]
    assert ear.gaps == []


async def until_stored(log: EventLog, count: int) -> None:
    stored = 0
    while stored < count:
        stored = await log.last("ev.>")


async def test_two_subscriptions_hear_each_for_itself(backend: Backend) -> None:
    log, one, two = await backend.log(), Ear(), Ear()
    first = await log.live("ev.alice.>", one.on_event, one.on_gap)
    await log.live("ev.alice.>", two.on_event, two.on_gap)
    await log.last("ev.>")
    await log.append([draft(note="both")])
    await one.hears(1)

    await first.close()
    await log.append([draft(note="the second")])

    assert notes(await two.hears(2)) == ["both", "the second"]
    assert notes(one.heard) == ["both"]


async def test_closing_stops_the_calls_at_once(backend: Backend) -> None:
    log, other, ear, witness = await backend.log(), await backend.log(), Ear(), Ear()
    subscription = await log.live("ev.>", ear.on_event, ear.on_gap)
    await log.live("ev.>", witness.on_event, witness.on_gap)
    await log.last("ev.>")
    for _ in range(200):
        await other.append([draft()])

    await subscription.close()
    heard = len(ear.heard)
    await subscription.close()

    await witness.hears(200)
    assert len(ear.heard) == heard


async def test_a_subscription_may_close_itself_in_a_call(backend: Backend) -> None:
    log, witness = await backend.log(), Ear()
    heard: list[Recorded] = []
    closing: list[asyncio.Task[None]] = []

    def on_event(recorded: Recorded) -> None:
        heard.append(recorded)
        closing.append(asyncio.ensure_future(subscription.close()))

    subscription = await log.live("ev.>", on_event, heard.clear)  # type: ignore[arg-type]
    await log.live("ev.>", witness.on_event, witness.on_gap)
    await log.last("ev.>")
    await log.append([draft()])
    await until("the subscription closed", lambda: closing and closing[0].done())

    await log.append([draft()])

    await witness.hears(2)
    assert len(heard) == 1


async def test_a_log_made_anew_is_heard_on_the_same_subscription(backend: Backend) -> None:
    """Nothing tells live readers of it: they compare epochs, in `bounds`."""
    log, ear = await backend.log(), Ear()
    await log.live("ev.>", ear.on_event, ear.on_gap)
    await log.last("ev.>")
    await log.append([draft(note="before")])
    await ear.hears(1)

    await backend.recreate()
    await log.append([draft(note="after")])

    heard = await ear.hears(2)
    assert [(note(one), one.sequence) for one in heard] == [("before", 1), ("after", 1)]
