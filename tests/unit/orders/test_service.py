"""The replies of the orders service, on the log in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from decimal import Decimal

import pytest

from tapewire.events import OrderStatus
from tapewire.log import CommandRejected, EventSubject, Unavailable
from tapewire.log.memory import Faults, MemoryLatestValueStore, MemoryServer
from tapewire.log.view_checkpointer import MIN_CHECKPOINT_EVENTS, ViewCheckpointer
from tapewire.runtime.contracts.orders import CancelOrder, GetOrder, ListOrders, order_id
from tapewire.views import OrdersView
from tapewire_services.orders.domain.commands import FillOrderCommand
from tests.harness.memory_process import make_context
from tests.harness.order_builders import USER, at
from tests.harness.orders_process import (
    OrdersProcess,
    QuoteSimulator,
    place_request,
    read_log_summary,
)

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
async def process(server: MemoryServer) -> AsyncIterator[OrdersProcess]:
    """The service without its broker; IBM is quoted."""
    await QuoteSimulator(server).publish_quote()
    process = await OrdersProcess(server).start(with_broker=False)
    await asyncio.sleep(10)
    yield process
    await process.kill()


async def refused(answer: Awaitable[object]) -> tuple[str, str | None]:
    with pytest.raises(CommandRejected) as refusal:
        await answer
    return refusal.value.code, refusal.value.path


async def test_placing_returns_the_order(process: OrdersProcess) -> None:
    reply = await process.service.place(
        place_request("10", limit="99.5", client_order_id="mine"), make_context()
    )
    assert reply.created
    order = reply.order
    assert (order.client_order_id, order.status) == ("mine", OrderStatus.NEW)
    assert (order.qty, order.limit_price) == (Decimal(10), Decimal("99.5"))


async def test_the_same_client_order_id_returns_the_order_as_it_is_now(
    process: OrdersProcess, server: MemoryServer
) -> None:
    first = await process.service.place(place_request(client_order_id="mine"), make_context())
    await process.cancel_order(first.order.order_id)
    for again in (process, OrdersProcess(server)):
        await again.quote_cache.start()
        reply = await again.service.place(place_request(client_order_id="mine"), make_context())
        assert (reply.created, reply.order.status) == (False, OrderStatus.CANCELED)
    other = process.service.place(place_request("11", client_order_id="mine"), make_context())
    assert await refused(other) == ("key_reused", "clientOrderId")


async def test_a_repeated_command_gets_the_same_reply(
    process: OrdersProcess, server: MemoryServer
) -> None:
    first = await process.service.place(place_request(), make_context("command"))
    again = await process.service.place(place_request(), make_context("command"))
    assert first.created
    assert again == first
    assert len((await read_log_summary(server)).orders) == 1
    canceling = CancelOrder(user_id=USER, order_id=first.order.order_id)
    one = await process.service.cancel(canceling, make_context("c"))
    assert await process.service.cancel(canceling, make_context("c")) == one
    assert await refused(process.service.cancel(canceling, make_context("d"))) == (
        "conflict",
        None,
    )


async def test_concurrent_requests_with_one_client_order_id_place_one_order(
    process: OrdersProcess, server: MemoryServer
) -> None:
    processes = [
        process,
        *(OrdersProcess(server, Faults(seed=n, max_delay_seconds=0.1)) for n in range(5)),
    ]
    for other in processes[1:]:
        await other.quote_cache.start()
    replies = await asyncio.gather(
        *(one.place_order(place_request(client_order_id="mine")) for one in processes)
    )
    assert sorted(reply.created for reply in replies) == [False] * 5 + [True]
    assert len({reply.order.order_id for reply in replies}) == 1
    assert len((await read_log_summary(server)).events) == 1


async def test_a_thousand_concurrent_orders(process: OrdersProcess, server: MemoryServer) -> None:
    await asyncio.gather(*(process.place_order(place_request()) for _ in range(1000)))
    assert len((await read_log_summary(server)).orders) == 1000


async def test_bad_fields_are_named(process: OrdersProcess, server: MemoryServer) -> None:
    place = process.service.place
    assert await refused(place(place_request("0"), make_context())) == ("invalid", "qty")
    assert await refused(place(place_request("NaN"), make_context())) == ("invalid", "qty")
    assert await refused(place(place_request(limit="-1"), make_context())) == (
        "invalid",
        "limitPrice",
    )
    assert await refused(place(place_request(client_order_id=""), make_context())) == (
        "invalid",
        "clientOrderId",
    )
    assert await refused(place(place_request(symbol="NOPE"), make_context())) == (
        "invalid",
        "symbol",
    )
    assert await refused(place(place_request(symbol=""), make_context())) == (
        "invalid",
        "symbol",
    )
    assert (await read_log_summary(server)).events == []


async def test_an_order_of_another_user_is_not_found(process: OrdersProcess) -> None:
    id_ = (await process.place_order(place_request(user="bob"))).order.order_id
    for guess in (id_, "nonsense", "", "*", ">", "x" * 1000):
        get = process.service.get(GetOrder(user_id=USER, order_id=guess), make_context())
        assert await refused(get) == ("not_found", None)
        cancel = CancelOrder(user_id=USER, order_id=guess)
        assert await refused(process.service.cancel(cancel, make_context())) == (
            "not_found",
            None,
        )
    found = await process.service.get(GetOrder(user_id="bob", order_id=id_), make_context())
    assert found.order.order_id == id_


async def test_an_order_that_was_requested_too_early_can_be_canceled_later(
    process: OrdersProcess, server: MemoryServer
) -> None:
    """One process caches that the order does not exist, and another process places it. Canceling it
    through the first one used to fail with not_found."""
    other = await OrdersProcess(server).start(with_broker=False)
    id_ = order_id(USER, "mine")
    get = process.service.get(GetOrder(user_id=USER, order_id=id_), make_context())
    assert await refused(get) == ("not_found", None)
    await other.place_order(place_request(client_order_id="mine"))
    assert (await process.cancel_order(id_)).status is OrderStatus.CANCELED
    await other.kill()


async def test_reading_sees_what_other_processes_wrote(
    process: OrdersProcess, server: MemoryServer
) -> None:
    id_ = (await process.place_order(place_request())).order.order_id
    other = await OrdersProcess(server).start(with_broker=False)
    await other.cancel_order(id_)
    found = await process.service.get(GetOrder(user_id=USER, order_id=id_), make_context())
    assert found.order.status is OrderStatus.CANCELED
    await other.kill()


async def test_the_list_states_the_sequence_that_it_is_true_for(
    process: OrdersProcess, server: MemoryServer
) -> None:
    ids = [(await process.place_order(place_request())).order.order_id for _ in range(3)]
    await process.place_order(place_request(user="bob"))
    await process.cancel_order(ids[0])
    reply = await process.service.list(ListOrders(user_id=USER), make_context())
    assert [order.order_id for order in reply.orders] == ids[::-1]
    assert reply.orders[-1].status is OrderStatus.CANCELED
    assert (reply.as_of, reply.epoch) == (server.journal.last, server.journal.epoch)


async def test_requests_fail_with_unavailable_while_the_log_is_away(
    process: OrdersProcess, server: MemoryServer
) -> None:
    server.stop()
    with pytest.raises(Unavailable):
        await process.service.place(place_request(), make_context())
    with pytest.raises(Unavailable):
        await process.service.list(ListOrders(user_id=USER), make_context())


async def checkpoint(server: MemoryServer, user: str = USER) -> bytes | None:
    return await MemoryLatestValueStore(server, stream="VIEWS", prefix="view").get(f"{user}.orders")


@pytest.mark.usefixtures("process")
async def test_a_users_view_is_checkpointed_after_enough_events_and_not_before(
    server: MemoryServer,
) -> None:
    process = await OrdersProcess(server).start(with_broker=False, with_projector=True)
    for _number in range(MIN_CHECKPOINT_EVENTS - 1):
        await process.place_order(place_request())
    await asyncio.sleep(5)
    assert await checkpoint(server) is None
    await process.place_order(place_request())
    await asyncio.sleep(5)
    first = await checkpoint(server)
    assert first is not None
    listed = await process.service.list(ListOrders(user_id=USER), make_context())
    assert len(listed.orders) == MIN_CHECKPOINT_EVENTS
    await process.cancel_order(listed.orders[0].order_id)
    await asyncio.sleep(5)
    assert await checkpoint(server) == first
    again = await process.service.list(ListOrders(user_id=USER), make_context())
    assert again.orders[0].status is OrderStatus.CANCELED
    await process.kill()


async def test_the_view_checkpointer_counts_a_bounded_number_of_users(
    monkeypatch: pytest.MonkeyPatch, process: OrdersProcess, server: MemoryServer
) -> None:
    monkeypatch.setattr("tapewire.log.view_checkpointer.MAX_COUNTED_USERS", 3)

    projector = ViewCheckpointer(process.log, process.views, OrdersView)
    for number in range(10):
        await process.place_order(place_request(user=f"u{number % 5}"))
    for recorded in (await read_log_summary(server)).events:
        await projector.handle(recorded)
    assert len(projector._counts) == 3


async def test_canceling_what_was_filled_meanwhile_is_a_conflict(
    process: OrdersProcess, server: MemoryServer
) -> None:
    id_ = (await process.place_order(place_request("10"))).order.order_id
    other = OrdersProcess(server)
    fill = FillOrderCommand(
        id="f",
        at=at(1),
        user=USER,
        qty=Decimal(10),
        price=Decimal(1),
        filled_before=Decimal(0),
    )
    await other.orders.handle(
        EventSubject(USER, "orders", id_), fill, correlation="c", traceparent=None
    )
    cancel = CancelOrder(user_id=USER, order_id=id_)
    assert await refused(process.service.cancel(cancel, make_context())) == ("conflict", None)
