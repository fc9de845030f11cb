"""Buying power over REST: two orders services never give the same one away twice."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.waiting import wait_until_async
from tests.integration.edge.openapi_document import OPENAPI_PATH, OpenApiDocument

TERMS = {"TAPEWIRE_STARTING_BALANCE": 10_000, "TAPEWIRE_MAX_LEVERAGE": 1.5}
"""An exposure of 15,000 dollars."""


@pytest.fixture
async def edge(isolated_harness: Harness) -> EdgeProcess:
    """Return an edge with a positions service and two orders services."""
    edge = isolated_harness.start_edge(**TERMS)
    for name in ("orders", "orders", "positions"):
        isolated_harness.start_service(name, **TERMS)
    async with isolated_harness.market() as market:
        await market.publish("LEV", 100)
    await edge.wait_for_quotes("LEV")
    return edge


async def test_buying_power_is_one_number_for_rest_orders_and_processes(
    edge: EdgeProcess, fresh: Callable[[str], str], isolated_harness: Harness
) -> None:
    async with (
        edge.client(await edge.sign_in(fresh("alice"))) as http,
        edge.client(await edge.sign_in(fresh("bob"))) as other,
    ):
        document = OpenApiDocument((await http.get(OPENAPI_PATH)).json())

        async def place(client: Any = http, **fields: Any) -> Any:
            order = {"symbol": "LEV", "side": "buy", "type": "limit", "qty": 40, "limitPrice": 50}
            answer = await client.post("/api/orders", json={**order, **fields})
            document.assert_documented(answer)
            return answer

        async def account(client: Any = http) -> dict[str, Any]:
            answer = await client.get("/api/account")
            document.assert_documented(answer)
            found: dict[str, Any] = answer.json()
            return found

        answers = await asyncio.gather(*(place() for _ in range(20)))
        assert Counter(one.status_code for one in answers) == {201: 7, 422: 13}
        refused = next(one.json() for one in answers if one.status_code == 422)
        assert (refused["error"], refused["path"], refused["value"]) == ("buying_power", "qty", 40)
        assert "1000.00 dollars" in refused["message"]
        assert (await account())["buyingPower"] == 1000
        assert (await account(other))["buyingPower"] == 15_000
        assert (await place(other)).status_code == 201

        placed = [one.json() for one in answers if one.status_code == 201]
        for order in placed[1:]:
            assert (await http.delete(f"/api/orders/{order['orderId']}")).status_code == 200
        larger = await http.patch(f"/api/orders/{placed[0]['orderId']}", json={"qty": 301})
        document.assert_documented(larger)
        assert (larger.status_code, larger.json()["path"]) == (422, "qty")

        async with isolated_harness.market() as market:

            async def is_filled() -> bool:
                await market.publish("LEV", 100)
                return bool((await account())["netExposure"] == 10_000)

            assert (await place(type="market", qty=100, limitPrice=None)).status_code == 201
            await wait_until_async("a position", is_filled, describe_last=account)
        held = await account()
        assert (held["cash"], held["equity"], held["buyingPower"]) == (0, 10_000, 3000)
        assert (await place(type="market", qty=31, limitPrice=None)).status_code == 422
        for fields in ({"qty": 100}, {"qty": 900, "reduceOnly": True}):
            order = {"side": "sell", "type": "market", "limitPrice": None, **fields}
            assert (await place(**order)).status_code == 201
