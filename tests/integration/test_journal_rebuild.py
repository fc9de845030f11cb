"""`tapewire journal rebuild` replaces stored views while services run, without a pause."""

import asyncio

import httpx

from tapewire.log import EventDraft, EventMetadata, EventSubject, new_id, pattern
from tapewire.log import view_checkpoints as checkpoints
from tapewire.log.jetstream import JetStreamEventLog, JetStreamLatestValueStore, connect
from tapewire.log.jetstream.streams import VIEWS
from tapewire.views import OrderHistory, OrdersView
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.provisioning import run_command
from tests.harness.publishers import order_placed
from tests.harness.waiting import wait_until, wait_until_async

USER = "alice"
FIRST_ORDERS, LATER_ORDERS = 40, 10


class Reader:
    """Lists the orders of a user again and again, until cancelled."""

    def __init__(self, edge: EdgeProcess, cookie: str) -> None:
        self.edge, self.cookie = edge, cookie
        self.answers: list[tuple[int, list[str]]] = []

    async def run(self) -> None:
        async with self.edge.client(self.cookie) as http:
            while True:
                answer = await http.get("/api/orders", params={"limit": 200})
                self.answers.append((answer.status_code, _ids(answer)))

    @property
    def last_ids(self) -> list[str]:
        return self.answers[-1][1] if self.answers else []


def _ids(answer: httpx.Response) -> list[str]:
    return [order["orderId"] for order in answer.json().get("orders", ())]


async def _place(log: JetStreamEventLog, user: str, ids: list[str]) -> None:
    for id_ in ids:
        meta = EventMetadata(id=new_id(), correlation="c")
        subject = EventSubject(user, "orders", id_)
        await log.append([EventDraft(subject=subject, event=order_placed(id_), metadata=meta)])


async def _wait_accepted(log: JetStreamEventLog, count: int) -> None:
    """Wait until the broker has accepted `count` orders: no later event brings one of them back."""

    async def accepted() -> bool:
        return await log.last_sequence(pattern(domain="orders")) >= 2 * count

    await wait_until_async("the broker has accepted all orders", accepted)


async def test_wrong_views_are_replaced_while_clients_read_and_services_write(
    isolated_harness: Harness,
) -> None:
    url = isolated_harness.broker.url
    edge = isolated_harness.start_edge()
    isolated_harness.start_orders()
    connection = await connect(url, "test")
    log = JetStreamEventLog(connection)
    store = JetStreamLatestValueStore(connection, stream=VIEWS, prefix="view")
    ids = [f"o{number}" for number in range(FIRST_ORDERS + LATER_ORDERS)]
    await _place(log, USER, ids[:FIRST_ORDERS])
    await _wait_accepted(log, FIRST_ORDERS)
    # As a version of the code would store them that misses every order.
    for view_type in (OrdersView, OrderHistory):
        name = checkpoints.checkpoint_name(view_type)
        await checkpoints.save(store, USER, name, view_type(), await log.bounds())

    reader = Reader(edge, await edge.sign_in(USER))
    reading = asyncio.create_task(reader.run())
    await wait_until("the old view is read", lambda: reading.done() or reader.answers)
    assert len(reader.last_ids) < FIRST_ORDERS, "the old view was not read before"
    placing = asyncio.create_task(_place(log, USER, ids[FIRST_ORDERS:]))
    views = ("--view", "orders", "--view", "orders-history")
    rebuilt = await asyncio.to_thread(
        run_command, "journal", "rebuild", *views, "--user", USER, "--nats", url
    )
    await placing
    assert rebuilt[0] == 0, rebuilt[1]
    assert "rebuilt 2 views" in rebuilt[1]
    await wait_until(
        "all orders are listed",
        lambda: reading.done() or reader.last_ids == ids[::-1],
        describe_last=lambda: reader.answers[-1:],
    )
    reading.cancel()
    assert {status for status, _ in reader.answers} == {200}
    view, _ = await checkpoints.load(log, store, OrdersView, USER)
    assert [order.order_id for order in view.orders()] == ids
    await connection.close()
