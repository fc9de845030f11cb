"""Durable reactions: every event handled at least once, by one of the processes of a name."""

import asyncio
from collections import Counter

import pytest

from tapewire.log import Recorded
from tests.contract.backends import Backend
from tests.contract.drafts import draft, note
from tests.waiting import until


class Worker:
    """Handles events and counts how often each was begun and done."""

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.fails: dict[str, int] = {}
        """How many times more the handling of a note fails."""

    async def handle(self, recorded: Recorded) -> None:
        self.begun[note(recorded)] += 1
        await asyncio.sleep(0)
        if self.fails.get(note(recorded), 0) > 0:
            self.fails[note(recorded)] -= 1
            raise RuntimeError(f"not now: {note(recorded)}")
        self.done[note(recorded)] += 1

    async def has_done(self, *wanted: str) -> None:
        await until(
            f"handled: {wanted}",
            lambda: all(self.done[one] for one in wanted),
            seen=lambda: dict(self.done),
        )


@pytest.fixture
def worker() -> Worker:
    return Worker()


async def test_every_event_is_handled_once_from_the_first_one_ever(
    backend: Backend, worker: Worker
) -> None:
    log = await backend.log()
    for number in range(100):
        await log.append([draft(f"alice/orders/{number}", str(number))])

    reaction = await log.react("positions", "ev.>", worker.handle)
    for number in range(100, 200):
        await log.append([draft(f"alice/orders/{number}", str(number))])

    await worker.has_done(*[str(number) for number in range(200)])
    assert set(worker.done.values()) == {1}
    await reaction.close()


async def test_a_reaction_gets_events_as_they_were_stored(backend: Backend) -> None:
    log = await backend.log()
    await log.append([draft("alice/orders/1", "first", event_id="e-1")])
    [stored] = (await log.page("ev.>", after=0)).events
    got: list[Recorded] = []

    async def handle(recorded: Recorded) -> None:
        got.append(recorded)

    reaction = await log.react("positions", "ev.>", handle)
    await until("handled", lambda: got)
    [one] = got
    assert (one.sequence, one.subject, one.tag, one.data, one.meta) == (
        stored.sequence,
        stored.subject,
        stored.tag,
        stored.data,
        stored.meta,
    )
    assert one.time == stored.time
    await reaction.close()


async def test_only_what_the_filter_takes_is_handled(backend: Backend, worker: Worker) -> None:
    log = await backend.log()
    reaction = await log.react("trades", "ev.*.trades.>", worker.handle)
    for name in ("alice/orders/1", "alice/trades/1", "bob/orders/1", "bob/trades/1"):
        await log.append([draft(name, name)])

    await worker.has_done("alice/trades/1", "bob/trades/1")
    assert len(worker.begun) == 2
    await reaction.close()


async def test_an_event_whose_handler_raised_comes_again_and_stops_no_other(
    backend: Backend, worker: Worker
) -> None:
    log = await backend.log()
    worker.fails = {"3": 2}
    reaction = await log.react("positions", "ev.>", worker.handle)
    for number in range(10):
        await log.append([draft("alice/orders/1", str(number))])

    await worker.has_done(*[str(number) for number in range(10)])
    assert worker.begun["3"] == 3
    assert sum(worker.begun.values()) == 12
    await reaction.close()


async def test_reactions_of_different_names_know_nothing_of_each_other(backend: Backend) -> None:
    log, one, two = await backend.log(), Worker(), Worker()
    reactions = [
        await log.react("positions", "ev.>", one.handle),
        await log.react("alerts", "ev.>", two.handle),
    ]
    for number in range(10):
        await log.append([draft("alice/orders/1", str(number))])

    for worker in (one, two):
        await worker.has_done(*[str(number) for number in range(10)])
        assert set(worker.begun.values()) == {1}
    for reaction in reactions:
        await reaction.close()


async def test_a_reaction_knows_how_often_it_was_handed_an_event(backend: Backend) -> None:
    log, handed = await backend.log(), []
    await log.append([draft(note="one")])

    async def handle(recorded: Recorded) -> None:
        handed.append((note(recorded), recorded.delivered))
        if len(handed) < 3:
            raise RuntimeError("not now")

    reaction = await log.react("positions", "ev.>", handle)
    await until("handed out three times", lambda: len(handed) == 3, seen=lambda: handed)
    await log.append([draft(note="two")])
    await until("the next one", lambda: len(handed) == 4, seen=lambda: handed)
    assert handed == [("one", 1), ("one", 2), ("one", 3), ("two", 1)]
    await reaction.close()


async def test_two_processes_share_a_reaction(backend: Backend) -> None:
    first, second = await backend.log(), await backend.log()
    one, two = Worker(), Worker()
    reactions = [
        await first.react("positions", "ev.>", one.handle),
        await second.react("positions", "ev.>", two.handle),
    ]
    for number in range(300):
        await first.append([draft("alice/orders/1", str(number))])

    await until(
        "all handled by either",
        lambda: sum((one.done + two.done).values()) >= 300,
        seen=lambda: (sum(one.done.values()), sum(two.done.values())),
    )
    assert set((one.done + two.done).values()) == {1}
    assert one.done
    assert two.done
    for reaction in reactions:
        await reaction.close()


async def test_a_restarted_process_carries_on_where_the_last_one_stopped(backend: Backend) -> None:
    one, two = Worker(), Worker()
    log = await backend.log()
    for number in range(150):
        await log.append([draft("alice/orders/1", str(number))])
    reaction = await (await backend.log()).react("positions", "ev.>", one.handle)
    await until("some handled", lambda: sum(one.done.values()) >= 20)
    await reaction.close()
    done = sum(one.done.values())
    for number in range(150, 160):
        await log.append([draft("alice/orders/1", str(number))])

    reaction = await (await backend.log()).react("positions", "ev.>", two.handle)

    await until(
        "the rest handled",
        lambda: len(one.done + two.done) == 160,
        seen=lambda: len(one.done + two.done),
    )
    assert sum(one.done.values()) == done
    # At least once: what was under way at the stop may be handled by both.
    assert sum((one.done + two.done).values()) <= 161
    await reaction.close()


async def test_processes_that_come_and_go_leave_no_event_waiting(backend: Backend) -> None:
    """A process that stopped while a batch was under way to it once took the batch along: its
    events came again only when their acknowledgement was overdue, half a minute later."""
    log, worker = await backend.log(), Worker()
    for number in range(400):
        await log.append([draft("alice/orders/1", str(number))])

    for round_ in range(1, 9):
        reaction = await log.react("positions", "ev.>", worker.handle)
        await until(
            f"something handled in round {round_}",
            lambda wanted=20 * round_: len(worker.done) >= wanted,  # type: ignore[misc]
            seen=lambda: len(worker.done),
        )
        await reaction.close()
    reaction = await log.react("positions", "ev.>", worker.handle)

    await until("all handled", lambda: len(worker.done) == 400, seen=lambda: len(worker.done))
    await reaction.close()


async def test_what_a_stopped_process_was_handling_goes_to_another(backend: Backend) -> None:
    """The first process takes all events, hangs on the first one, and is stopped."""
    log, worker = await backend.log(), Worker()
    hanging = asyncio.Event()

    async def hang(_: Recorded) -> None:
        hanging.set()
        await asyncio.Event().wait()

    for number in range(5):
        await log.append([draft("alice/orders/1", str(number))])
    stuck = await log.react("positions", "ev.>", hang)
    await asyncio.wait_for(hanging.wait(), 60)
    await stuck.close()

    reaction = await (await backend.log()).react("positions", "ev.>", worker.handle)

    await worker.has_done(*[str(number) for number in range(5)])
    await reaction.close()


async def test_a_reaction_survives_its_log_being_made_anew(
    backend: Backend, worker: Worker
) -> None:
    log = await backend.log()
    reaction = await log.react("positions", "ev.>", worker.handle)
    await log.append([draft(note="before")])
    await worker.has_done("before")

    await backend.recreate()
    await log.append([draft(note="after")])

    await worker.has_done("after")
    await reaction.close()
