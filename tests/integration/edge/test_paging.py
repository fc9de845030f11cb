"""Lists of any length over REST: pages, cursors, and streams with thousands of open orders."""

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest

from tapewire.events import OrderPlaced
from tapewire.log import EventDraft, EventMetadata, EventSubject, new_id
from tapewire.log.ports import MAX_BATCH_EVENTS
from tests.harness.edge import EdgeProcess, Harness, ManagedService
from tests.harness.publishers import EventLogDriver, make_order, order_filled, trade_executed
from tests.harness.waiting import wait_until, wait_until_async

OPEN_ORDERS = 6_000
"""Their snapshot is larger than a message may be."""
MAX_PAYLOAD_BYTES = 1024 * 1024
ORDERS = "/api/stream/orders"


@pytest.fixture(scope="module")
def orders_service(paging_harness: Harness) -> ManagedService:
    return paging_harness.start_orders()


@pytest.fixture(scope="module")
def paging_harness(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A harness whose orders service restarts."""
    made = Harness(tmp_path_factory.mktemp("paging"))
    yield made
    made.close()


@pytest.fixture
def edge(paging_harness: Harness, orders_service: ManagedService) -> EdgeProcess:  # noqa: ARG001
    return paging_harness.shared_edge()


@pytest.fixture
async def journal(paging_harness: Harness, edge: EdgeProcess) -> AsyncIterator[EventLogDriver]:  # noqa: ARG001
    async with paging_harness.journal() as opened:
        yield opened


@pytest.fixture
def user(fresh: Callable[[str], str]) -> str:
    return fresh("alice")


@pytest.fixture
async def http(edge: EdgeProcess, user: str) -> AsyncIterator[httpx.AsyncClient]:
    async with edge.client(await edge.sign_in(user)) as client:
        client.timeout = httpx.Timeout(60)
        yield client


async def place_orders(journal: EventLogDriver, user: str, count: int, prefix: str = "o") -> None:
    """Append that many open orders, which no quote fills."""
    for start in range(0, count, MAX_BATCH_EVENTS):
        drafts = []
        for number in range(start, min(start + MAX_BATCH_EVENTS, count)):
            id_ = f"{prefix}-{number:06d}"
            order = make_order(id_, symbol="NONE", limit_price=Decimal("0.01"))
            drafts.append(
                EventDraft(
                    subject=EventSubject(user, "orders", id_),
                    event=OrderPlaced(order=order, command_id=new_id()),
                    metadata=EventMetadata(id=new_id(), correlation="c-test"),
                )
            )
        await journal.log.append(drafts)


async def read_page(http: httpx.AsyncClient, path: str, **query: Any) -> Any:
    """A page. A service that stores a long history for the first time answers 503 meanwhile."""
    answer: Any = None

    async def is_answered() -> object:
        nonlocal answer
        answer = await http.get(path, params=query)
        return answer.status_code != 503

    await wait_until_async(f"{path} is answered", is_answered, timeout_seconds=120)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def read_all(http: httpx.AsyncClient, path: str, name: str, **query: Any) -> list[Any]:
    rows, page = [], await read_page(http, path, **query)
    while True:
        rows += page[name]
        if "next" not in page:
            return rows
        page = await read_page(http, path, **query, cursor=page["next"])


async def test_thousands_of_open_orders_are_listed_and_streamed(
    paging_harness: Harness,
    edge: EdgeProcess,
    http: httpx.AsyncClient,
    journal: EventLogDriver,
    orders_service: ManagedService,
    user: str,
    fresh: Callable[[str], str],
) -> None:
    """No reply, checkpoint or snapshot has a limit of size. The broker goes on to fill
    orders."""
    await place_orders(journal, user, OPEN_ORDERS)
    listed = await read_all(http, "/api/orders", "orders", limit=200)
    assert [order["orderId"] for order in listed] == [
        f"o-{number:06d}" for number in reversed(range(OPEN_ORDERS))
    ]
    async with await edge.open_stream(ORDERS, await edge.sign_in(user)) as stream:
        snapshot = await stream.read_until(
            "the snapshot", lambda frame: frame.event == "order:update"
        )
    assert len(snapshot.data["orders"]) == OPEN_ORDERS
    assert len(msgspec.json.encode(snapshot.data)) > MAX_PAYLOAD_BYTES

    async def all_are_accepted() -> object:
        page = await journal.log.page(f"ev.{user}.orders.>", after=0, limit=1)
        return page.remaining + 1 == 2 * OPEN_ORDERS

    await wait_until_async("the broker has accepted all", all_are_accepted, timeout_seconds=240)
    one = f"o-{OPEN_ORDERS // 2:06d}"
    assert (await http.delete(f"/api/orders/{one}")).json()["status"] == "canceled"
    listed = await read_all(http, "/api/orders", "orders")
    assert {order["orderId"] for order in listed if order["status"] != "new"} == {one}
    failures = orders_service.find_log_lines("checkpoint.write_failed")
    # A busy machine answers late; the next attempt saves the checkpoint.
    assert [line for line in failures if "answer from" not in line["error"]] == []
    await check_filled(paging_harness, edge, fresh("bob"))
    assert orders_service.find_log_lines("lease.lost") == []


async def check_filled(harness: Harness, edge: EdgeProcess, user: str) -> None:
    """Check that an order of `user` is filled."""
    order = {"symbol": "FILL", "side": "buy", "type": "limit", "qty": 1, "limitPrice": 100}
    async with (
        harness.market() as market,
        edge.client(await edge.sign_in(user)) as http,
    ):
        await market.list_symbol("FILL", 10)
        id_ = (await http.post("/api/orders", json=order)).json()["orderId"]

        async def is_filled() -> object:
            await market.publish("FILL", 10)
            return (await http.get(f"/api/orders/{id_}")).json()["status"] == "filled"

        await wait_until_async("the order is filled", is_filled)


async def test_a_cursor_survives_a_restart_and_orders_that_are_placed_meanwhile(
    paging_harness: Harness, http: httpx.AsyncClient, journal: EventLogDriver, user: str
) -> None:
    await place_orders(journal, user, 700)
    page = await read_page(http, "/api/orders", limit=100)
    seen = page["orders"]
    other = paging_harness.start_orders()  # the next pages come from either process
    for number in range(6):
        await place_orders(journal, user, 50, f"later-{number}")
        page = await read_page(http, "/api/orders", limit=100, cursor=page["next"])
        seen += page["orders"]
    other.stop()
    assert [order["orderId"] for order in seen] == [
        f"o-{number:06d}" for number in reversed(range(700))
    ]
    assert "next" not in page
    assert len(await read_all(http, "/api/orders", "orders")) == 1000


async def test_every_trade_is_listed(
    http: httpx.AsyncClient, journal: EventLogDriver, user: str
) -> None:
    for number in range(300):
        trade = trade_executed(f"o-{number // 2}", "1", "100")
        trade = msgspec.structs.replace(trade, trade_id=f"t-{number}")
        subject = EventSubject(user, "trades", f"o-{number // 2}")
        await journal.append_one(subject, trade, EventMetadata(id=new_id(), correlation="c"))
    listed = await read_all(http, "/api/trades", "trades", limit=130)
    assert [trade["tradeId"] for trade in listed] == [f"t-{n}" for n in reversed(range(300))]
    assert listed[0].keys() >= {"tradeId", "orderId", "symbol", "side", "qty", "price", "timestamp"}


async def test_an_order_filled_long_after_later_ones_is_listed_as_it_is(
    http: httpx.AsyncClient, journal: EventLogDriver, user: str
) -> None:
    await place_orders(journal, user, 600)
    await read_all(http, "/api/orders", "orders")
    filled = order_filled("o-000003", "10", "12", symbol="NONE")
    await journal.append(user, filled)
    listed = await read_all(http, "/api/orders", "orders", limit=77)
    assert listed[-4]["status"] == filled.order.status.value != "new"
    assert len(listed) == 600


@pytest.mark.parametrize("path", ["/api/orders", "/api/trades"])
async def test_invalid_pages_are_refused_by_name(http: httpx.AsyncClient, path: str) -> None:
    for query, name in (
        ("cursor=abc", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=%00", "cursor"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=-1", "limit"),
    ):
        answer = await http.get(f"{path}?{query}")
        assert (answer.status_code, answer.json().get("path")) == (422, name), (query, answer.text)


@pytest.mark.parametrize("name", ["symbol", "Symbols", "maxrate", "topic", "last_event_ids"])
async def test_a_misspelled_parameter_of_a_stream_is_refused(
    edge: EdgeProcess, http: httpx.AsyncClient, name: str
) -> None:
    answer = await http.get(f"/api/stream/prices?{name}=1")
    assert (answer.status_code, answer.json()["path"]) == (422, name)
    async with await edge.open_stream("/api/stream/prices?_=17&v=2", None) as stream:
        assert (await stream.read()).event


async def test_a_replaced_journal_rejects_older_cursors(
    http: httpx.AsyncClient, journal: EventLogDriver, orders_service: ManagedService, user: str
) -> None:
    """The last test of the module: it recreates the log."""
    await place_orders(journal, user, 9)
    cursor = (await read_page(http, "/api/orders", limit=5))["next"]
    await asyncio.sleep(0)
    await journal.recreate_stream()
    answer: Any = None

    async def is_rejected() -> object:
        nonlocal answer
        answer = await http.get("/api/orders", params={"cursor": cursor})
        return answer.status_code == 422

    await wait_until_async("the cursor is rejected", is_rejected)
    assert answer.json()["path"] == "cursor"
    await wait_until("the service goes on", lambda: orders_service.process.poll() is None)
