"""A reader cannot resume in a log that was trimmed or recreated, and is always informed.

Each test is a loss that the simulation found (tests/sim): events were left out, or were shown with
the ids of another log, without a `stream:reset`.
"""

import asyncio
from typing import Any

import pytest

from tapewire.events import CODEC
from tapewire.log import (
    Bounds,
    EventDraft,
    EventMetadata,
    EventSubject,
    LatestValueStore,
    Page,
    Unavailable,
    new_id,
    pattern,
)
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.view_checkpoints import load, save
from tapewire.views import OrdersView
from tapewire_services.edge.delivery.cursor import ResumeStart
from tapewire_services.edge.delivery.replay import ReplayReader
from tapewire_services.edge.delivery.resume_policy import ResumePolicy
from tapewire_services.edge.ingest.log_tail import LogTail, NotReady
from tests.harness.order_builders import cancel, given, place

pytestmark = pytest.mark.virtual_time

LONG_SECONDS = 10.0
"""Longer than every poll, repair and retry takes."""


@pytest.fixture
async def server() -> MemoryServer:
    return MemoryServer()


def drafts(times: int, *, first: int = 1) -> list[EventDraft]:
    """Return the events of `times` closed orders of alice, two for each order."""
    return [
        EventDraft(
            subject=EventSubject("alice", "orders", f"o{number}"),
            event=new_event.event,
            metadata=EventMetadata(id=new_id(), correlation="c"),
        )
        for number in range(first, first + times)
        for new_event in given(place(client_order_id=f"c{number}"), cancel()).new_events
    ]


async def append(log: MemoryEventLog, times: int, *, first: int = 1) -> None:
    """Append `drafts` one by one."""
    for draft in drafts(times, first=first):
        await log.append([draft])


class Follower:
    """A running log tail, with the sequences it passed on and the epochs at which it restarted."""

    def __init__(self, server: MemoryServer) -> None:
        self.log = MemoryEventLog(server)
        self.received: list[int | str] = []
        self.log_tail = LogTail(self.log, seed=1)
        self.log_tail.subscribe(lambda recorded: self.received.append(recorded.sequence))
        self.log_tail.subscribe_recreated(lambda: self.received.append(self.log_tail.epoch))

    async def __aenter__(self) -> "Follower":
        self._task = asyncio.create_task(self.log_tail.run())
        await self.log_tail.ready.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_a_log_tail_that_missed_trimmed_events_restarts_at_the_end(
    server: MemoryServer,
) -> None:
    """Regression: it continued after the gap, and live connections never got the missing events."""
    log = MemoryEventLog(server)
    async with Follower(server) as follower:
        await append(log, 1)
        follower.log.sever(1.0)
        await append(log, 3, first=2)
        server.trim(5)
        await asyncio.sleep(LONG_SECONDS)
        await append(log, 1, first=5)
        await asyncio.sleep(LONG_SECONDS)
        assert follower.received == ["m1", 1, 2, "m1", 9, 10]
        assert follower.log_tail.bounds == Bounds("m1", 6, 10)


async def test_events_after_a_gap_are_held_until_the_epoch_is_known(
    server: MemoryServer,
) -> None:
    """Regression: an event of the new log with the next sequence was taken for one of the old."""
    log = MemoryEventLog(server)
    async with Follower(server) as follower:
        await append(log, 1)
        server.stop()
        server.recreate()
        server.start()
        # At once, before a reader can ask for the epoch.
        server.append(new := drafts(2), [CODEC.encode(draft.event) for draft in new])
        await asyncio.sleep(LONG_SECONDS)
        await append(log, 1, first=3)
        await asyncio.sleep(LONG_SECONDS)
        began = follower.received.index("m2")
        assert follower.received[:began] == ["m1", 1, 2]
        assert follower.received[began + 1 :][-2:] == [5, 6]


async def test_the_first_event_of_a_recreated_log_reveals_the_new_epoch(
    server: MemoryServer,
) -> None:
    """Regression: its events were taken for late ones, and then for later ones of the old log."""
    log = MemoryEventLog(server)
    async with Follower(server) as follower:
        await append(log, 2)
        server.recreate()
        server.append(new := drafts(4), [CODEC.encode(draft.event) for draft in new])
        await asyncio.sleep(0.01)
        assert follower.received == ["m1", 1, 2, 3, 4, "m2"]
        assert follower.log_tail.bounds == Bounds("m2", 1, 8)


async def test_late_and_repeated_events_are_ignored(server: MemoryServer) -> None:
    log = MemoryEventLog(server)
    async with Follower(server) as follower:
        await append(log, 2)
        again = server.journal.event_at(2)
        assert again is not None
        follower.log_tail._receive(again)
        server.append(new := drafts(1, first=3), [CODEC.encode(draft.event) for draft in new])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert follower.received == ["m1", 1, 2, 3, 4, 5, 6]


async def test_a_late_event_of_an_earlier_log_is_not_passed_on(
    server: MemoryServer,
) -> None:
    """Regression: it was held as a later event of the new log, and passed on seconds later."""
    log = MemoryEventLog(server)
    async with Follower(server) as follower:
        await append(log, 3)
        late = server.journal.event_at(6)
        assert late is not None
        server.recreate()
        await asyncio.sleep(LONG_SECONDS)
        follower.log_tail._receive(late)
        await asyncio.sleep(LONG_SECONDS)
        await append(log, 2)
        passed = [follower.log_tail.events_after(("alice",), 4)]
        await append(log, 1, first=4)
        passed.append(follower.log_tail.events_after(("alice",), 4))
        assert [[r.sequence for r in found] for found in passed] == [[], [5, 6]]
        assert passed[1][1] is not late


async def test_a_gap_without_a_loss_does_not_restart_the_log_tail(server: MemoryServer) -> None:
    log = MemoryEventLog(server)
    async with Follower(server) as follower:
        await append(log, 1)
        server.stop()
        server.start()
        await append(log, 2, first=2)
        await asyncio.sleep(LONG_SECONDS)
        assert follower.received == ["m1", 1, 2, 3, 4, 5, 6]


async def test_a_cursor_is_not_resumed_if_the_log_is_recreated_during_the_lookup(
    server: MemoryServer,
) -> None:
    """Regression: it was resumed with the new epoch, as if it were a cursor of the new log."""
    log = MemoryEventLog(server)
    await append(log, 3)
    async with Follower(server) as follower:

        class SlowEventLog(MemoryEventLog):
            async def page(self, *arguments: Any, **how: Any) -> Page:
                page = await super().page(*arguments, **how)
                server.stop()
                server.recreate()
                server.start()
                await asyncio.sleep(LONG_SECONDS)
                return page

        resume_policy = ResumePolicy(SlowEventLog(server), follower.log_tail, replay_limit=100)
        reader = ReplayReader(SlowEventLog(server), [pattern(owner="alice")], asyncio.Semaphore(1))
        with pytest.raises(NotReady):
            await resume_policy.decide("m1-2", reader.count_events_after)
        assert await resume_policy.decide("m2-0", reader.count_events_after) == ResumeStart(0)


def orders(server: MemoryServer) -> tuple[MemoryEventLog, MemoryLatestValueStore]:
    return MemoryEventLog(server), MemoryLatestValueStore(server, stream="VIEWS", prefix="view")


async def checkpoint(log: MemoryEventLog, values: LatestValueStore) -> None:
    view, bounds = await load(log, values, OrdersView, "alice")
    await save(values, "alice", OrdersView.domain, view, bounds)


async def test_a_view_is_not_loaded_if_its_events_are_trimmed_and_its_checkpoint_is_later(
    server: MemoryServer,
) -> None:
    """Regression: an edge whose bounds were old sent a snapshot without the trimmed orders."""
    log, values = orders(server)
    await append(log, 2)
    behind = await log.bounds()
    await append(log, 2, first=3)
    await checkpoint(log, values)
    server.trim(6)
    with pytest.raises(Unavailable, match="begins at 7"):
        await load(log, values, OrdersView, "alice", bounds=behind)
    view, bounds = await load(log, values, OrdersView, "alice")
    assert (len(view.orders()), bounds.last) == (4, 8)


async def test_a_view_is_not_loaded_with_the_bounds_of_an_earlier_log(
    server: MemoryServer,
) -> None:
    log, values = orders(server)
    await append(log, 2)
    before = await log.bounds()
    server.recreate()
    await append(log, 3)
    with pytest.raises(Unavailable, match="recreated as m2"):
        await load(log, values, OrdersView, "alice", bounds=before)


async def test_a_view_of_trimmed_events_without_a_checkpoint_has_the_remaining_events(
    server: MemoryServer,
) -> None:
    log, values = orders(server)
    await append(log, 3)
    server.trim(4)
    view, _ = await load(log, values, OrdersView, "alice")
    assert len(view.orders()) == 1
