"""A request that names the user whom it is meant for is never made for another one (W8).

The tabs of a browser share one session. Whatever kind of credentials makes the session, and however
the request names its user, a call or stream for somebody else is refused and nothing is done.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.jwt_issuer import HS256_SECRET, JwtIssuer
from tests.harness.publishers import EventLogDriver, QuoteDriver, order_placed
from tests.harness.sse import has_price
from tests.harness.stream_assertions import read_refusal
from tests.integration.edge.openapi_document import OPENAPI_PATH, OpenApiDocument
from tests.integration.edge.stream_cases import UNIQUE_STREAM_CASES
from tests.integration.edge.user_scenario import UserScenario

USER_HEADER = "X-Tapewire-User"
ORDERS, TRADING, PRICES = "/api/stream/orders", "/api/stream/trading", "/api/stream/prices"
PUBLIC_STREAMS = [PRICES, "/api/v2/stream", "/api/stream?topics=prices", "/api/stream/metrics"]


def account_changed(expected: str, actual: str, path: str = USER_HEADER) -> dict[str, Any]:
    """The body of the refusal."""
    message = f"This is meant for the user {expected!r}, but {actual!r} is signed in"
    return {
        "error": "account_changed",
        "message": message,
        "statusCode": 409,
        "path": path,
        "value": expected,
    }


def names_of(user: str) -> dict[str, str]:
    return {USER_HEADER: quote(user, safe="")}


class TestCalls:
    async def test_every_call_for_somebody_else_is_refused(
        self, edge: EdgeProcess, alice: str, cookie: str
    ) -> None:
        """None reaches a service: no service runs here, and the answer would be 503."""
        async with edge.client(cookie) as http:
            document = OpenApiDocument((await http.get(OPENAPI_PATH)).json())
            calls = [
                (method, path, operation)
                for (method, path), operation in document.operations.items()
                if "401" in operation["responses"]
            ]
            assert len(calls) >= 27
            for method, path, operation in calls:
                names = [one["name"] for one in operation["parameters"] if one["in"] == "header"]
                assert USER_HEADER in names, (method, path)
                body: dict[str, Any] | None = {} if "requestBody" in operation else None
                url = path.replace("{", "").replace("}", "")
                query = "?configuration=x" if (method, path) == ("GET", "/api/v2/items") else ""
                answer = await http.request(method, url + query, headers=names_of("bob"), json=body)
                document.assert_documented(answer)
                assert answer.status_code == 409, (method, path, answer.text)
                assert answer.json() == account_changed("bob", alice), (method, path)
            session = await http.get("/api/session", headers=names_of(alice))
        assert session.json()["userId"] == alice, "the session remains"

    async def test_no_order_is_placed_or_canceled_for_somebody_else(
        self, orders_harness: Harness, fresh: Callable[[str], str]
    ) -> None:
        edge, alice, symbol = orders_harness.shared_edge(), fresh("alice"), fresh("S").upper()
        order = {"symbol": symbol, "side": "buy", "type": "limit", "qty": 1, "limitPrice": 1}
        async with orders_harness.market() as market:
            await market.list_symbol(symbol, 10)
        async with edge.client(await edge.sign_in(alice)) as http:
            placed = await http.post("/api/orders", json=order, headers=names_of(alice))
            assert placed.status_code == 201
            path = f"/api/orders/{placed.json()['orderId']}"
            for refused in (
                await http.post("/api/orders", json=order, headers=names_of("bob")),
                await http.delete(path, headers=names_of("bob")),
            ):
                assert refused.json() == account_changed("bob", alice)
            [only] = (await http.get("/api/orders")).json()["orders"]
        assert (only["orderId"], only["status"]) == (placed.json()["orderId"], "new")

    @pytest.mark.parametrize(
        "user", ["Zoë ☃", "50%", "a%20b", "a+b", 'q"uo;te,', "ends with a blank ", "x" * 128]
    )
    async def test_every_user_can_be_named(self, edge: EdgeProcess, user: str) -> None:
        async with edge.client(await edge.sign_in(user)) as http:
            own = await http.get("/api/session", headers=names_of(user))
            other = await http.get("/api/session", headers=names_of(user.swapcase() + "x"))
        assert (own.status_code, other.status_code) == (200, 409)

    @pytest.mark.parametrize(
        ("values", "status"),
        [
            (["alice"], 200),
            (["alice", "alice"], 200),
            (["%61lice"], 200),
            (["alice", "bob"], 409),
            (["bob", "alice"], 409),
            (["alice,bob"], 409),
            ([""], 409),
            (["Alice"], 409),
            (["%"], 409),
            (["%ff"], 409),
            (["ÿ"], 409),
        ],
    )
    async def test_a_name_that_is_not_exactly_the_user_is_refused(
        self, edge: EdgeProcess, values: list[str], status: int
    ) -> None:
        headers = [(USER_HEADER.encode(), value.encode("latin-1")) for value in values]
        async with edge.client(await edge.sign_in("alice")) as http:
            answer = await http.get("/api/session", headers=headers)
        assert answer.status_code == status, answer.text

    async def test_without_a_session_the_answer_stays_unauthorized(self, edge: EdgeProcess) -> None:
        async with edge.client() as http:
            assert (await http.get("/api/orders", headers=names_of("bob"))).status_code == 401
        async with await edge.connect(ORDERS, headers=names_of("bob")) as answer:
            assert answer.status == 401

    async def test_public_calls_are_answered_for_nobody_in_particular(
        self, edge: EdgeProcess, fresh: Callable[[str], str]
    ) -> None:
        """An admin's figures are not shown on another user's page."""
        root = fresh("root")
        async with edge.client(await edge.sign_in(root, ["admin"])) as http:
            own = await http.get("/api/stream/metrics", headers=names_of(root))
            other = await http.get("/api/stream/metrics", headers=names_of("bob"))
        assert "clientsPerUser" in own.json()
        assert other.status_code == 200
        assert "clientsPerUser" not in other.json()


@pytest.mark.parametrize("kind", ["token", "gateway", "ticket"])
async def test_other_credentials_are_checked_too(
    harness: Harness, fresh: Callable[[str], str], kind: str
) -> None:
    edge = harness.shared_edge(
        TAPEWIRE_JWT_SECRET=HS256_SECRET, TAPEWIRE_USER_HEADER_FROM="127.0.0.1"
    )
    alice, path = fresh("alice"), ORDERS
    headers = {
        "token": {"Authorization": f"Bearer {JwtIssuer().token(alice, 'HS256')}"},
        "gateway": {"X-User-ID": alice},
        "ticket": {},
    }[kind]
    if kind == "ticket":
        async with edge.client(await edge.sign_in(alice)) as http:
            made = await http.post("/api/stream/ticket", headers=names_of(alice))
        path = f"{ORDERS}?ticket={made.json()['ticket']}"
    else:
        async with edge.client() as http:
            for user, status in ((alice, 200), ("bob", 409)):
                answer = await http.get("/api/session", headers={**headers, **names_of(user)})
                assert answer.status_code == status
    stream = await edge.connect(path, headers={**headers, **names_of("bob")})
    assert await read_refusal(stream) == (409, account_changed("bob", alice))


class TestStreams:
    @pytest.fixture
    async def cast(self, journal: EventLogDriver, fresh: Callable[[str], str]) -> UserScenario:
        made = UserScenario(journal, fresh("cast"))
        await made.create_strategy_and_configuration()
        return made

    async def test_every_private_stream_for_somebody_else_is_refused(
        self, edge: EdgeProcess, cast: UserScenario
    ) -> None:
        cookie = await edge.sign_in(cast.user, ["admin"])
        paths = {row.path_for(cast) for row in UNIQUE_STREAM_CASES} - {*PUBLIC_STREAMS, TRADING}
        paths |= {"/sse/prices", "/api/stream?topics=prices,orders", "/api/stream/metrics"}
        assert len(paths) >= 13
        for path in paths:
            by_query = f"{path}{'&' if '?' in path else '?'}userId="
            for url, headers, named_by in (
                (path, names_of("bob"), USER_HEADER),
                (f"{by_query}bob", {}, "userId"),
                (f"{by_query}{quote(cast.user)}", names_of("bob"), USER_HEADER),
            ):
                answer = await edge.connect(url, cookie, headers=headers)
                refused = (409, account_changed("bob", cast.user, named_by))
                assert await read_refusal(answer) == refused, url
            async with await edge.connect(
                by_query + quote(cast.user), cookie, headers=names_of(cast.user)
            ) as stream:
                assert stream.status == 200, path

    async def test_the_document_says_which_streams_are_meant_for_a_user(
        self, edge: EdgeProcess
    ) -> None:
        async with edge.client() as http:
            document = OpenApiDocument((await http.get(OPENAPI_PATH)).json())
        for path in (ORDERS, "/api/stream", "/sse/prices", PRICES, "/api/v2/stream"):
            operation = document.document["paths"][path]["get"]
            names = {one["name"] for one in operation["parameters"]}
            is_private = path not in PUBLIC_STREAMS
            assert ("409" in operation["responses"]) == is_private, path
            assert names >= {USER_HEADER, "userId"} if is_private else USER_HEADER not in names

    async def test_a_stream_does_not_resume_for_the_next_user(
        self, edge: EdgeProcess, alice: str, fresh: Callable[[str], str], journal: EventLogDriver
    ) -> None:
        """Another tab signs in as bob, and the connection of alice's page breaks."""
        last = await journal.append(alice, order_placed("hers"))
        async with await edge.open_stream(ORDERS, await edge.sign_in(alice)) as stream:
            id_ = (await stream.read_until("order:update")).id
        assert id_ is not None
        assert id_.endswith(f"-{last}")
        bob = fresh("bob")
        cookie = await edge.sign_in(bob)
        for path, headers in ((ORDERS, names_of(alice)), (f"{ORDERS}?userId={alice}", {})):
            answer = await edge.connect(path, cookie, headers={**headers, "Last-Event-ID": id_})
            status, body = await read_refusal(answer)
            assert (status, body["error"], body["value"]) == (409, "account_changed", alice)

    async def test_an_admin_reads_the_stream_of_another_user_for_an_own_page(
        self, edge: EdgeProcess, alice: str, fresh: Callable[[str], str]
    ) -> None:
        root = fresh("root")
        cookie = await edge.sign_in(root, ["admin"])
        path = f"{TRADING}?userId={alice}"
        async with await edge.open_stream(path, cookie, headers=names_of(root)) as stream:
            assert stream.frames[-1].data["userId"] == alice
        answer = await edge.connect(path, cookie, headers=names_of(alice))
        assert await read_refusal(answer) == (409, account_changed(alice, root))


class TestPublicStreams:
    @pytest.mark.parametrize("path", PUBLIC_STREAMS)
    async def test_they_are_not_meant_for_anybody(
        self, edge: EdgeProcess, cookie: str, path: str
    ) -> None:
        query = f"{path}{'&' if '?' in path else '?'}userId=bob"
        async with await edge.connect(query, cookie, headers=names_of("bob")) as stream:
            assert stream.status == 200

    @pytest.mark.parametrize("path", PUBLIC_STREAMS)
    async def test_they_outlive_signing_out_and_in(
        self, edge: EdgeProcess, alice: str, path: str, fresh: Callable[[str], str]
    ) -> None:
        cookie = await edge.sign_in(alice)
        async with (
            await edge.open_stream(path, cookie) as public,
            await edge.open_stream(ORDERS, cookie) as private,
        ):
            async with edge.client(cookie) as http:
                assert (await http.delete("/api/session")).status_code == 204
            assert (await private.read_to_end())[-1].event == "auth:expired"
            await edge.sign_in(fresh("bob"))
            async with edge.client(await edge.sign_in(fresh("root"), ["admin"])) as http:
                sent = await http.post("/api/stream/test", json={"message": "after"})
                assert sent.status_code == 202
            frame = await public.read_until("test")
            assert frame.data["message"] == "after"
            assert "auth:expired" not in [frame.event for frame in public.frames]

    async def test_prices_outlive_the_end_of_the_session(
        self, harness: Harness, alice: str, market: QuoteDriver, fresh: Callable[[str], str]
    ) -> None:
        edge = harness.shared_edge(TAPEWIRE_SESSION_HOURS=3 / 3600)
        cookie, symbol = await edge.sign_in(alice), fresh("S").upper()
        async with await edge.open_stream(f"{PRICES}?symbols={symbol}", cookie) as prices:
            async with await edge.connect(ORDERS, cookie) as private:
                if private.status == 200:  # 401 on a machine so busy that the session has ended
                    assert (await private.read_to_end())[-1].event == "auth:expired"
            await market.publish(symbol, 7)
            await prices.read_until("the new price", lambda one: has_price(one, 7, symbol))

    @pytest.mark.parametrize(
        ("path", "roles"),
        [("/api/stream?topics=prices,orders", []), ("/api/stream/metrics", ["admin"])],
    )
    async def test_a_stream_that_shows_more_to_its_user_ends_with_the_session(
        self, edge: EdgeProcess, alice: str, path: str, roles: list[str]
    ) -> None:
        cookie = await edge.sign_in(alice, roles)
        async with await edge.open_stream(path, cookie) as stream, edge.client(cookie) as http:
            await http.delete("/api/session")
            assert (await stream.read_to_end())[-1].event == "auth:expired"
