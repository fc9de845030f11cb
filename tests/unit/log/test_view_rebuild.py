"""A stored view is rebuilt beside the old one, and what services store meanwhile is not lost."""

from typing import Any

import pytest

from tapewire.log import Conflict, EventDraft, EventMetadata, EventSubject, new_id
from tapewire.log import view_checkpoints as checkpoints
from tapewire.log.history import HistoryReader
from tapewire.log.history_store import store_history
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.view_rebuild import rebuild_view
from tapewire.views import OrderHistory, OrdersView
from tests.harness.interrupted_store import InterruptedStore
from tests.harness.publishers import order_placed

pytestmark = pytest.mark.virtual_time

USER, NEIGHBOR = "alice", "bob"
NAME = checkpoints.checkpoint_name(OrdersView)
LARGE_HISTORY_ORDERS = 4 * 1001
"""More blocks of four than fit one batch."""


class SmallOrderHistory(OrderHistory):
    block_rows = 4


class MisfoldedHistory(SmallOrderHistory):
    """What an earlier version of the code folded: every order twice."""

    def apply(self, event: Any) -> None:
        super().apply(event)
        order = getattr(event, "order", None)
        if order is not None:
            super().apply(order_placed(f"{order.order_id}-again"))


class Journal:
    def __init__(self) -> None:
        self.server = MemoryServer()
        self.log = MemoryEventLog(self.server)
        self.store = MemoryLatestValueStore(self.server, stream="VIEWS", prefix="view")
        self.interrupted = InterruptedStore(self.server, stream="VIEWS", prefix="view")

    async def place(self, *ids: str, user: str = USER) -> None:
        for id_ in ids:
            meta = EventMetadata(id=new_id(), correlation="c")
            subject = EventSubject(user, "orders", id_)
            await self.log.append(
                [EventDraft(subject=subject, event=order_placed(id_), metadata=meta)]
            )

    async def store_wrong_view(self, user: str = USER) -> None:
        """Store an empty view as of the end of the log."""
        await checkpoints.save(self.store, user, NAME, OrdersView(), await self.log.bounds())

    async def order_ids(self, user: str = USER) -> list[str]:
        view, _ = await checkpoints.load(self.log, self.store, OrdersView, user)
        return [order.order_id for order in view.orders()]

    async def save_as_a_service(self) -> None:
        """Load the view and save it under the revision that it was loaded from."""
        view, bounds, start = await checkpoints.load_with_start(
            self.log, self.store, OrdersView, USER
        )
        await checkpoints.save(self.store, USER, NAME, view, bounds, revision=start.revision)

    async def listed_ids(self) -> list[str]:
        reader = HistoryReader(self.log, self.store, SmallOrderHistory)
        return [row.order_id for row in (await reader.read_page(USER, 200, None)).rows]


async def test_a_wrong_view_is_replaced_and_a_neighbors_is_left() -> None:
    journal = Journal()
    for user in (USER, NEIGHBOR):
        await journal.place("a", "b", user=user)
        await journal.store_wrong_view(user)
    assert await journal.order_ids() == []
    await rebuild_view(journal.log, journal.store, OrdersView, USER)
    assert await journal.order_ids() == ["a", "b"]
    assert await journal.order_ids(NEIGHBOR) == []


async def test_a_view_that_was_never_stored_is_stored() -> None:
    journal = Journal()
    await journal.place("a")
    await rebuild_view(journal.log, journal.store, OrdersView, USER)
    assert await journal.order_ids() == ["a"]


async def test_a_service_that_stores_the_old_view_meanwhile_does_not_bring_it_back() -> None:
    journal = Journal()
    await journal.place("a", "b")
    await journal.store_wrong_view()

    async def place_and_save() -> None:
        await journal.place("c")
        await journal.save_as_a_service()

    journal.interrupted.before_write = (place_and_save, place_and_save)
    await rebuild_view(journal.log, journal.interrupted, OrdersView, USER)
    assert await journal.order_ids() == ["a", "b", "c"]


async def test_a_service_that_loaded_the_old_view_before_cannot_store_it_afterwards() -> None:
    journal = Journal()
    await journal.place("a", "b")
    await journal.store_wrong_view()
    view, bounds, start = await checkpoints.load_with_start(
        journal.log, journal.store, OrdersView, USER
    )
    await rebuild_view(journal.log, journal.store, OrdersView, USER)
    with pytest.raises(Conflict):
        await checkpoints.save(journal.store, USER, NAME, view, bounds, revision=start.revision)
    assert await journal.order_ids() == ["a", "b"]


async def test_a_view_that_is_stored_again_and_again_is_given_up() -> None:
    journal = Journal()
    await journal.place("a")
    await journal.store_wrong_view()
    journal.interrupted.before_write = (journal.store_wrong_view,) * 100
    with pytest.raises(Conflict, match="orders of 'alice' was stored again each time"):
        await rebuild_view(journal.log, journal.interrupted, OrdersView, USER)


@pytest.mark.parametrize("count", [1, 30, LARGE_HISTORY_ORDERS])
async def test_a_wrong_history_is_replaced_with_all_its_blocks(count: int) -> None:
    journal = Journal()
    ids = [f"o{number}" for number in range(count)]
    await journal.place(*ids)
    await store_history(journal.log, journal.store, MisfoldedHistory, USER)
    assert (await journal.listed_ids())[0] != ids[-1]
    await rebuild_view(journal.log, journal.store, SmallOrderHistory, USER)
    assert await journal.listed_ids() == ids[::-1][:200]


async def test_a_history_that_grows_meanwhile_is_complete() -> None:
    journal = Journal()
    await journal.place(*(f"o{number}" for number in range(30)))
    await store_history(journal.log, journal.store, MisfoldedHistory, USER)

    async def grow() -> None:
        await journal.place("later")
        await store_history(journal.log, journal.store, MisfoldedHistory, USER)

    journal.interrupted.before_write = (grow,)
    await rebuild_view(journal.log, journal.interrupted, SmallOrderHistory, USER)
    assert await journal.listed_ids() == ["later", *(f"o{number}" for number in range(29, -1, -1))]
