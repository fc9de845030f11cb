"""Stream tickets: they open one stream without a header; a cookie reopens it (C4)."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any

import pytest

from tapewire.log.jetstream import JetStreamLatestValueStore, connect
from tests.harness.edge import EdgeProcess, Harness
from tests.harness.jwt_issuer import HS256_SECRET, JwtIssuer
from tests.harness.sse import SseStream
from tests.harness.stream_assertions import UNAUTHORIZED, read_refusal
from tests.harness.waiting import wait_until, wait_until_async
from tests.integration.edge.test_sessions import SOON, in_time

ORDERS = "/api/stream/orders"


@pytest.fixture
def other(harness: Harness) -> EdgeProcess:
    """Return a second process next to `edge`."""
    return harness.shared_edge(SSE_FLUSH_MS=5)


@pytest.fixture
def brief(harness: Harness) -> EdgeProcess:
    """Return an edge whose tickets are valid for one second."""
    return harness.shared_edge(TAPEWIRE_TICKET_SECONDS=1, TAPEWIRE_JWT_SECRET=HS256_SECRET)


@pytest.fixture
def signed(harness: Harness) -> EdgeProcess:
    """Return an edge that accepts JWTs."""
    return harness.shared_edge(TAPEWIRE_JWT_SECRET=HS256_SECRET)


async def ticket(edge: EdgeProcess, cookie: str | None = None, **headers: Any) -> Any:
    async with edge.client(cookie) as http:
        answer = await http.post("/api/stream/ticket", headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()["ticket"]


def with_ticket(made: Any) -> str:
    return f"{ORDERS}?ticket={made}"


def cookie_in(stream: SseStream) -> Any:
    """Return the session cookie that a stream's response sets, or None."""
    header = stream.header("set-cookie")
    return SimpleCookie(header)["session"].value if header else None


class TestTicket:
    async def test_a_ticket_opens_one_stream_and_sets_the_cookie(
        self, edge: EdgeProcess, alice: str
    ) -> None:
        cookie = await edge.sign_in(alice)
        made = await ticket(edge, cookie)
        async with await edge.open_stream(with_ticket(made)) as stream:
            assert stream.frames[-1].data["userId"] == alice
            given = cookie_in(stream)
        assert given not in (None, cookie)
        async with edge.client(given) as http:
            assert (await http.get("/api/session")).json()["userId"] == alice
        assert await read_refusal(await edge.connect(with_ticket(made))) == (401, UNAUTHORIZED)

    async def test_a_reconnect_to_the_same_url_uses_the_cookie(
        self, edge: EdgeProcess, other: EdgeProcess, alice: str
    ) -> None:
        """`EventSource` repeats the URL with its used ticket, at any process."""
        path = with_ticket(await ticket(edge, await edge.sign_in(alice)))
        async with await edge.open_stream(path) as stream:
            given, last = cookie_in(stream), (await stream.read_until("order:update")).id
        for again in (edge, other, edge):
            async with await again.open_stream(path, given, last_event_id=last) as stream:
                assert stream.frames[-1].data["userId"] == alice
                assert stream.header("set-cookie") is None

    async def test_the_cookie_has_the_attributes_of_a_sign_in_cookie(
        self, harness: Harness, alice: str
    ) -> None:
        edge = harness.shared_edge(TAPEWIRE_COOKIE_SECURE="on")
        async with edge.client() as http:
            answer = await http.post("/api/session", json={"userId": alice})
        signed_in = SimpleCookie(answer.headers["set-cookie"])["session"]
        made = await ticket(edge, signed_in.value)
        async with await edge.open_stream(with_ticket(made)) as stream:
            given = SimpleCookie(stream.header("set-cookie"))["session"]
        for name in ("path", "httponly", "samesite", "secure", "domain"):
            assert given[name] == signed_in[name], name
        assert 0 <= int(signed_in["max-age"]) - int(given["max-age"]) < 60

    async def test_a_ticket_takes_precedence_over_another_users_cookie(
        self, edge: EdgeProcess, alice: str, fresh: Callable[[str], str]
    ) -> None:
        made, bob = await ticket(edge, await edge.sign_in(alice)), fresh("bob")
        async with await edge.open_stream(with_ticket(made), await edge.sign_in(bob)) as stream:
            assert stream.frames[-1].data["userId"] == alice

    async def test_a_ticket_requires_a_session(self, edge: EdgeProcess) -> None:
        for cookie in (None, "nobody"):
            async with edge.client(cookie) as http:
                answer = await http.post("/api/stream/ticket")
                assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)

    async def test_a_ticket_is_valid_for_thirty_seconds(
        self, edge: EdgeProcess, alice: str
    ) -> None:
        async with edge.client(await edge.sign_in(alice)) as http:
            before = datetime.now(UTC) - timedelta(seconds=1)  # the response has whole seconds
            answer = (await http.post("/api/stream/ticket")).json()
        made = datetime.fromisoformat(answer["expiresAt"]) - timedelta(seconds=30)
        assert before <= made <= datetime.now(UTC)

    async def test_a_ticket_expires_and_leaves_the_store(
        self, edge: EdgeProcess, brief: EdgeProcess, harness: Harness, alice: str
    ) -> None:
        cookie = await edge.sign_in(alice)
        connection = await connect(harness.broker.url, "test")
        store = JetStreamLatestValueStore(connection, stream="KV_tickets", prefix="$KV.tickets")
        made, longer = await ticket(brief, cookie), await ticket(edge, cookie)
        ends = time.monotonic() + 1
        key, other = (hashlib.sha256(one.encode()).hexdigest() for one in (made, longer))
        assert await store.get(other)
        await wait_until("a second has passed", lambda: time.monotonic() > ends)
        assert await read_refusal(await brief.connect(with_ticket(made))) == (401, UNAUTHORIZED)

        async def is_removed() -> bool:
            return await store.get(key) is None

        await wait_until_async("the ticket is removed from the store", is_removed)
        await connection.close()

    async def test_the_store_contains_no_ticket_and_no_cookie(
        self, edge: EdgeProcess, harness: Harness, alice: str
    ) -> None:
        cookie = await edge.sign_in(alice)
        made = await ticket(edge, cookie)
        connection = await connect(harness.broker.url, "test")
        store = JetStreamLatestValueStore(connection, stream="KV_tickets", prefix="$KV.tickets")
        stored = await store.get_all()
        await connection.close()
        assert stored
        for key, data in stored.items():
            assert made not in key
            assert made.encode() not in data
            assert cookie.encode() not in data
            assert (await read_refusal(await edge.connect(with_ticket(key))))[0] == 401

    async def test_a_ticket_does_not_work_in_a_link(self, edge: EdgeProcess, alice: str) -> None:
        """A user who follows a link must not be signed in as the author of the link."""
        path = with_ticket(await ticket(edge, await edge.sign_in(alice)))
        answer = await edge.connect(path, headers={"Sec-Fetch-Mode": "navigate"})
        assert answer.header("set-cookie") is None
        assert (await read_refusal(answer))[0] == 401
        await (await edge.open_stream(path, headers={"Sec-Fetch-Mode": "cors"})).close()

    async def test_an_invalid_request_does_not_use_up_the_ticket(
        self, edge: EdgeProcess, alice: str
    ) -> None:
        made = await ticket(edge, await edge.sign_in(alice))
        for path, method, status in (
            (with_ticket(made), "POST", 405),
            (with_ticket(made), "OPTIONS", 200),
            (f"/api/stream/prices?maxRate=x&ticket={made}", "GET", 422),
        ):
            async with await edge.connect(path, method=method) as answer:
                assert answer.status == status
        await (await edge.open_stream(with_ticket(made))).close()

    @pytest.mark.parametrize(
        "made",
        ["", "x", "x" * 43, "x" * 5000, "%00", "%FF%FE", "a.b", "*", ">", "%C3%A9", "..", "-" * 43],
    )
    async def test_an_invalid_ticket_is_refused(self, edge: EdgeProcess, made: Any) -> None:
        assert await read_refusal(await edge.connect(with_ticket(made))) == (401, UNAUTHORIZED)


class TestTwoProcesses:
    async def test_only_one_of_several_concurrent_requests_uses_the_ticket(
        self, edge: EdgeProcess, other: EdgeProcess, alice: str
    ) -> None:
        cookie = await edge.sign_in(alice)
        for _ in range(10):
            path = with_ticket(await ticket(edge, cookie))
            answers = await asyncio.gather(*(one.connect(path) for one in (edge, other) * 4))
            statuses = sorted(answer.status for answer in answers)
            for answer in answers:
                await answer.close()
            assert statuses == [200] + [401] * 7

    async def test_a_ticket_of_one_process_works_at_the_other(
        self, edge: EdgeProcess, other: EdgeProcess, alice: str
    ) -> None:
        made = await ticket(edge, await edge.sign_in(alice))
        await (await other.open_stream(with_ticket(made))).close()


class TestUnderlyingSession:
    async def test_ending_the_session_ends_its_ticket_streams(
        self, edge: EdgeProcess, other: EdgeProcess, alice: str
    ) -> None:
        cookie = await edge.sign_in(alice)
        first, second = await ticket(edge, cookie), await ticket(edge, cookie)
        async with (
            await other.open_stream(with_ticket(first)) as stream,
            edge.client(cookie) as http,
        ):
            given = cookie_in(stream)
            await http.delete("/api/session")
            last = (await stream.read_to_end(seconds=SOON))[-1]
        assert (last.event, last.data) == ("auth:expired", {"reason": "revoked"})
        assert (await read_refusal(await edge.connect(ORDERS, given)))[0] == 401
        assert (await read_refusal(await edge.connect(with_ticket(second))))[0] == 401

    async def test_signing_out_with_a_tickets_cookie_ends_the_session(
        self, edge: EdgeProcess, alice: str
    ) -> None:
        cookie = await edge.sign_in(alice)
        async with await edge.open_stream(with_ticket(await ticket(edge, cookie))) as stream:
            async with edge.client(cookie_in(stream)) as http:
                assert (await http.delete("/api/session")).status_code == 204
            assert (await stream.read_to_end(seconds=SOON))[-1].event == "auth:expired"
        assert (await read_refusal(await edge.connect(ORDERS, cookie)))[0] == 401

    async def test_a_tickets_cookie_may_request_another_ticket(
        self, edge: EdgeProcess, alice: str
    ) -> None:
        cookie = await edge.sign_in(alice)
        for _ in range(3):
            async with await edge.open_stream(with_ticket(await ticket(edge, cookie))) as stream:
                cookie = cookie_in(stream)
        await (await edge.open_stream(ORDERS, cookie)).close()

    async def test_a_ticket_from_a_jwt_has_its_roles(self, signed: EdgeProcess, alice: str) -> None:
        token = JwtIssuer().token(alice, "HS256", roles=["admin"])
        made = await ticket(signed, Authorization=f"Bearer {token}")
        async with await signed.open_stream(with_ticket(made)) as stream:
            given = cookie_in(stream)
        async with signed.client(given) as http:
            assert (await http.get("/api/session")).json()["roles"] == ["admin"]

    async def test_a_ticket_from_a_jwt_expires_with_it(
        self, signed: EdgeProcess, alice: str
    ) -> None:
        async def open_with_ticket(exp: float) -> SseStream:
            token = JwtIssuer().token(alice, "HS256", exp=exp)
            made = await ticket(signed, Authorization=f"Bearer {token}")
            return await signed.open_stream(with_ticket(made))

        ends, stream = await in_time(open_with_ticket)
        async with stream:
            given = cookie_in(stream)
            last = (await stream.read_to_end(seconds=SOON))[-1]
        assert (last.event, last.data) == ("auth:expired", {"reason": "expired"})
        assert time.time() < ends + SOON
        assert (await read_refusal(await signed.connect(ORDERS, given)))[0] == 401

    async def test_revoking_a_jwt_ends_its_ticket_streams(
        self, signed: EdgeProcess, alice: str
    ) -> None:
        headers = {"Authorization": f"Bearer {JwtIssuer().token(alice, 'HS256', seconds=60)}"}
        made = await ticket(signed, **headers)
        async with await signed.open_stream(with_ticket(made)) as stream, signed.client() as http:
            given = cookie_in(stream)
            assert (await http.delete("/api/session", headers=headers)).status_code == 204
            assert (await stream.read_to_end(seconds=SOON))[-1].data == {"reason": "revoked"}
        assert (await read_refusal(await signed.connect(ORDERS, given)))[0] == 401


async def test_tickets_are_never_logged(edge: EdgeProcess, alice: str) -> None:
    made = await ticket(edge, await edge.sign_in(alice))
    async with await edge.open_stream(with_ticket(made)) as stream:
        given, client = cookie_in(stream), stream.frames[-1].data["clientId"]
    await (await edge.connect(with_ticket(made))).close()
    await wait_until(
        "the stream is logged", lambda: edge.find_log_lines("stream.closed", client_id=client)
    )
    text = edge.log_file.read_text()
    assert made not in text
    assert given not in text
    assert "ticket=" not in text


async def test_the_openapi_document_contains_the_ticket_call(edge: EdgeProcess) -> None:
    async with edge.client() as http:
        document = (await http.get("/docs/openapi.json")).json()
    (operation,) = document["paths"]["/api/stream/ticket"].values()
    assert "201" in operation["responses"]
