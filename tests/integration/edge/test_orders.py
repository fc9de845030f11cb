"""Orders over REST, the paper broker that fills them, and their stream (R1, C17, C19)."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tapewire.log import EventSubject, RecordedEvent
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import EventLogDriver, QuoteDriver
from tests.harness.waiting import wait_until
from tests.integration.edge.conftest import STALE_SYMBOL

ORDERS = "/api/stream/orders"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="session")
def harness(orders_harness: Harness) -> Harness:
    return orders_harness


def buying(symbol: str, **fields: Any) -> dict[str, Any]:
    return {"symbol": symbol, "side": "buy", "type": "market", "qty": 10, **fields}


def resting(symbol: str, **fields: Any) -> dict[str, Any]:
    """Return a limit order that the market does not reach."""
    return buying(symbol, type="limit", limitPrice=1, **fields)


class TestWaiting:
    """Orders that rest although they could be executed at the last price say why (M3)."""

    @pytest.mark.parametrize(
        ("side", "quoted", "reason"),
        [
            ("buy", {"bid": 101}, "crossed"),
            ("sell", {"bid": 101}, "crossed"),
            ("buy", {"bid_size": 0, "ask_size": 0}, "no_offer"),
            ("sell", {"bid": 0, "bid_size": 0}, "no_offer"),
            ("buy", {"ask_size": Decimal("0.3")}, "no_offer"),
            ("buy", None, "stale_quote"),
        ],
        ids=["crossed buy", "crossed sell", "unsized", "nobody bids", "taken", "stale"],
    )
    async def test_a_market_order_that_rests_says_why_on_the_stream_and_in_rest(
        self,
        edge: EdgeProcess,
        cookie: str,
        http: httpx.AsyncClient,
        market: QuoteDriver,
        fresh: Callable[[str], str],
        side: str,
        quoted: dict[str, Any] | None,
        reason: str,
    ) -> None:
        symbol = STALE_SYMBOL if quoted is None else fresh("SYM")
        if quoted is not None:
            decimals = {name: Decimal(value) for name, value in quoted.items()}
            await market.list_symbol(symbol, 100, **decimals)
        async with await edge.open_stream(ORDERS, cookie) as stream:
            await stream.read_until("order:update")
            order = (await http.post("/api/orders", json=buying(symbol, side=side))).json()
            frame = await stream.read()
            while "waiting" not in frame.data:
                frame = await stream.read()
            assert (frame.event, frame.data["orderId"]) == ("order:update", order["orderId"])
            path = f"/api/orders/{order['orderId']}"
            listed = (await http.get("/api/orders")).json()["orders"][0]
            for found in (frame.data, (await http.get(path)).json(), listed):
                assert found["waiting"] == reason
                assert found["reason"].startswith("it waits for")
                assert found["status"] in ("new", "partially_filled")
            await http.delete(path)
            ended = await stream.read_until("order:update")
        assert ended.data["status"] == "canceled"
        assert "waiting" not in ended.data

    async def test_an_order_that_waited_is_filled_when_the_market_offers_something(
        self,
        edge: EdgeProcess,
        cookie: str,
        http: httpx.AsyncClient,
        market: QuoteDriver,
        fresh: Callable[[str], str],
    ) -> None:
        symbol = fresh("SYM")
        await market.list_symbol(symbol, 100, bid=Decimal(101))
        async with await edge.open_stream(ORDERS, cookie) as stream:
            await stream.read_until("order:update")
            await http.post("/api/orders", json=buying(symbol, type="limit", limitPrice=100))
            frame = await stream.read()
            while "waiting" not in frame.data:
                frame = await stream.read()
            await market.publish(symbol, 100, bid=Decimal(100))
            filled = await stream.read_until("order:fill")
        assert (filled.data["fillPrice"], filled.data["status"]) == (100, "filled")
        assert "waiting" not in filled.data


class TestPlacing:
    async def test_a_market_order_is_placed_accepted_filled_and_traded(
        self, edge: EdgeProcess, cookie: str, http: httpx.AsyncClient, symbol: str
    ) -> None:
        async with await edge.open_stream(ORDERS, cookie) as stream:
            await stream.read_until("order:update")
            answer = await http.post("/api/orders", json=buying(symbol, clientOrderId="mine-1"))
            frames = [await stream.read() for _ in range(4)]
        assert answer.status_code == 201
        order = answer.json()
        assert (order["clientOrderId"], order["symbol"], order["side"], order["type"]) == (
            "mine-1", symbol, "buy", "market",
        )  # fmt: skip
        assert (order["status"], order["filledQty"], order["limitPrice"]) == ("new", 0, None)
        assert [frame.event for frame in frames] == [
            "order:update", "order:update", "order:fill", "trade:new",
        ]  # fmt: skip
        fill, trade = frames[2].data, frames[3].data
        assert {frame.data["orderId"] for frame in frames} == {order["orderId"]}
        assert (fill["status"], fill["fillQty"], fill["fillPrice"]) == ("filled", 10, 100)
        assert fill["tradeId"] == trade["tradeId"]
        assert (trade["qty"], trade["price"], trade["side"]) == (10, 100, "buy")

    async def test_sell_orders_fill_at_the_bid_and_not_below_their_limit(
        self, edge: EdgeProcess, cookie: str, http: httpx.AsyncClient, symbol: str
    ) -> None:
        async with await edge.open_stream(ORDERS, cookie) as stream:
            await stream.read_until("order:update")
            for fields in ({}, {"type": "limit", "limitPrice": 99}):
                await http.post("/api/orders", json=buying(symbol, side="sell", **fields))
                fill = await stream.read_until("order:fill")
                assert (fill.data["side"], fill.data["status"]) == ("sell", "filled")
                assert fill.data["fillPrice"] == 99
            resting = buying(symbol, side="sell", type="limit", limitPrice=100)
            order = (await http.post("/api/orders", json=resting)).json()
            await http.post("/api/orders", json=buying(symbol))
            fill = await stream.read_until("order:fill")
        assert fill.data["orderId"] != order["orderId"]

    async def test_a_limit_order_rests_and_fills_in_parts(
        self,
        edge: EdgeProcess,
        cookie: str,
        http: httpx.AsyncClient,
        symbol: str,
        market: QuoteDriver,
    ) -> None:
        async with await edge.open_stream(ORDERS, cookie) as stream:
            await stream.read_until("order:update")
            placed = buying(symbol, type="limit", limitPrice=95.5, qty=1500, side="buy")
            assert (await http.post("/api/orders", json=placed)).status_code == 201
            for _ in range(2):
                assert (await stream.read()).data["status"] == "new"
            await market.publish(symbol, 95)
            first = await stream.read_until("order:fill")
            assert (first.data["status"], first.data["fillQty"]) == ("partially_filled", 1000)
            await market.publish(symbol, "95.25")
            second = await stream.read_until("order:fill")
        assert (second.data["status"], second.data["fillQty"]) == ("filled", 500)
        assert str(second.data["fillPrice"]) == "95.25"

    async def test_decimal_numbers_stay_exact(self, http: httpx.AsyncClient, symbol: str) -> None:
        exact = '"type":"limit","qty":0.000001,"limitPrice":0.0001'
        body = f'{{"symbol":"{symbol}","side":"buy",{exact}}}'
        answer = await http.post("/api/orders", content=body, headers=JSON)
        assert answer.status_code == 201
        assert b'"qty":0.000001,"limitPrice":0.0001,' in answer.content

    async def test_a_stream_resumes_from_the_as_of_id_of_the_order_list(
        self, edge: EdgeProcess, cookie: str, http: httpx.AsyncClient, symbol: str
    ) -> None:
        """`GET /api/orders` returns its position in the log; a stream resumes from it."""
        await http.post("/api/orders", json=resting(symbol))
        listed = (await http.get("/api/orders")).json()
        async with await edge.open_stream(ORDERS, cookie, last_event_id=listed["asOf"]) as stream:
            second = (await http.post("/api/orders", json=resting(symbol))).json()
            frame = await stream.read_until("new", lambda f: f.data["orderId"] == second["orderId"])
        assert frame.event == "order:update"
        assert all(f.event != "stream:reset" for f in stream.frames)


class TestIdempotency:
    async def test_repeating_a_request_returns_the_same_order(
        self, http: httpx.AsyncClient, symbol: str, journal: EventLogDriver, alice: str
    ) -> None:
        body = resting(symbol, clientOrderId="c-1")
        first = await http.post("/api/orders", json=body)
        second = await http.post("/api/orders", json=body)
        assert (first.status_code, second.status_code) == (201, 200)
        assert second.json()["orderId"] == first.json()["orderId"]
        placed = [r for r in await journal.read_user(alice) if r.tag.startswith("order.placed")]
        assert len(placed) == 1

    async def test_concurrent_repeats_place_one_order(
        self, http: httpx.AsyncClient, symbol: str, journal: EventLogDriver, alice: str
    ) -> None:
        body = resting(symbol, clientOrderId="c-1")
        answers = await asyncio.gather(*(http.post("/api/orders", json=body) for _ in range(20)))
        assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
        placed = [r for r in await journal.read_user(alice) if r.tag.startswith("order.placed")]
        assert len(placed) == 1

    async def test_a_repeat_returns_the_current_state_of_the_order(
        self, http: httpx.AsyncClient, symbol: str
    ) -> None:
        body = resting(symbol, clientOrderId="c-1")
        order = (await http.post("/api/orders", json=body)).json()
        await http.delete(f"/api/orders/{order['orderId']}")
        again = await http.post("/api/orders", json=body)
        assert (again.status_code, again.json()["status"]) == (200, "canceled")

    @pytest.mark.parametrize(
        "change", [{"qty": 11}, {"side": "sell"}, {"limitPrice": 2}, {"symbol": "other"}]
    )
    async def test_the_same_client_order_id_with_other_contents_is_refused(
        self,
        http: httpx.AsyncClient,
        symbol: str,
        market: QuoteDriver,
        fresh: Callable[[str], str],
        change: Any,
    ) -> None:
        if "symbol" in change:
            change = {"symbol": fresh("OTHER")}
            await market.list_symbol(change["symbol"])
        body = resting(symbol, clientOrderId="c-1")
        await http.post("/api/orders", json=body)
        answer = await http.post("/api/orders", json={**body, **change})
        assert answer.status_code == 422
        assert answer.json()["path"] == "clientOrderId"
        assert answer.json()["value"] == "c-1"

    async def test_client_order_ids_are_scoped_to_the_user(
        self, edge: EdgeProcess, http: httpx.AsyncClient, symbol: str, fresh: Callable[[str], str]
    ) -> None:
        body = resting(symbol, clientOrderId="c-1")
        mine = (await http.post("/api/orders", json=body)).json()
        async with edge.client(await edge.sign_in(fresh("bob"))) as bob:
            theirs = await bob.post("/api/orders", json=body)
        assert theirs.status_code == 201
        assert theirs.json()["orderId"] != mine["orderId"]

    async def test_each_request_without_a_client_order_id_places_a_new_order(
        self, http: httpx.AsyncClient, symbol: str
    ) -> None:
        ids = {
            (await http.post("/api/orders", json=resting(symbol))).json()["orderId"]
            for _ in range(3)
        }
        assert len(ids) == 3


class TestCanceling:
    async def test_an_open_order_is_canceled(
        self, edge: EdgeProcess, cookie: str, http: httpx.AsyncClient, symbol: str
    ) -> None:
        async with await edge.open_stream(ORDERS, cookie) as stream:
            order = (await http.post("/api/orders", json=resting(symbol))).json()
            answer = await http.delete(f"/api/orders/{order['orderId']}")
            frame = await stream.read_until(
                "canceled", lambda f: f.event == "order:update" and f.data.get("status") != "new"
                and not f.data.get("snapshot")
            )  # fmt: skip
        assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
        assert frame.data["status"] == "canceled"
        assert frame.data["reason"]

    async def test_canceling_twice_conflicts(self, http: httpx.AsyncClient, symbol: str) -> None:
        order = (await http.post("/api/orders", json=resting(symbol))).json()
        await http.delete(f"/api/orders/{order['orderId']}")
        again = await http.delete(f"/api/orders/{order['orderId']}")
        assert (again.status_code, again.json()["error"]) == (409, "Conflict")

    async def test_canceling_a_filled_order_conflicts(
        self, edge: EdgeProcess, cookie: str, http: httpx.AsyncClient, symbol: str
    ) -> None:
        async with await edge.open_stream(ORDERS, cookie) as stream:
            order = (await http.post("/api/orders", json=buying(symbol))).json()
            await stream.read_until("order:fill")
        answer = await http.delete(f"/api/orders/{order['orderId']}")
        assert answer.status_code == 409

    @pytest.mark.parametrize("id_", ["nosuch", "x" * 65, "%2A", "a%20b", "..%2F..", "%00"])
    async def test_an_unknown_order_is_not_found(self, http: httpx.AsyncClient, id_: Any) -> None:
        for method in ("DELETE", "GET"):
            answer = await http.request(method, f"/api/orders/{id_}")
            assert answer.status_code == 404
            assert answer.json()["statusCode"] == 404


class TestReading:
    async def test_one_order_and_all_orders_are_returned(
        self, http: httpx.AsyncClient, symbol: str
    ) -> None:
        first = (await http.post("/api/orders", json=resting(symbol))).json()
        second = (await http.post("/api/orders", json=resting(symbol, side="buy"))).json()
        listed = (await http.get("/api/orders")).json()
        assert {o["orderId"] for o in listed["orders"]} == {first["orderId"], second["orderId"]}
        one = (await http.get(f"/api/orders/{first['orderId']}")).json()
        assert one["clientOrderId"] == first["clientOrderId"]
        assert one.keys() == first.keys()

    async def test_orders_of_other_users_are_not_found(
        self, edge: EdgeProcess, http: httpx.AsyncClient, symbol: str, fresh: Callable[[str], str]
    ) -> None:
        order = (await http.post("/api/orders", json=resting(symbol))).json()
        async with edge.client(await edge.sign_in(fresh("bob"), ["admin"])) as bob:
            assert (await bob.get("/api/orders")).json()["orders"] == []
            for method in ("GET", "DELETE"):
                answer = await bob.request(method, f"/api/orders/{order['orderId']}")
                assert answer.status_code == 404
        assert (await http.get(f"/api/orders/{order['orderId']}")).json()["status"] == "new"

    async def test_every_call_requires_a_session(self, edge: EdgeProcess, symbol: str) -> None:
        async with edge.client() as http:
            for method, path in (
                ("POST", "/api/orders"),
                ("GET", "/api/orders"),
                ("GET", "/api/orders/x"),
                ("DELETE", "/api/orders/x"),
            ):
                answer = await http.request(method, path, json=buying(symbol))
                assert answer.status_code == 401
                assert answer.json()["message"] == "No valid session found"


class TestCorrelationIds:
    async def test_every_event_of_a_request_carries_its_correlation_id(
        self, http: httpx.AsyncClient, symbol: str, journal: EventLogDriver, alice: str
    ) -> None:
        answer = await http.post(
            "/api/orders", json=buying(symbol), headers={"X-Correlation-ID": "trace-this.1"}
        )
        assert answer.headers["x-correlation-id"] == "trace-this.1"
        events: list[RecordedEvent] = []

        async def all_there() -> None:
            while len(events) < 4:
                events[:] = await journal.read_user(alice)

        await asyncio.wait_for(all_there(), 60)
        assert [EventSubject.parse(event.subject).domain for event in events] == [
            "orders", "orders", "orders", "trades",
        ]  # fmt: skip
        assert {event.metadata.correlation for event in events} == {"trace-this.1"}
        assert all(event.metadata.causation for event in events)

    async def test_an_invalid_correlation_id_is_replaced(
        self, http: httpx.AsyncClient, symbol: str, journal: EventLogDriver, alice: str
    ) -> None:
        answer = await http.post(
            "/api/orders", json=resting(symbol), headers={"X-Correlation-ID": "not valid!"}
        )
        given = answer.headers["x-correlation-id"]
        assert given != "not valid!"
        assert (await journal.read_user(alice))[0].metadata.correlation == given

    async def test_every_kind_of_response_carries_the_correlation_id(
        self, http: httpx.AsyncClient, edge: EdgeProcess
    ) -> None:
        headers = {"X-Correlation-ID": "kind-1"}
        for method, path in (
            ("GET", "/api/orders"),
            ("GET", "/api/orders/nosuch"),
            ("POST", "/api/orders"),
            ("GET", "/api/nosuch"),
            ("PUT", "/api/orders"),
            ("GET", "/api/prices"),
            ("GET", "/health"),
        ):
            answer = await http.request(method, path, headers=headers)
            assert answer.headers.get_list("x-correlation-id") == ["kind-1"], (method, path)
        async with edge.client() as nobody:
            answer = await nobody.get("/api/orders", headers=headers)
        assert answer.headers["x-correlation-id"] == "kind-1"


async def test_secrets_stay_out_of_the_log(
    orders_harness: Harness, symbol: str, fresh: Callable[[str], str]
) -> None:
    """At log level `debug`, no cookie, token or password in any part of a request is logged."""
    edge = orders_harness.start_edge(TAPEWIRE_LOG_LEVEL="debug", SSE_KEEPALIVE_INTERVAL=0.2)
    cookie = await edge.sign_in(fresh("alice"))
    secrets = [cookie, "sekret-bearer", "sekret-token", "sekret-password", "sekret-id"]
    headers = {"Authorization": "Bearer sekret-bearer", "X-Password": "sekret-password"}
    path = f"{ORDERS}?token=sekret-token&lastEventId=sekret-id%0Aevil"
    async with await edge.open_stream(path, cookie, headers=headers) as stream:
        client = stream.frames[-1].data["clientId"]
        await stream.read_until("snapshot", lambda f: f.event == "order:update")
    async with edge.client(cookie) as http:
        await http.post("/api/orders", json=buying(symbol), headers=headers)
        await http.post(
            "/api/orders?password=sekret-password", content=b"{", headers={**headers, **JSON}
        )
        await http.post("/api/orders", json={"token": "sekret-token"}, headers=headers)
        await http.get("/api/nosuch?token=sekret-token", headers=headers)
        await http.delete("/api/session")
    await wait_until(
        "the stream is closed", lambda: edge.find_log_lines("stream.closed", client_id=client)
    )
    edge.stop()
    text = edge.log_file.read_text()
    assert client in text
    for secret in secrets[:-1]:
        assert secret not in text
    assert "\nevil" not in text
