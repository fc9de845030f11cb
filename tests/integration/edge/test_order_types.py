"""Order types, time in force, replacement and reduce-only over REST, and on the streams."""

from typing import Any

import httpx
import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import QuoteDriver
from tests.harness.waiting import wait_until_async

STOP = {"side": "sell", "type": "stop", "qty": 10, "stopPrice": 50}


@pytest.fixture(scope="session")
def harness(orders_harness: Harness) -> Harness:
    return orders_harness


async def place(http: httpx.AsyncClient, symbol: str, **fields: Any) -> dict[str, Any]:
    answer = await http.post("/api/orders", json={"symbol": symbol, **fields})
    assert answer.status_code == 201, answer.text
    placed: dict[str, Any] = answer.json()
    return placed


async def until(http: httpx.AsyncClient, order_id: str, status: str) -> dict[str, Any]:
    """Wait for a status of the order. Return the order."""
    order: dict[str, Any] = {}

    async def is_there() -> bool:
        order.update((await http.get(f"/api/orders/{order_id}")).json())
        return bool(order["status"] == status)

    await wait_until_async(status, is_there, describe_last=lambda: order)
    return order


async def test_every_type_and_time_in_force_is_placed_listed_and_repeated(
    http: httpx.AsyncClient, symbol: str
) -> None:
    bodies: list[dict[str, Any]] = [
        STOP,
        {**STOP, "type": "stop_limit", "limitPrice": 49.5, "timeInForce": "day"},
        {"side": "buy", "type": "limit", "qty": 1, "limitPrice": 1, "timeInForce": "gtc"},
        {"side": "buy", "type": "market", "qty": 1, "timeInForce": "fok"},
    ]
    for number, body in enumerate(bodies):
        name = {"clientOrderId": f"order-{number}"}
        placed = await place(http, symbol, **body, **name)
        assert placed["type"] == body["type"]
        assert placed.get("stopPrice") == body.get("stopPrice")
        assert placed.get("timeInForce", "gtc") == body.get("timeInForce", "gtc")
        again = await http.post("/api/orders", json={"symbol": symbol, **body, **name})
        assert (again.status_code, again.json()["orderId"]) == (200, placed["orderId"])
        for change in ({"timeInForce": "ioc"}, {"reduceOnly": True}):
            other = {"symbol": symbol, **body, **name, **change}
            refused = await http.post("/api/orders", json=other)
            assert (refused.status_code, refused.json()["path"]) == (422, "clientOrderId")
    assert len((await http.get("/api/orders")).json()["orders"]) == len(bodies)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"stopPrice": None}, "stopPrice"),
        ({"stopPrice": 0}, "stopPrice"),
        ({"limitPrice": 10}, "limitPrice"),
        ({"type": "stop_limit"}, "limitPrice"),
        ({"type": "market"}, "stopPrice"),
        ({"type": "trailing"}, "type"),
        ({"timeInForce": "forever"}, "timeInForce"),
        ({"reduceOnly": "yes"}, "reduceOnly"),
        ({"stopPrice": "NaN"}, "stopPrice"),
    ],
)
async def test_what_does_not_fit_the_type_is_refused_by_field(
    http: httpx.AsyncClient, symbol: str, fields: dict[str, Any], path: str
) -> None:
    answer = await http.post("/api/orders", json={"symbol": symbol, **STOP, **fields})
    assert (answer.status_code, answer.json()["path"]) == (422, path)


async def test_a_stop_is_replaced_triggered_and_shown_in_both_dialects(
    edge: EdgeProcess, cookie: str, http: httpx.AsyncClient, symbol: str, market: QuoteDriver
) -> None:
    async with (
        await edge.open_stream("/api/stream/orders", cookie) as trading,
        await edge.connect("/sse/strategies", cookie) as strategies,
    ):
        await strategies.read_until("initial_state")
        placed = await place(http, symbol, **STOP)
        replaced = await http.patch(f"/api/orders/{placed['orderId']}", json={"stopPrice": 60})
        assert (replaced.status_code, replaced.json()["stopPrice"]) == (200, 60)
        assert replaced.json()["orderId"] == placed["orderId"]
        await market.publish(symbol, 60)
        filled = await until(http, placed["orderId"], "filled")
        assert filled["triggeredAt"]
        triggered = await trading.read_until(
            "triggered",
            lambda frame: frame.event == "order:update" and "triggeredAt" in frame.data,
        )
        assert triggered.data["stopPrice"] == 60
        await trading.read_until("order:fill")
        updated = await strategies.read_until(
            "replaced",
            lambda frame: frame.event == "ORDER_UPDATED" and frame.data["stop_price"] == 60,
        )
        assert updated.data["order_id"] == placed["orderId"]
        await strategies.read_until("ORDER_EXECUTED")


async def test_replacing_is_refused_by_field_and_state(
    http: httpx.AsyncClient, symbol: str
) -> None:
    resting = {"side": "buy", "type": "limit", "qty": 10, "limitPrice": 1}
    placed = await place(http, symbol, **resting)
    path = f"/api/orders/{placed['orderId']}"
    for body, field in (
        ({"qty": 0}, "qty"),
        ({"limitPrice": -1}, "limitPrice"),
        ({"stopPrice": 5}, "stopPrice"),
        ({"side": "sell"}, "side"),
    ):
        answer = await http.patch(path, json=body)
        assert (answer.status_code, answer.json()["path"]) == (422, field), answer.text
    same = await http.patch(path, json={"qty": 10})
    assert (same.status_code, same.json()["status"]) == (200, "new")
    assert (await http.patch("/api/orders/nobody", json={"qty": 1})).status_code == 404
    canceled = await http.delete(path)
    assert (canceled.status_code, canceled.json()["status"]) == (200, "canceled")
    assert (await http.patch(path, json={"qty": 5})).status_code == 409


async def test_a_replacement_with_a_key_is_carried_out_once(
    http: httpx.AsyncClient, symbol: str
) -> None:
    placed = await place(http, symbol, side="buy", type="limit", qty=10, limitPrice=1)
    path, key = f"/api/orders/{placed['orderId']}", {"Idempotency-Key": placed["orderId"][:16]}
    assert (await http.patch(path, json={"qty": 11}, headers=key)).json()["qty"] == 11
    assert (await http.patch(path, json={"qty": 12})).json()["qty"] == 12
    assert (await http.patch(path, json={"qty": 11}, headers=key)).json()["qty"] == 12
    other = await http.patch(path, json={"qty": 13}, headers=key)
    assert (other.status_code, other.json()["path"]) == (422, "Idempotency-Key")


async def test_an_order_that_never_rests_and_one_without_a_position_end_with_a_reason(
    http: httpx.AsyncClient, symbol: str
) -> None:
    placed = await place(
        http, symbol, side="buy", type="limit", qty=10, limitPrice=1, timeInForce="ioc"
    )
    canceled = await until(http, placed["orderId"], "canceled")
    assert canceled["reason"] == "ioc: nothing could be executed at once"
    placed = await place(http, symbol, side="sell", type="market", qty=10, reduceOnly=True)
    rejected = await until(http, placed["orderId"], "rejected")
    assert rejected["reason"] == "reduce-only: there is no position to reduce"
