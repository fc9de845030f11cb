"""Requests while a process or the message server is suspended (SIGSTOP): nothing hangs, nothing is
carried out late, and answers say what is known (W9).

A suspended process keeps its connections. The message server goes on choosing it for half of the
requests, and what was sent to it is delivered when it continues.
"""

import asyncio
import json
import time
from collections import Counter
from typing import Any

import httpx
import pytest

from tapewire.events import OrderPlaced
from tapewire_services.orders.broker_runner import MAX_STORING_TIME
from tests.harness.edge import EdgeProcess, Harness, ManagedService
from tests.harness.waiting import wait_until, wait_until_async

MAX_WAIT_SECONDS = 3.0
ORDER_COUNT = 60
STALE_SECONDS = 4.0
"""Longer than any request waits."""


def resting(symbol: str, **fields: Any) -> dict[str, Any]:
    """Return a limit order that the market does not reach."""
    return {"symbol": symbol, "side": "buy", "type": "limit", "limitPrice": 1, "qty": 1, **fields}


class OrdersSetup:
    """An edge, replicas of the orders service, a user, and the user's journal."""

    def __init__(self, harness: Harness, edge: EdgeProcess, replicas: list[ManagedService]) -> None:
        self.harness = harness
        self.edge = edge
        self.replicas = replicas
        self.user = "alice"
        self.symbol = "SYM"

    async def placed_orders(self) -> list[str]:
        """The client order ids of all orders of the user in the journal."""
        async with self.harness.journal() as journal:
            events = await journal.read_user(self.user)
        return [
            recorded.event.order.client_order_id
            for recorded in events
            if isinstance(recorded.event, OrderPlaced)
        ]

    async def timed(self, request: Any) -> tuple[httpx.Response, float]:
        began = time.monotonic()
        answer = await request
        return answer, time.monotonic() - began


async def start_setup(harness: Harness, replicas: int) -> OrdersSetup:
    started = [harness.start_orders() for _ in range(replicas)]
    setup = OrdersSetup(harness, harness.start_edge(), started)
    async with harness.market() as market:
        await market.publish(setup.symbol)
    cookie = await setup.edge.sign_in(setup.user)
    async with setup.edge.client(cookie) as http:

        async def answers() -> bool:
            return (await http.post("/api/orders", json=resting(setup.symbol))).status_code == 201

        # Each replica learns of the symbol by itself.
        for _ in range(4 * replicas):
            await wait_until_async("orders are placed", answers)
    return setup


@pytest.fixture
async def setup(isolated_harness: Harness) -> OrdersSetup:
    return await start_setup(isolated_harness, replicas=2)


@pytest.fixture
async def single_replica_setup(isolated_harness: Harness) -> OrdersSetup:
    return await start_setup(isolated_harness, replicas=1)


async def place_many(setup: OrdersSetup, http: httpx.AsyncClient, count: int) -> list[float]:
    """Place `count` orders, four at a time. Return how long each took."""
    limit = asyncio.Semaphore(4)
    waits = []

    async def place_order(number: int) -> None:
        async with limit:
            body = resting(setup.symbol, clientOrderId=f"o-{number}")
            answer, seconds = await setup.timed(http.post("/api/orders", json=body))
        assert answer.status_code == 201, answer.text
        waits.append(seconds)

    await asyncio.gather(*(place_order(number) for number in range(count)))
    return waits


@pytest.mark.parametrize("frozen", [0, 1])
async def test_orders_are_placed_in_time_while_one_of_two_replicas_is_suspended(
    setup: OrdersSetup, frozen: int
) -> None:
    async with setup.edge.client(await setup.edge.sign_in(setup.user)) as http:
        before = await setup.placed_orders()
        setup.replicas[frozen].freeze()
        try:
            waits = await place_many(setup, http, ORDER_COUNT)
            await asyncio.sleep(STALE_SECONDS)  # until the deadlines have passed
        finally:
            setup.replicas[frozen].thaw()
        assert max(waits) < MAX_WAIT_SECONDS
        await wait_until(
            "the replica has refused what was sent to it",
            lambda: setup.replicas[frozen].find_log_lines("requests.expired"),
        )
        after = await setup.placed_orders()
    assert sorted(after[len(before) :]) == sorted(f"o-{number}" for number in range(ORDER_COUNT))


async def test_reads_are_answered_in_time_while_one_of_two_replicas_is_suspended(
    setup: OrdersSetup,
) -> None:
    async with setup.edge.client(await setup.edge.sign_in(setup.user)) as http:
        setup.replicas[1].freeze()
        try:
            for _ in range(20):
                answer, seconds = await setup.timed(http.get("/api/orders"))
                assert answer.status_code == 200
                assert seconds < MAX_WAIT_SECONDS
        finally:
            setup.replicas[1].thaw()


async def test_an_order_sent_to_a_suspended_service_is_not_placed_when_it_continues(
    single_replica_setup: OrdersSetup,
) -> None:
    """The answer says that the outcome is unknown, and names the key to repeat the order with."""
    setup, [service] = single_replica_setup, single_replica_setup.replicas
    async with setup.edge.client(await setup.edge.sign_in(setup.user)) as http:
        before = await setup.placed_orders()
        service.freeze()
        try:
            answers = [
                await setup.timed(http.post("/api/orders", json=resting(setup.symbol)))
                for _ in range(2)
            ]
        finally:
            service.thaw()
        for answer, seconds in answers:
            assert seconds < MAX_WAIT_SECONDS
            assert (answer.status_code, answer.json()["outcome"]) == (503, "unknown")
            assert int(answer.headers["Retry-After"]) >= 1
        await wait_until(
            "the service has refused both",
            lambda: len(service.find_log_lines("requests.expired")) >= 2,
        )
        assert await setup.placed_orders() == before

        first = answers[0][0].json()
        assert (await http.get(first["foundAt"])).status_code == 404
        key = {"Idempotency-Key": first["idempotencyKey"]}
        again = [
            await http.post("/api/orders", json=resting(setup.symbol), headers=key)
            for _ in range(2)
        ]
        assert [answer.status_code for answer in again] == [201, 201]
        assert {f"/api/orders/{answer.json()['orderId']}" for answer in again} == {first["foundAt"]}
        assert len(await setup.placed_orders()) == len(before) + 1


async def test_a_cancellation_sent_to_a_suspended_service_is_not_done_when_it_continues(
    single_replica_setup: OrdersSetup,
) -> None:
    setup, [service] = single_replica_setup, single_replica_setup.replicas
    async with setup.edge.client(await setup.edge.sign_in(setup.user)) as http:
        order = (await http.post("/api/orders", json=resting(setup.symbol))).json()
        path = f"/api/orders/{order['orderId']}"
        service.freeze()
        try:
            answer, seconds = await setup.timed(http.delete(path))
        finally:
            service.thaw()
        assert seconds < MAX_WAIT_SECONDS
        assert (answer.status_code, answer.json()["outcome"]) == (503, "unknown")
        await wait_until("it is refused", lambda: service.find_log_lines("requests.expired"))
        assert (await http.get(path)).json()["status"] == "new"


async def test_an_order_held_up_in_a_suspended_message_server_is_not_placed_later(
    single_replica_setup: OrdersSetup,
) -> None:
    setup = single_replica_setup
    async with setup.edge.client(await setup.edge.sign_in(setup.user)) as http:
        before = await setup.placed_orders()
        setup.harness.broker.freeze()
        try:
            answer, seconds = await setup.timed(
                http.post("/api/orders", json=resting(setup.symbol))
            )
            await asyncio.sleep(STALE_SECONDS - MAX_WAIT_SECONDS)
        finally:
            setup.harness.broker.thaw()
        assert answer.status_code == 503
        assert seconds < MAX_WAIT_SECONDS

        async def works() -> bool:
            placed = await http.post("/api/orders", json=resting(setup.symbol, clientOrderId="now"))
            return placed.status_code in (200, 201)

        await wait_until_async("orders are placed again", works)
        assert await setup.placed_orders() == [*before, "now"]


async def test_orders_in_flight_when_the_message_server_is_suspended_are_not_executed_late(
    single_replica_setup: OrdersSetup,
) -> None:
    """Some of their appends wait in the server's socket, and are stored when it continues."""
    setup, answers = single_replica_setup, list[httpx.Response]()
    async with setup.edge.client(await setup.edge.sign_in(setup.user)) as http:

        async def buy(number: int) -> None:
            await asyncio.sleep(0.002 * number)
            body = {"symbol": setup.symbol, "side": "buy", "type": "market", "qty": 1}
            body["clientOrderId"] = f"m-{number}"
            answers.append(await http.post("/api/orders", json=body))

        async with asyncio.TaskGroup() as tasks:
            for number in range(200):
                tasks.create_task(buy(number))
            await wait_until("some orders are answered", lambda: len(answers) >= 10)
            setup.harness.broker.freeze()
            suspended_at = time.time()
            await asyncio.sleep(MAX_STORING_TIME.total_seconds() + 2)
            setup.harness.broker.thaw()

        async def all_ended() -> bool:
            listed = await http.get("/api/orders")
            if listed.status_code != 200:
                return False
            orders = [one for one in listed.json()["orders"] if one["type"] == "market"]
            return all(one["status"] in ("filled", "rejected") for one in orders)

        await wait_until_async("every order is filled or rejected", all_ended)
    async with setup.harness.journal() as journal:
        events = await journal.read_user(setup.user)
    placed = {
        json.loads(one.data)["order"]["clientOrderId"]: one
        for one in events
        if one.tag.startswith("order.placed")
    }
    outcomes = Counter(
        answer.json()["outcome"] if answer.status_code == 503 else str(answer.status_code)
        for answer in answers
    )
    print(outcomes, len(placed))  # noqa: T201 - the figures of a run
    for answer in answers:
        if answer.status_code == 201:
            assert answer.json()["clientOrderId"] in placed
    late = {
        json.loads(one.data)["order"]["orderId"]
        for one in placed.values()
        if one.time.timestamp() > suspended_at + MAX_STORING_TIME.total_seconds()
    }
    decided_before = {
        json.loads(one.data)["orderId"] for one in events if one.tag.startswith("trade.executed")
    }
    assert not late & decided_before, "an order was executed long after it was placed"


async def test_nothing_is_done_when_no_service_is_there(single_replica_setup: OrdersSetup) -> None:
    setup, [service] = single_replica_setup, single_replica_setup.replicas
    async with setup.edge.client(await setup.edge.sign_in(setup.user)) as http:
        service.stop()
        answer, seconds = await setup.timed(http.post("/api/orders", json=resting(setup.symbol)))
    assert seconds < MAX_WAIT_SECONDS
    assert (answer.status_code, answer.json()["outcome"]) == (503, "not_done")
    assert "Nothing was done" in answer.json()["message"]
