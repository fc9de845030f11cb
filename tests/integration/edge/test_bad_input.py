"""Invalid requests get an error that names the field at fault; valid ones succeed (R6)."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.publishers import order_placed
from tests.harness.waiting import wait_until_async

GOOD = {"symbol": "GOOD", "side": "buy", "type": "limit", "qty": 10, "limitPrice": 1}
MARKET = {"symbol": "GOOD", "side": "buy", "type": "market", "qty": 10}


@pytest.fixture
def edge(orders_harness: Harness) -> EdgeProcess:
    return orders_harness.shared_edge()


@pytest.fixture
async def cookie(orders_harness: Harness, edge: EdgeProcess, fresh: Callable[[str], str]) -> str:
    async with orders_harness.market() as market:
        await market.list_symbol("GOOD")
    return await edge.sign_in(fresh("alice"))


@pytest.fixture
async def http(edge: EdgeProcess, cookie: str) -> AsyncIterator[httpx.AsyncClient]:
    async with edge.client(cookie) as client:
        client.headers["Content-Type"] = "application/json"
        yield client


def with_raw(field: Any, text: str) -> str:
    """GOOD as JSON text, with `text`, valid JSON or not, as the value of `field`."""
    return ",".join(
        f'"{name}":{text if name == field else json.dumps(value)}'
        for name, value in {**GOOD, field: None}.items()
    ).join("{}")


NO_QUANTITY = [
    "0", "-0", "0.0", "-1", "-0.000001", "1e12", "1e999", "1e-9", "0.000000001",
    "1e999999999", "-1e999999999", "1e-999999999", "10000000000000000000000000000000000001",
    '"NaN"', '"Infinity"', '"-Infinity"', '"sNaN"', '"abc"', '""', '"1,000"', '" 1"', '"\u0661"',
    '"0x10"', "true", "false", "null", "[]", "[10]", "{}", '{"value":10}', '"1e999999999999999999"',
    "0." + "1" * 5000, "9" * 5000,
]  # fmt: skip
"""Texts that are neither valid quantities of shares nor valid limits."""


class TestInvalidFields:
    async def refused(self, http: httpx.AsyncClient, content: Any, path: str) -> Any:
        answer = await http.post("/api/orders", content=content)
        assert answer.status_code == 422, (content[:200], answer.status_code, answer.text[:300])
        body = answer.json()
        assert body["path"] == path, body
        assert body["error"] == "Unprocessable Entity"
        assert body["statusCode"] == 422
        assert body["message"]
        assert len(answer.content) < 1000
        return body

    @pytest.mark.parametrize("text", NO_QUANTITY, ids=lambda text: text[:20])
    @pytest.mark.parametrize("field", ["qty", "limitPrice"])
    async def test_invalid_number_is_rejected_with_its_path(
        self, http: httpx.AsyncClient, field: str, text: str
    ) -> None:
        await self.refused(http, with_raw(field, text), field)

    @pytest.mark.parametrize("text", ["0.0000001", "1e-7", "1.2345678", "1000001", "1e7"])
    async def test_quantity_out_of_range_or_too_precise_is_rejected(
        self, http: httpx.AsyncClient, text: str
    ) -> None:
        await self.refused(http, with_raw("qty", text), "qty")

    @pytest.mark.parametrize(
        ("field", "text", "number"),
        [
            ("qty", "0.30000000000000004", 0.3),
            ("limitPrice", "182.45000000000002", 182.45),
            ("limitPrice", "1.5E-7", 0.00000015),
            ("limitPrice", "0.00001234", 0.00001234),
            ("limitPrice", "15000000.12345678", 15000000.12345678),
        ],
    )
    async def test_a_number_is_taken_as_programs_write_it(
        self, http: httpx.AsyncClient, field: str, text: str, number: float
    ) -> None:
        answer = await http.post("/api/orders", content=with_raw(field, text))
        assert (answer.status_code, answer.json()[field]) == (201, number)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("symbol", "NOSUCH"),
            ("symbol", ""),
            ("symbol", "good"),
            ("symbol", " GOOD"),
            ("symbol", "X" * 65),
            ("symbol", "G\u00d6\u00d6D"),
            ("symbol", "GO\nOD"),
            ("symbol", "*"),
            ("symbol", ">"),
            ("symbol", "a.b.c"),
            ("symbol", "\u0000"),
            ("symbol", 7),
            ("symbol", None),
            ("symbol", ["GOOD"]),
            ("side", "BUY"),
            ("side", "hold"),
            ("side", 1),
            ("side", None),
            ("type", "trailing"),
            ("type", ""),
            ("type", {}),
            ("clientOrderId", ""),
            ("clientOrderId", "x" * 65),
            ("clientOrderId", "\u2028"),
            ("clientOrderId", "a\tb"),
            ("clientOrderId", 5),
            ("clientOrderId", []),
            ("userId", "bob"),
            ("status", "filled"),
            ("strategyId", "s"),
            ("qTy", 1),
            ("__proto__", {}),
        ],
    )
    async def test_invalid_text_and_unknown_field_are_rejected_with_their_path(
        self, http: httpx.AsyncClient, field: str, value: Any
    ) -> None:
        body = await self.refused(http, json.dumps({**GOOD, field: value}), field)
        if field not in ("userId", "status", "strategyId", "qTy", "__proto__"):
            assert body.get("value", value) == value

    @pytest.mark.parametrize("field", ["symbol", "side", "type", "qty"])
    async def test_missing_field_is_rejected_with_its_path(
        self, http: httpx.AsyncClient, field: str
    ) -> None:
        body = {name: value for name, value in GOOD.items() if name != field}
        await self.refused(http, json.dumps(body), field)

    async def test_limit_price_is_required_for_limit_orders_and_rejected_for_market_orders(
        self, http: httpx.AsyncClient
    ) -> None:
        await self.refused(http, json.dumps({**MARKET, "type": "limit"}), "limitPrice")
        await self.refused(http, json.dumps({**GOOD, "type": "market"}), "limitPrice")

    async def test_response_contains_the_rejected_value(self, http: httpx.AsyncClient) -> None:
        body = await self.refused(http, json.dumps({**GOOD, "qty": -5}), "qty")
        assert body["value"] == -5
        body = await self.refused(http, json.dumps({**GOOD, "side": "hold"}), "side")
        assert body["value"] == "hold"

    async def test_response_omits_a_large_rejected_value(self, http: httpx.AsyncClient) -> None:
        body = await self.refused(http, json.dumps({**GOOD, "side": "x" * 5000}), "side")
        assert "value" not in body


class TestInvalidBodies:
    @pytest.mark.parametrize(
        "content",
        [
            b"", b" ", b"{", b"}", b"nonsense", b"{'a':1}", b'{"a":1}}', b"\xff\xfe", b"\x00",
            b'{"symbol":"\xff"}', b'{"symbol":"GOOD",}', b"NaN", b'{"qty":NaN}',
            b'{"qty":Infinity}', b'{"qty":01}', b'{"qty":+1}', b'{"qty":.5}', b'{"qty":0x10}',
            b"\xef\xbb\xbf{}", b'{"symbol":"\\ud800"}',
        ],
    )  # fmt: skip
    async def test_body_that_is_not_json_is_400(
        self, http: httpx.AsyncClient, content: bytes
    ) -> None:
        answer = await http.post("/api/orders", content=content)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"] == "Bad Request"

    @pytest.mark.parametrize("content", ["[]", "null", "7", '"order"', "true", "[{}]"])
    async def test_json_body_that_is_not_an_object_is_422(
        self, http: httpx.AsyncClient, content: str
    ) -> None:
        answer = await http.post("/api/orders", content=content)
        assert (answer.status_code, answer.json()["path"]) == (422, "")

    @pytest.mark.parametrize("depth", [100, 1_000, 10_000])
    async def test_deeply_nested_json_is_a_client_error(
        self, http: httpx.AsyncClient, depth: int
    ) -> None:
        for content in (
            "[" * depth + "]" * depth,
            '{"a":' * depth + "1" + "}" * depth,
            with_raw("qty", "[" * depth + "]" * depth),
        ):
            answer = await http.post("/api/orders", content=content)
            assert 400 <= answer.status_code < 500, answer.text[:300]
            assert answer.json()["statusCode"] == answer.status_code

    async def test_body_above_the_limit_is_413(self, http: httpx.AsyncClient) -> None:
        answer = await http.post("/api/orders", content=with_raw("qty", " " * 70_000 + "1"))
        assert answer.status_code == 413
        assert answer.json()["statusCode"] == 413

    async def test_enormous_body_is_not_kept_in_memory(
        self, edge: EdgeProcess, http: httpx.AsyncClient
    ) -> None:
        """Send 10 MB with a declared length and without one.

        The edge answers 413 or closes the connection, and does not keep the body.
        """
        before = edge.resident_bytes()

        async def endless() -> AsyncIterator[Any]:
            for _ in range(160):
                yield b" " * 65_536

        for content in (b" " * 10_000_000, endless()):
            try:
                answer = await http.post("/api/orders", content=content)
            except httpx.TransportError:
                continue
            assert answer.status_code == 413
        assert edge.resident_bytes() - before < 5_000_000


class TestBoundaryValues:
    """Orders with values at the limits of the allowed ranges."""

    @pytest.mark.parametrize(
        "fields",
        [
            {"qty": 0.000001},
            {"qty": 1_000_000},
            {"limitPrice": 0.0001},
            {"limitPrice": 1_000_000, "qty": 1, "side": "sell"},
            {"clientOrderId": "x" * 64},
            {"clientOrderId": '<b>"\\/ &%'},
            {"clientOrderId": None},
        ],
    )
    async def test_boundary_value_is_accepted(self, http: httpx.AsyncClient, fields: Any) -> None:
        answer = await http.post("/api/orders", json={**GOOD, **fields})
        assert answer.status_code == 201, answer.text
        for name, value in fields.items():
            assert value is None or answer.json()[name] == value

    async def test_duplicate_key_is_accepted_or_rejected(self, http: httpx.AsyncClient) -> None:
        """JSON does not define duplicate keys. The last value counts, without an error."""
        answer = await http.post("/api/orders", content=with_raw("qty", '1,"qty":2'))
        assert answer.status_code in (201, 422)

    async def test_1000_concurrent_orders_are_all_placed(
        self, edge: EdgeProcess, cookie: str
    ) -> None:
        async def place(number: int) -> Any:
            body = json.dumps({**GOOD, "clientOrderId": f"c-{number}"}).encode()
            while True:
                async with await edge.connect(
                    "/api/orders", cookie, method="POST", content=body
                ) as answer:
                    reply = json.loads(await answer.body())
                # On a slow machine the request times out after five seconds with 503.
                if answer.status != 503:
                    assert answer.status in (200, 201), reply
                    return reply["clientOrderId"]

        answers = await asyncio.gather(*(place(number) for number in range(1000)))
        assert sorted(answers) == sorted(f"c-{number}" for number in range(1000))
        listed: list[str] = []
        query: dict[str, str] | None = {}
        async with edge.client(cookie) as http:
            while query is not None:
                page = (await http.get("/api/orders", params=query)).json()
                listed += [order["clientOrderId"] for order in page["orders"]]
                query = {"cursor": page["next"]} if "next" in page else None
        assert sorted(listed) == sorted(f"c-{number}" for number in range(1000))


class TestUnavailableServices:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/api/orders"),
            ("GET", "/api/orders"),
            ("GET", "/api/orders/x"),
            ("DELETE", "/api/orders/x"),
        ],
    )
    async def test_unavailable_service_is_503_with_retry_after(
        self, harness: Harness, fresh: Callable[[str], str], method: str, path: str
    ) -> None:
        """The harness runs no orders service. Invalid input is still 422."""
        edge = harness.shared_edge()
        async with edge.client(await edge.sign_in(fresh("alice"))) as http:
            answer = await http.request(method, path, json=GOOD)
            bad = await http.post("/api/orders", json={})
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        body = answer.json()
        assert (body["error"], body["statusCode"]) == ("Service Unavailable", 503)
        assert bad.status_code == 422

    async def test_nats_outage_is_503_and_open_streams_continue(
        self, isolated_harness: Harness
    ) -> None:
        """New streams and requests get 503. Open streams stay open and continue afterwards."""
        edge = isolated_harness.start_edge()
        cookie = await edge.sign_in("alice")
        async with (
            await edge.open_stream("/api/stream/orders", cookie) as stream,
            edge.client(cookie) as http,
        ):
            await stream.read_until("order:update")
            isolated_harness.broker.kill()
            answer = await http.post("/api/orders", json=GOOD)
            assert answer.status_code == 503
            assert answer.headers["retry-after"]
            refused = await edge.connect("/api/stream/orders", cookie)
            assert refused.status == 503
            assert refused.header("retry-after")
            await refused.close()

            async def degraded() -> bool:
                return (await http.get("/health/ready")).status_code == 503

            await wait_until_async("the edge reports that it is not ready", degraded)
            for refusing in ("/api/session", "/api/sse/status", "/api/prices"):
                answer = await _get_once_refused(http, refusing)
                assert answer.headers["retry-after"] == "1"
            assert (await http.get("/health/live")).status_code == 200
            health = await http.get("/health/sse")
            assert (health.status_code, health.json()["listener_active"]) == (200, False)
            assert (await http.get("/health")).json()["sse"]["status"] == "degraded"
            isolated_harness.broker.start()
            async with isolated_harness.journal() as journal:
                last = await journal.append("alice", order_placed("after"))
            frame = await stream.read_until("the event", lambda f: f.id)
            assert frame.sequence == last


async def _get_once_refused(http: httpx.AsyncClient, path: str) -> httpx.Response:
    """The first 503 of `path`. The parts of an edge notice an outage one after the other."""
    answer = httpx.Response(0)

    async def is_refused() -> bool:
        nonlocal answer
        answer = await http.get(path)
        return answer.status_code == 503

    await wait_until_async(f"{path} is refused", is_refused, describe_last=lambda: answer)
    return answer


class TestOtherPaths:
    async def test_all_errors_have_the_same_fields(self, http: httpx.AsyncClient) -> None:
        for method, path, status in (
            ("GET", "/api/nosuch", 404),
            ("GET", "/api/stream/nosuch", 404),
            ("PUT", "/api/orders", 405),
            ("POST", "/api/prices", 405),
            ("GET", "/static/nosuch.js", 404),
        ):
            answer = await http.request(method, path)
            body = answer.json()
            assert answer.status_code == body["statusCode"] == status, (method, path)
            assert body.keys() >= {"error", "message", "statusCode"}

    @pytest.mark.parametrize("name", ["%00", "x%00.js", "a" * 300, "a/" * 3000, "%ff"])
    async def test_invalid_file_name_is_404(self, edge: EdgeProcess, name: str) -> None:
        """Regression: the file system rejected the name, and the edge answered 500."""
        async with await edge.connect(f"/static/{name}") as answer:
            assert answer.status == 404, await answer.body()

    async def test_path_traversal_is_404(self, edge: EdgeProcess) -> None:
        for path in ("/static/../__main__.py", "/static/%2e%2e/__main__.py", "/static//etc/passwd"):
            answer = await edge.connect(path)
            assert answer.status == 404, path
            await answer.close()
