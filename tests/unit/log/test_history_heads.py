"""Heads of histories in memory: a page reads what came since the page before, and nothing twice."""

import asyncio
from typing import Any

import msgspec
import pytest

from tapewire.log import Bounds, checkpoint, history_heads, history_store
from tapewire.log.history import HistoryReader
from tapewire.log.history_store import store_history
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore
from tapewire.log.ports import Page, Unavailable
from tests.harness.publishers import order_placed
from tests.harness.waiting import wait_until
from tests.unit.log.test_history import USER, Journal, SmallOrderHistory


class WatchedLog(MemoryEventLog):
    """Records from where it is read."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal.server)
        self.reads: list[int] = []

    async def next_sequence(self, filter: str, after: int) -> int:  # noqa: A002
        self.reads.append(after)
        return await super().next_sequence(filter, after)

    async def page(self, filter: str, **how: Any) -> Page:  # noqa: A002
        self.reads.append(how["after"])
        return await super().page(filter, **how)


class WatchedStore(MemoryLatestValueStore):
    """Calls `before_read` once before the head is read."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal.server, stream="VIEWS", prefix="view")
        self.before_read: Any = None

    async def get_revision(self, key: str) -> tuple[bytes | None, int]:
        if ".block-" not in key:
            action, self.before_read = self.before_read, None
            if action is not None:
                await action()
        return await super().get_revision(key)


class CountedHistory:
    """A journal, and a reader whose reads are observed."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.log, self.store = WatchedLog(self.journal), WatchedStore(self.journal)
        self.reader = HistoryReader(self.log, self.store, SmallOrderHistory)

    async def read_ids(self, limit: int = 200, owner: str = USER) -> list[str]:
        page = await self.reader.read_page(owner, limit, None)
        return [order.order_id for order in page.rows]

    def expected_ids(self, limit: int = 200) -> list[str]:
        return [order.order_id for order in self.journal.orders[::-1][:limit]]


@pytest.fixture
async def watched() -> CountedHistory:
    made = CountedHistory()
    await made.journal.place(30)
    await store_history(made.journal.log, made.journal.store, SmallOrderHistory, USER)
    return made


async def test_a_page_reads_the_events_since_the_page_before(watched: CountedHistory) -> None:
    """Looking for them from the checkpoint on is expensive for the server in a long log."""
    for _ in range(5):
        await watched.journal.place(3)
        watched.log.reads.clear()
        end = (await watched.log.bounds()).last
        assert await watched.read_ids() == watched.expected_ids()
        assert all(after >= end - 3 for after in watched.log.reads)
    watched.log.reads.clear()
    assert await watched.read_ids(9) == watched.expected_ids(9)
    assert watched.log.reads == [], "nothing happened since"


async def test_a_newer_checkpoint_replaces_the_head(watched: CountedHistory) -> None:
    """The rows that it has need not be held."""
    for _ in range(5):
        await watched.journal.place(4)
        assert await watched.read_ids() == watched.expected_ids()
        await store_history(watched.log, watched.journal.store, SmallOrderHistory, USER)
        end = (await watched.log.bounds()).last
        await watched.journal.place()
        watched.log.reads.clear()
        assert await watched.read_ids() == watched.expected_ids()
        assert min(watched.log.reads) == end


@pytest.mark.parametrize("is_stored", [False, True])
async def test_no_row_of_an_erased_user_is_held(watched: CountedHistory, is_stored: bool) -> None:
    """The events and the checkpoints of a user are removed while the process runs."""
    user = USER if is_stored else "bob"
    if not is_stored:
        await watched.journal.append("orders", "b-1", order_placed("b-1"), user=user)
    assert await watched.read_ids(owner=user)
    watched.journal.server.trim((await watched.log.bounds()).last)
    for key in list(watched.journal.server.values.get("VIEWS/view", {})):
        if key.startswith(user):
            assert await watched.journal.store.pop(key) is not None
    assert await watched.read_ids(owner=user) == []


async def test_concurrent_pages_apply_no_event_twice(watched: CountedHistory) -> None:
    await watched.read_ids()
    for _ in range(10):
        await watched.journal.place(3)
        reads = [asyncio.create_task(watched.read_ids()) for _ in range(5)]
        await watched.journal.place()
        for ids in await asyncio.gather(*reads):
            assert ids == watched.expected_ids()[-len(ids) :]
            assert len(ids) >= len(watched.journal.orders) - 1
    assert await watched.read_ids() == watched.expected_ids()


@pytest.mark.parametrize("is_canceled", [False, True])
async def test_an_interrupted_read_leaves_no_half_read_head(
    watched: CountedHistory, is_canceled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tapewire.log.view_checkpoints.PAGE_EVENTS", 4)
    monkeypatch.setattr("tapewire.log.view_checkpoints.CATCH_UP_PAGE_EVENTS", 4)
    await watched.read_ids()
    await watched.journal.place(10)
    if is_canceled:
        reading = asyncio.create_task(watched.read_ids())
        await wait_until(
            "the second page is read", lambda: watched.log.reads and watched.log.reads[-1] >= 34
        )
        reading.cancel()
        await asyncio.wait({reading})
    else:
        page = watched.log.page

        async def fail_later(filter_: str, **how: Any) -> Page:
            if how["after"] >= 34:
                monkeypatch.setattr(watched.log, "page", page)
                raise Unavailable("the second page")
            return await page(filter_, **how)

        monkeypatch.setattr(watched.log, "page", fail_later)
        with pytest.raises(Unavailable, match="the second page"):
            await watched.read_ids()
    assert await watched.read_ids() == watched.expected_ids()


async def test_a_held_head_of_a_replaced_journal_is_dropped(watched: CountedHistory) -> None:
    assert await watched.read_ids() == watched.expected_ids()
    watched.journal.server.recreate()
    watched.journal.orders.clear()
    assert await watched.read_ids() == []
    await watched.journal.place(40)
    assert await watched.read_ids() == watched.expected_ids()


async def test_a_held_head_survives_that_old_events_are_removed(watched: CountedHistory) -> None:
    await watched.read_ids()
    await watched.journal.place(2)
    watched.journal.server.trim(20)
    assert await watched.read_ids() == watched.expected_ids()


async def test_a_checkpoint_stored_between_two_questions_is_used(
    watched: CountedHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a reader that found a checkpoint of later events read the whole log instead."""
    monkeypatch.setattr(history_heads, "MAX_REPLAYED_EVENTS", 10)

    async def store_meanwhile() -> None:
        await watched.journal.place(5)
        await store_history(watched.journal.log, watched.journal.store, SmallOrderHistory, USER)

    watched.store.before_read = store_meanwhile
    assert await watched.read_ids() == watched.expected_ids()


async def test_a_store_with_older_bounds_does_not_start_over(watched: CountedHistory) -> None:
    bounds = await watched.log.bounds()
    await watched.journal.place(5)
    await store_history(watched.journal.log, watched.journal.store, SmallOrderHistory, USER)
    watched.log.reads.clear()
    older: Bounds = msgspec.structs.replace(bounds, last=bounds.last - 3)
    await store_history(watched.log, watched.journal.store, SmallOrderHistory, USER, older)
    assert 0 not in watched.log.reads


@pytest.mark.parametrize(("limit", "value"), [("MAX_HEADS", 1), ("MAX_HELD_ROWS", 20)])
async def test_the_heads_in_memory_are_limited(
    watched: CountedHistory, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(history_heads, limit, value)
    for number in range(30):
        id_ = f"b-{number}"
        await watched.journal.append("orders", id_, order_placed(id_), user="bob")
    await store_history(watched.journal.log, watched.journal.store, SmallOrderHistory, "bob")
    await watched.journal.place(19)

    assert await watched.read_ids() == watched.expected_ids()
    for owner, is_loaded in ((USER, False), ("bob", True), (USER, True), (USER, False)):
        watched.log.reads.clear()
        await watched.read_ids(owner=owner)
        assert bool(watched.log.reads) is is_loaded, owner


async def test_other_tasks_run_while_blocks_are_stored(
    watched: CountedHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that stores a long history goes on serving, and renews its leases."""
    await watched.journal.place(200)
    turns, longest = 0, 0
    encoded: list[int] = []

    async def take_turns() -> None:
        nonlocal turns, longest
        while True:
            turns += 1
            longest = max(longest, len(encoded))
            encoded.clear()
            await asyncio.sleep(0)

    values = checkpoint.checkpoint_values

    async def count_values(key: str, **how: Any) -> dict[str, bytes]:
        encoded.append(1)
        return await values(key, **how)

    monkeypatch.setattr(history_store, "checkpoint_values", count_values)
    ticking = asyncio.create_task(take_turns())
    await store_history(watched.log, watched.store, SmallOrderHistory, USER)
    ticking.cancel()
    assert turns > 50
    assert longest <= 2
