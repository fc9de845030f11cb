"""Histories: every entry of a list once, in its newest state, at any size and whoever stores it."""

import asyncio
import random
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tapewire.events import (
    Event,
    Order,
    OrderCanceled,
    OrderFilled,
    OrderPlaced,
    OrderStatus,
    TradeExecuted,
    TradeRow,
)
from tapewire.log import CommandRejected, EventDraft, EventMetadata, EventSubject, new_id
from tapewire.log.history import HistoryReader
from tapewire.log.history_store import store_history
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.ports import Conflict, Page, Unavailable
from tapewire.views import OrderHistory, TradeHistory
from tests.harness.publishers import make_order, order_placed, trade_executed
from tests.harness.waiting import wait_until

USER = "alice"


class SmallOrderHistory(OrderHistory):
    """Blocks of four orders."""

    block_rows = 4


class SmallTradeHistory(TradeHistory):
    block_rows = 4


class Journal:
    """A log in memory, with one user's orders."""

    def __init__(self) -> None:
        self.server = MemoryServer()
        self.log = MemoryEventLog(self.server)
        self.store = MemoryLatestValueStore(self.server, stream="VIEWS", prefix="view")
        self.reader = HistoryReader(self.log, self.store, SmallOrderHistory)
        self.trades = HistoryReader(self.log, self.store, SmallTradeHistory)
        self.orders: list[Order] = []

    async def append(self, domain: str, entity: str, *events: Event, user: str = USER) -> None:
        for event in events:
            meta = EventMetadata(id=new_id(), correlation="c")
            subject = EventSubject(user, domain, entity)
            await self.log.append([EventDraft(subject=subject, event=event, metadata=meta)])

    async def place(self, count: int = 1) -> None:
        for _ in range(count):
            id_ = f"o-{len(self.orders)}"
            self.orders.append(make_order(id_))
            placed = OrderPlaced(order=self.orders[-1], command_id=new_id())
            await self.append("orders", id_, placed)

    async def change(self, number: int, status: OrderStatus) -> None:
        before = self.orders[number]
        after = msgspec.structs.replace(before, status=status, reason=f"{status.value} {new_id()}")
        event: Event = OrderCanceled(order=after, command_id="c")
        if status is OrderStatus.PARTIALLY_FILLED:
            event = OrderFilled(
                order=after, command_id="f", trade_id="t", qty=Decimal(1), price=Decimal(1)
            )
        self.orders[number] = after
        await self.append("orders", before.order_id, event)

    def is_stored(self) -> bool:
        return f"{USER}.orders-history" in self.server.values.get("VIEWS/view", {})

    async def read_all(self, limit: int) -> list[Order]:
        found, cursor = list[Order](), None
        while True:
            page = await self.reader.read_page(USER, limit, cursor)
            assert len(page.rows) == limit or page.next is None
            found += page.rows
            cursor = page.next
            if cursor is None:
                return found


@pytest.fixture
async def journal() -> Journal:
    return Journal()


@pytest.mark.parametrize("seed", range(12))
async def test_every_order_is_listed_once_in_its_newest_state(seed: int) -> None:
    """Whatever was stored when, by however many processes, the pages are the log's orders."""
    rng, journal = random.Random(seed), Journal()
    for _ in range(120):
        dice = rng.random()
        still_open = [number for number, order in enumerate(journal.orders) if order.status.is_open]
        if dice < 0.5 or not still_open:
            await journal.place()
        elif dice < 0.8:
            status = rng.choice([OrderStatus.PARTIALLY_FILLED, OrderStatus.CANCELED])
            await journal.change(rng.choice(still_open), status)
        elif dice < 0.95:
            bounds = await journal.log.bounds()
            older = msgspec.structs.replace(bounds, last=rng.randrange(bounds.last + 1))
            await store_history(
                journal.log,
                journal.store,
                SmallOrderHistory,
                USER,
                rng.choice([bounds, older]),
            )
        else:
            limit = rng.randrange(1, 12)
            assert await journal.read_all(limit) == journal.orders[::-1]
    assert await journal.read_all(200) == journal.orders[::-1]
    await store_history(journal.log, journal.store, SmallOrderHistory, USER)
    assert await journal.read_all(7) == journal.orders[::-1]


@pytest.mark.parametrize("stored", [False, True])
async def test_a_cursor_is_stable_while_orders_are_placed_and_changed(
    journal: Journal, stored: bool
) -> None:
    await journal.place(23)
    first = await journal.reader.read_page(USER, 5, None)
    before = list(journal.orders)
    await journal.place(9)
    await journal.change(3, OrderStatus.CANCELED)
    await journal.change(30, OrderStatus.CANCELED)
    if stored:
        await store_history(journal.log, journal.store, SmallOrderHistory, USER)
    restarted = HistoryReader(journal.log, journal.store, SmallOrderHistory)
    seen, cursor = list(first.rows), first.next
    while cursor is not None:
        page = await restarted.read_page(USER, 5, cursor)
        seen += page.rows
        cursor = page.next
    assert [order.order_id for order in seen] == [order.order_id for order in before[::-1]]
    assert seen[-4].status is OrderStatus.CANCELED, "a page shows the state of now"


async def test_concurrent_writers_lose_no_change(journal: Journal) -> None:
    await journal.place(17)
    for number in range(0, 17, 2):
        await journal.change(number, OrderStatus.CANCELED)
        ends = [await journal.log.bounds()] * 3
        older = [
            msgspec.structs.replace(one, last=one.last - back) for back, one in enumerate(ends)
        ]
        results = await asyncio.gather(
            *(
                store_history(journal.log, journal.store, SmallOrderHistory, USER, bounds)
                for bounds in older
            ),
            return_exceptions=True,
        )
        assert all(result is True or isinstance(result, Conflict) for result in results)
        assert await journal.read_all(6) == journal.orders[::-1]


@pytest.mark.parametrize("seed", range(6))
async def test_an_order_that_was_closed_long_ago_is_listed_as_it_was_changed_last(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its execution is reported or corrected after many others were closed."""
    monkeypatch.setattr("tapewire.views.history.MAX_FINAL_NUMBERS", 3)
    rng, journal = random.Random(seed), Journal()
    await journal.place(22)
    for number in range(20):
        await journal.change(number, OrderStatus.CANCELED)
    for _ in range(12):
        await journal.change(rng.randrange(20), OrderStatus.CANCELED)
        if rng.random() < 0.5:
            await store_history(journal.log, journal.store, SmallOrderHistory, USER)
        if rng.random() < 0.3:
            await journal.place(3)
        if rng.random() < 0.3:
            journal.reader = HistoryReader(journal.log, journal.store, SmallOrderHistory)
        assert await journal.read_all(5) == journal.orders[::-1]


async def test_a_user_has_a_bounded_number_of_late_changes(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tapewire.views.history.MAX_FINAL_NUMBERS", 1)
    monkeypatch.setattr("tapewire.views.history.MAX_LATE_ROWS", 2)
    await journal.place(8)
    for number in (0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 0, 2, 1):
        await journal.change(number, OrderStatus.CANCELED)
    assert (await journal.read_all(3))[::-1][1:3] == journal.orders[1:3]
    history = SmallOrderHistory.decode(await _encoded_history(journal))
    assert sorted(history.late_rows()) == ["o-1", "o-2"]


async def _encoded_history(journal: Journal) -> bytes:
    history = SmallOrderHistory()
    for recorded in (await journal.log.page("ev.>", after=0, limit=1000)).events:
        history.apply(recorded.event)
    return history.encode()


@pytest.mark.parametrize("cursor", ["", "x", "!!!", "%00", "é", "W10", "eyJhIjoxfQ", "A" * 600])
async def test_a_malformed_cursor_is_rejected_by_name(journal: Journal, cursor: str) -> None:
    await journal.place(3)
    with pytest.raises(CommandRejected) as caught:
        await journal.reader.read_page(USER, 2, cursor)
    assert (caught.value.code, caught.value.path) == ("invalid", "cursor")


async def test_a_cursor_of_another_list_or_journal_is_rejected(journal: Journal) -> None:
    await journal.place(9)
    cursor = (await journal.reader.read_page(USER, 2, None)).next
    assert cursor is not None
    with pytest.raises(CommandRejected, match="of trades"):
        await journal.trades.read_page(USER, 2, cursor)
    with pytest.raises(CommandRejected, match="of orders"):  # more rows than bob has
        await journal.reader.read_page("bob", 2, cursor)
    journal.server.recreate()
    with pytest.raises(CommandRejected, match="journal that was replaced"):
        await journal.reader.read_page(USER, 2, cursor)


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_limit_out_of_bounds_is_rejected_by_name(journal: Journal, limit: int) -> None:
    with pytest.raises(CommandRejected) as caught:
        await journal.reader.read_page(USER, limit, None)
    assert caught.value.path == "limit"


async def test_several_trades_of_one_order_are_all_listed(journal: Journal) -> None:
    trades: list[TradeExecuted] = []
    for number in range(11):
        made = trade_executed("o-1", str(number + 1), "100")
        trades.append(msgspec.structs.replace(made, trade_id=f"t-{number}"))
        await journal.append("trades", "o-1", trades[-1])
    await store_history(journal.log, journal.store, SmallTradeHistory, USER)
    first = await journal.trades.read_page(USER, 6, None)
    second = await journal.trades.read_page(USER, 6, first.next)
    assert [*first.rows, *second.rows] == [TradeRow.of(one) for one in trades[::-1]]
    assert second.next is None


async def test_a_page_of_large_rows_is_cut_and_continued(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tapewire.log.history.MAX_PAGE_BYTES", 1000)
    await journal.place(10)
    seen, cursor, pages = list[Order](), None, 0
    while cursor is not None or not pages:
        page = await journal.reader.read_page(USER, 10, cursor)
        assert 1 <= len(page.rows) < 10
        seen += page.rows
        cursor, pages = page.next, pages + 1
    assert seen == journal.orders[::-1]


async def test_a_history_that_is_far_behind_is_stored_in_the_background(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an upgrade there is no stored history, and a request cannot read years of events."""
    monkeypatch.setattr("tapewire.log.history_heads.MAX_REPLAYED_EVENTS", 20)
    await journal.place(50)
    with pytest.raises(Unavailable, match="being prepared"):
        await journal.reader.read_page(USER, 10, None)
    await wait_until("the history is stored", journal.is_stored)
    assert await journal.read_all(10) == journal.orders[::-1]


async def test_an_interrupted_store_is_continued(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A history is stored in steps of bounded memory."""
    monkeypatch.setattr("tapewire.log.history_store.MAX_CHANGED_BLOCKS", 2)
    monkeypatch.setattr("tapewire.log.history_store.STORE_PAGE_EVENTS", 10)
    monkeypatch.setattr("tapewire.log.view_checkpoints.PAGE_EVENTS", 10)
    await journal.place(100)
    storing = asyncio.create_task(
        store_history(journal.log, journal.store, SmallOrderHistory, USER)
    )
    await wait_until("a step is stored", journal.is_stored)
    storing.cancel()
    await asyncio.wait({storing})
    assert await journal.read_all(30) == journal.orders[::-1]
    await store_history(journal.log, journal.store, SmallOrderHistory, USER)
    assert await journal.read_all(30) == journal.orders[::-1]


async def test_an_interrupted_store_of_a_dense_history_reads_the_whole_log(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a page of the owner's events in the middle of a long log took the server longer
    than a request may take, so every later attempt failed."""
    monkeypatch.setattr("tapewire.log.history_store.MIN_DENSE_ROWS", 10)
    monkeypatch.setattr("tapewire.log.view_checkpoints.MIN_SHARED_READ_EVENTS", 5)
    monkeypatch.setattr("tapewire.log.view_checkpoints.PAGE_EVENTS", 10)
    monkeypatch.setattr("tapewire.log.history_store.STORE_PAGE_EVENTS", 10)
    await journal.place(30)
    await store_history(journal.log, journal.store, SmallOrderHistory, USER)
    await journal.place(40)
    filters: list[str] = []
    page = journal.log.page

    async def record_filter(filter_: str, **how: Any) -> Page:
        filters.append(filter_)
        return await page(filter_, **how)

    monkeypatch.setattr(journal.log, "page", record_filter)
    await store_history(journal.log, journal.store, SmallOrderHistory, USER)
    assert filters[:2] == ["ev.>", "ev.>"]
    assert await journal.read_all(30) == journal.orders[::-1]


async def test_the_end_of_a_long_log_is_read_as_a_whole(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events of others and of other domains between those of the user change nothing."""
    monkeypatch.setattr("tapewire.log.view_checkpoints.MIN_SHARED_READ_EVENTS", 5)
    monkeypatch.setattr("tapewire.log.view_checkpoints.PAGE_EVENTS", 10)
    for number in range(60):
        await journal.place()
        await journal.append("orders", f"b-{number}", order_placed(f"b-{number}"), user="bob")
        await journal.append("trades", "t", trade_executed("t", "1", "1"))
    assert await journal.read_all(30) == journal.orders[::-1]


async def test_orders_that_were_placed_before_a_change_of_code_are_not_doubled(
    journal: Journal,
) -> None:
    """The same event folded twice would number the later orders differently."""
    await journal.place(6)
    await journal.append("orders", "o-0", OrderPlaced(order=journal.orders[0], command_id="again"))
    listed = await journal.read_all(10)
    assert [order.order_id for order in listed] == [f"o-{n}" for n in reversed(range(6))]
