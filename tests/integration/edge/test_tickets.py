"""Tickets: onto a stream without a header, once, and back by the cookie (C4)."""

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
def alice(fresh: Callable[[str], str]) -> str:
    return fresh("alice")


@pytest.fixture
def other(harness: Harness) -> EdgeProcess:
    """A second process beside `edge`."""
    return harness.shared_edge(SSE_FLUSH_MS=5)


@pytest.fixture
def brief(harness: Harness) -> EdgeProcess:
    """One whose tickets are good for a second."""
    return harness.shared_edge(TAPEWIRE_TICKET_SECONDS=1, TAPEWIRE_JWT_SECRET=HS256_SECRET)


@pytest.fixture
def signed(harness: Harness) -> EdgeProcess:
    """One that takes JWTs."""
    return harness.shared_edge(TAPEWIRE_JWT_SECRET=HS256_SECRET)


async def ticket(edge: EdgeProcess, cookie: str | None = None, **headers: Any) -> Any:
    async with edge.client(cookie) as http:
        answer = await http.post("/api/stream/ticket", headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()["ticket"]


def with_ticket(made: Any) -> Any:
    return f"{ORDERS}?ticket={made}"


def cookie_in(stream: SseStream) -> Any:
    """The session that a stream's answer gives."""
    header = stream.header("set-cookie")
    return SimpleCookie(header)["session"].value if header else None


class TestATicket:
    async def test_opens_one_stream_and_gives_the_cookie(
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

    async def test_a_reconnect_to_the_same_url_works_by_the_cookie(
        self, edge: EdgeProcess, other: EdgeProcess, alice: str
    ) -> None:
        """As EventSource does: the same URL, with a spent ticket, at whichever process."""
        path = with_ticket(await ticket(edge, await edge.sign_in(alice)))
        async with await edge.open_stream(path) as stream:
            given, last = cookie_in(stream), (await stream.read_until("order:update")).id
        for again in (edge, other, edge):
            async with await again.open_stream(path, given, last_event_id=last) as stream:
                assert stream.frames[-1].data["userId"] == alice
                assert stream.header("set-cookie") is None

    async def test_the_cookie_is_like_that_of_a_sign_in(self, harness: Harness, alice: str) -> None:
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

    async def test_of_somebody_else_it_wins_over_the_cookie(
        self, edge: EdgeProcess, alice: str, fresh: Callable[[str], str]
    ) -> None:
        made, bob = await ticket(edge, await edge.sign_in(alice)), fresh("bob")
        async with await edge.open_stream(with_ticket(made), await edge.sign_in(bob)) as stream:
            assert stream.frames[-1].data["userId"] == alice

    async def test_needs_a_session(self, edge: EdgeProcess) -> None:
        for cookie in (None, "nobody"):
            async with edge.client(cookie) as http:
                answer = await http.post("/api/stream/ticket")
                assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)

    async def test_is_good_for_half_a_minute_at_the_most(
        self, edge: EdgeProcess, alice: str
    ) -> None:
        async with edge.client(await edge.sign_in(alice)) as http:
            before = datetime.now(UTC) - timedelta(seconds=1)  # it is told in whole seconds
            answer = (await http.post("/api/stream/ticket")).json()
        made = datetime.fromisoformat(answer["expiresAt"]) - timedelta(seconds=30)
        assert before <= made <= datetime.now(UTC)

    async def test_ends_by_itself(
        self, edge: EdgeProcess, brief: EdgeProcess, harness: Harness, alice: str
    ) -> None:
        cookie = await edge.sign_in(alice)
        wire = await connect(harness.broker.url, "test")
        store = JetStreamLatestValueStore(wire, stream="KV_tickets", prefix="$KV.tickets")
        made, longer = await ticket(brief, cookie), await ticket(edge, cookie)
        ends = time.monotonic() + 1
        key, other = (hashlib.sha256(one.encode()).hexdigest() for one in (made, longer))
        assert await store.get(other)
        await wait_until("a second is over", lambda: time.monotonic() > ends)
        assert await read_refusal(await brief.connect(with_ticket(made))) == (401, UNAUTHORIZED)

        async def gone() -> Any:
            return await store.get(key) is None

        await wait_until_async("the store has forgotten it", gone)
        await wire.close()

    async def test_is_not_in_the_store(
        self, edge: EdgeProcess, harness: Harness, alice: str
    ) -> None:
        cookie = await edge.sign_in(alice)
        made = await ticket(edge, cookie)
        wire = await connect(harness.broker.url, "test")
        store = JetStreamLatestValueStore(wire, stream="KV_tickets", prefix="$KV.tickets")
        kept = await store.get_all()
        await wire.close()
        assert kept
        for key, data in kept.items():
            assert made not in key
            assert made.encode() not in data
            assert cookie.encode() not in data
            assert (await read_refusal(await edge.connect(with_ticket(key))))[0] == 401

    async def test_does_not_work_by_a_link(self, edge: EdgeProcess, alice: str) -> None:
        """Who clicks a link must not be signed in as whoever made it."""
        path = with_ticket(await ticket(edge, await edge.sign_in(alice)))
        answer = await edge.connect(path, headers={"Sec-Fetch-Mode": "navigate"})
        assert answer.header("set-cookie") is None
        assert (await read_refusal(answer))[0] == 401
        await (await edge.open_stream(path, headers={"Sec-Fetch-Mode": "cors"})).close()

    async def test_is_not_spent_by_a_request_that_is_wrong_otherwise(
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
    async def test_that_is_none(self, edge: EdgeProcess, made: Any) -> None:
        assert await read_refusal(await edge.connect(with_ticket(made))) == (401, UNAUTHORIZED)


class TestTwoProcesses:
    async def test_one_of_all_that_race_gets_in(
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

    async def test_a_ticket_of_one_is_good_at_the_other(
        self, edge: EdgeProcess, other: EdgeProcess, alice: str
    ) -> None:
        made = await ticket(edge, await edge.sign_in(alice))
        await (await other.open_stream(with_ticket(made))).close()


class TestTheSessionBehindIt:
    async def test_its_end_ends_what_the_ticket_opened(
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

    async def test_signing_out_with_what_a_ticket_gave_ends_it(
        self, edge: EdgeProcess, alice: str
    ) -> None:
        cookie = await edge.sign_in(alice)
        async with await edge.open_stream(with_ticket(await ticket(edge, cookie))) as stream:
            async with edge.client(cookie_in(stream)) as http:
                assert (await http.delete("/api/session")).status_code == 204
            assert (await stream.read_to_end(seconds=SOON))[-1].event == "auth:expired"
        assert (await read_refusal(await edge.connect(ORDERS, cookie)))[0] == 401

    async def test_a_ticket_of_a_ticket(self, edge: EdgeProcess, alice: str) -> None:
        cookie = await edge.sign_in(alice)
        for _ in range(3):
            async with await edge.open_stream(with_ticket(await ticket(edge, cookie))) as stream:
                cookie = cookie_in(stream)
        await (await edge.open_stream(ORDERS, cookie)).close()

    async def test_of_a_jwt_it_has_the_roles(self, signed: EdgeProcess, alice: str) -> None:
        token = JwtIssuer().token(alice, "HS256", roles=["admin"])
        made = await ticket(signed, Authorization=f"Bearer {token}")
        async with await signed.open_stream(with_ticket(made)) as stream:
            given = cookie_in(stream)
        async with signed.client(given) as http:
            assert (await http.get("/api/session")).json()["roles"] == ["admin"]

    async def test_of_a_jwt_it_ends_with_that(self, signed: EdgeProcess, alice: str) -> None:
        async def asked(exp: Any) -> Any:
            token = JwtIssuer().token(alice, "HS256", exp=exp)
            made = await ticket(signed, Authorization=f"Bearer {token}")
            return await signed.open_stream(with_ticket(made))

        ends, stream = await in_time(asked)
        async with stream:
            given = cookie_in(stream)
            last = (await stream.read_to_end(seconds=SOON))[-1]
        assert (last.event, last.data) == ("auth:expired", {"reason": "expired"})
        assert time.time() < ends + SOON
        assert (await read_refusal(await signed.connect(ORDERS, given)))[0] == 401

    async def test_of_a_jwt_that_is_revoked(self, signed: EdgeProcess, alice: str) -> None:
        headers = {"Authorization": f"Bearer {JwtIssuer().token(alice, 'HS256', seconds=60)}"}
        made = await ticket(signed, **headers)
        async with await signed.open_stream(with_ticket(made)) as stream, signed.client() as http:
            given = cookie_in(stream)
            assert (await http.delete("/api/session", headers=headers)).status_code == 204
            assert (await stream.read_to_end(seconds=SOON))[-1].data == {"reason": "revoked"}
        assert (await read_refusal(await signed.connect(ORDERS, given)))[0] == 401


async def test_no_ticket_is_ever_logged(edge: EdgeProcess, alice: str) -> None:
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


async def test_it_is_in_the_openapi_document(edge: EdgeProcess) -> None:
    async with edge.client() as http:
        document = (await http.get("/docs/openapi.json")).json()
    (operation,) = document["paths"]["/api/stream/ticket"].values()
    assert "201" in operation["responses"]
