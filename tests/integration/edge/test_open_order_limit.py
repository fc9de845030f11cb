"""The limit of a user's open orders, which the orders service enforces (W10)."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.harness.edge import EdgeProcess, Harness

LIMIT = 4
ORDER = {"symbol": "LIM", "side": "buy", "type": "limit", "qty": 1, "limitPrice": 1}


@pytest.fixture
async def edge(isolated_harness: Harness) -> EdgeProcess:
    """Return an edge with two orders services, which both enforce the limit."""
    edge = isolated_harness.start_edge()
    for _ in range(2):
        isolated_harness.start_service("orders", TAPEWIRE_MAX_OPEN_ORDERS=LIMIT)
    async with isolated_harness.market() as market:
        await market.publish("LIM", 10)
    await edge.wait_for_quotes("LIM")
    return edge


async def place(http: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await http.post("/api/orders", json={**ORDER, **fields})


async def fill_up(http: httpx.AsyncClient) -> list[str]:
    """Place as many orders as are allowed, and return their ids."""
    placed = []
    for number in range(LIMIT):
        answer = await place(http, clientOrderId=f"open-{number}")
        assert answer.status_code == 201, answer.text
        placed.append(answer.json()["orderId"])
    return placed


async def test_one_open_order_too_many_is_409_and_names_the_limit(
    edge: EdgeProcess, fresh: Callable[[str], str]
) -> None:
    async with edge.client(await edge.sign_in(fresh("alice"))) as http:
        await fill_up(http)
        answer = await place(http)
        assert answer.status_code == 409
        assert f"{LIMIT} open orders" in answer.json()["message"]
        assert "TAPEWIRE_MAX_OPEN_ORDERS" in answer.json()["message"]
    async with edge.client(await edge.sign_in(fresh("bob"))) as http:
        assert (await place(http)).status_code == 201


async def test_a_repeated_order_is_answered_as_before(
    edge: EdgeProcess, fresh: Callable[[str], str]
) -> None:
    async with edge.client(await edge.sign_in(fresh("alice"))) as http:
        ids = await fill_up(http)
        again = await place(http, clientOrderId="open-0")
        assert (again.status_code, again.json()["orderId"]) == (200, ids[0])


async def test_market_orders_and_cancels_are_never_refused(
    edge: EdgeProcess, fresh: Callable[[str], str]
) -> None:
    """A stop-loss is a market order."""
    async with edge.client(await edge.sign_in(fresh("alice"))) as http:
        ids = await fill_up(http)
        market = {"symbol": "LIM", "side": "sell", "type": "market", "qty": 1}
        assert (await http.post("/api/orders", json=market)).status_code == 201
        assert (await http.delete(f"/api/orders/{ids[0]}")).status_code == 200


async def test_an_order_that_closes_makes_room(
    edge: EdgeProcess, fresh: Callable[[str], str]
) -> None:
    async with edge.client(await edge.sign_in(fresh("alice"))) as http:
        ids = await fill_up(http)
        assert (await place(http)).status_code == 409
        assert (await http.delete(f"/api/orders/{ids[1]}")).status_code == 200
        statuses: list[int] = []
        async with asyncio.timeout(30):
            while not statuses or statuses[-1] != 201:
                statuses.append((await place(http)).status_code)
        assert set(statuses[:-1]) <= {409}
        assert (await place(http)).status_code == 409


async def test_concurrent_orders_exceed_the_limit_by_no_more_than_a_process_may(
    edge: EdgeProcess, fresh: Callable[[str], str]
) -> None:
    async with edge.client(await edge.sign_in(fresh("alice"))) as http:
        answers = await asyncio.gather(*(place(http) for _ in range(10 * LIMIT)))
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {201, 409}
        assert 1 <= statuses.count(201) <= 2 * LIMIT
        orders = (await http.get("/api/orders")).json()["orders"]
        assert len(orders) == statuses.count(201)
