"""Limits of streams and attempts, and the headers that identify the client (C4, C14).

The edge limits the streams of a process and of a user, and the attempts of an address. It accepts
the client's address and user only from trusted proxies and gateways. The edge of these tests is
behind a proxy at 127.0.0.1, which is also a gateway. Each test is a client with its own address.
"""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tapewire_services.edge.cluster.distributed_rate_limiter import PUBLISH_INTERVAL_SECONDS
from tapewire_services.edge.http.admission import RESUMES_PER_ATTEMPT
from tests.harness.edge import SETTINGS, EdgeProcess, Harness
from tests.harness.stream_assertions import UNAUTHORIZED, read_refusal
from tests.harness.waiting import wait_until, wait_until_async

PRICES = "/api/stream/prices"
ORDERS = "/api/stream/orders"
TICKET = "/api/stream/ticket"
RATE = 5
PLACES = 4

_clients = itertools.count(1)


@pytest.fixture
def edge(harness: Harness) -> EdgeProcess:
    return harness.shared_edge(
        SSE_CONNECT_RATE=RATE,
        SSE_MAX_CONNECTIONS=PLACES,
        TAPEWIRE_TRUSTED_PROXIES="127.0.0.1,10.0.0.0/8",
        TAPEWIRE_USER_HEADER_FROM="127.0.0.0/8",
    )


@pytest.fixture
def client() -> str:
    """An address that no other test uses."""
    return f"198.51.100.{next(_clients)}"


def from_(*addresses: Any) -> dict[str, str]:
    return {"X-Forwarded-For": ", ".join(addresses)}


async def attempt(edge: EdgeProcess, headers: Any, path: str = PRICES) -> int:
    async with await edge.connect(path, headers=headers) as answer:
        return answer.status


async def fewer(edge: EdgeProcess, than: int) -> None:
    """Wait until fewer than `than` streams are open."""

    def open_() -> int:
        return len(edge.find_log_lines("stream.opened")) - len(edge.find_log_lines("stream.closed"))

    await wait_until(f"fewer streams than {than}", lambda: open_() < than, describe_last=open_)


async def empty(edge: EdgeProcess) -> None:
    """Wait until no stream is open."""
    await fewer(edge, 1)


class TestAddressLimit:
    async def test_attempt_above_the_rate_is_429_with_retry_after(
        self, edge: EdgeProcess, client: str
    ) -> None:
        for _ in range(RATE):
            await empty(edge)
            assert await attempt(edge, from_(client)) == 200
        answer = await edge.connect(
            PRICES, headers={**from_(client), "Origin": "https://x.example"}
        )
        assert 1 <= int(answer.header("retry-after") or 0) <= 61
        status, body = await read_refusal(answer)
        assert (status, body["error"], body["statusCode"]) == (429, "Too Many Requests", 429)
        assert "5 new streams a minute" in body["message"]
        await wait_until(
            "the rejection is logged",
            lambda: edge.find_log_lines("stream.rate_limited", address=client),
            describe_last=lambda: edge.log_lines()[-3:],
        )

    async def test_refused_attempts_count(self, edge: EdgeProcess, client: str) -> None:
        """This slows down a client that guesses credentials."""
        statuses = [await attempt(edge, from_(client), ORDERS) for _ in range(RATE + 2)]
        assert statuses == [401] * RATE + [429] * 2

    async def test_other_addresses_are_not_limited(self, edge: EdgeProcess, client: str) -> None:
        for _ in range(RATE + 1):
            last = await attempt(edge, from_(client), ORDERS)
        assert last == 429
        assert await attempt(edge, from_(f"203.0.113.{next(_clients)}"), ORDERS) == 401

    async def test_preflights_and_rest_calls_do_not_count(
        self, edge: EdgeProcess, client: str
    ) -> None:
        for _ in range(RATE * 2):
            async with await edge.connect(PRICES, method="OPTIONS", headers=from_(client)) as one:
                assert one.status == 200
        async with edge.client() as http:
            for _ in range(RATE * 2):
                answer = await http.get("/api/prices", headers=from_(client))
                assert answer.status_code == 200
        assert await attempt(edge, from_(client), ORDERS) == 401

    async def test_addresses_that_the_client_claims_are_ignored(
        self, edge: EdgeProcess, client: str
    ) -> None:
        """The client's entries are to the left of the entry that the proxy adds."""
        statuses = [
            await attempt(edge, from_(f"192.0.2.{n}", "rubbish", client, "10.9.9.9"), ORDERS)
            for n in range(RATE + 1)
        ]
        assert statuses[-1] == 429

    async def test_forwarded_addresses_may_span_several_header_lines(
        self, edge: EdgeProcess, client: str
    ) -> None:
        statuses = []
        for number in range(RATE + 1):
            one, two = from_(f"192.0.2.{number}"), from_(client)
            lines = [*one.items(), *((name.lower(), value) for name, value in two.items())]
            statuses.append(await attempt(edge, dict(lines), ORDERS))
        assert statuses[-1] == 429

    async def test_ipv6_addresses_are_counted_by_subnet(self, edge: EdgeProcess) -> None:
        subnet = f"2001:db8:{next(_clients):x}:1"
        statuses = [await attempt(edge, from_(f"{subnet}::{n}"), ORDERS) for n in range(RATE + 1)]
        assert statuses == [401] * RATE + [429]
        assert await attempt(edge, from_(f"{subnet[:-1]}2::1"), ORDERS) == 401

    async def test_attempts_are_counted_across_all_processes(
        self, harness: Harness, edge: EdgeProcess, client: str
    ) -> None:
        other = harness.shared_edge(SSE_CONNECT_RATE=RATE, TAPEWIRE_TRUSTED_PROXIES="127.0.0.1")

        async def refused_for_what_happened_there() -> bool:
            address = f"203.0.113.{next(_clients)}"
            for _ in range(RATE):
                assert await attempt(other, from_(address), ORDERS) == 401
            await asyncio.sleep(2 * PUBLISH_INTERVAL_SECONDS)
            return await attempt(edge, from_(address), ORDERS) == 429

        await wait_until_async(
            "the other process counts the connections", refused_for_what_happened_there
        )
        assert await attempt(edge, from_(client), ORDERS) == 401

    async def test_default_rate_is_60_a_minute_and_forwarded_headers_are_ignored(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        edge = _as_shipped(harness, monkeypatch)
        statuses = [
            await attempt(edge, from_(f"198.51.100.{number}"), ORDERS) for number in range(62)
        ]
        assert statuses == [401] * 60 + [429] * 2
        await wait_until(
            "the rejection is logged", lambda: edge.find_log_lines("stream.rate_limited")
        )
        (entry,) = edge.find_log_lines("stream.rate_limited")
        assert (entry["address"], entry["through_proxy"]) == ("127.0.0.1", True)


class TestResuming:
    """An EventSource gives up for good on a 429, therefore resuming does not count as an attempt:
    a proxy that cuts connections makes every client of an office resume again and again."""

    async def test_resuming_with_a_session_and_a_current_id_is_never_refused(
        self, edge: EdgeProcess, client: str, fresh: Callable[[str], str]
    ) -> None:
        cookie, last = await edge.sign_in(fresh("alice")), None
        for _ in range(3 * RATE):
            await empty(edge)
            headers = from_(client)
            async with await edge.connect(ORDERS, cookie, headers=headers, last_event_id=last) as s:
                assert s.status == 200
                await s.read_until("an id", lambda frame: frame.id) if last is None else None
                last = last or s.last_id
        statuses = [await attempt(edge, from_(client), ORDERS) for _ in range(RATE)]
        assert statuses == [401] * (RATE - 1) + [429], "only the first stream was an attempt"

    @pytest.mark.parametrize("kind", ["no session", "revoked", "other epoch", "bare sequence"])
    async def test_what_only_looks_like_resuming_counts(
        self, edge: EdgeProcess, client: str, fresh: Callable[[str], str], kind: str
    ) -> None:
        cookie = await edge.sign_in(fresh("alice"))
        current = await _current_id(edge, cookie)
        if kind == "revoked":
            async with edge.client(cookie) as http:
                assert (await http.delete("/api/session")).status_code == 204
        last = {"other epoch": "zz9-1", "bare sequence": "1"}.get(kind, current)
        statuses = []
        for _ in range(RATE + 1):
            await empty(edge)
            async with await edge.connect(
                ORDERS,
                None if kind == "no session" else cookie,
                headers=from_(client),
                last_event_id=last,
            ) as answer:
                statuses.append(answer.status)
        assert statuses[-1] == 429
        assert 429 not in statuses[:-1]

    async def test_resuming_a_public_stream_above_the_rate_is_delayed_and_not_refused(
        self, edge: EdgeProcess, client: str, fresh: Callable[[str], str]
    ) -> None:
        current = await _current_id(edge, await edge.sign_in(fresh("alice")))
        for _ in range(RATE):
            assert await attempt(edge, from_(client), ORDERS) == 401
        path = "/api/v2/stream"
        async with await edge.connect(path, headers=from_(client), last_event_id=current) as stream:
            assert (stream.status, stream.header("content-type")) == (200, "text/event-stream")
            [only] = await stream.read_to_end()
            assert only.retry is not None
            assert 1000 <= only.retry <= 130_000
        assert await attempt(edge, from_(client), path) == 429

    async def test_resuming_without_end_is_delayed_and_not_refused(
        self, edge: EdgeProcess, client: str, fresh: Callable[[str], str]
    ) -> None:
        """Each one costs a look at the session store, which has to be protected too."""
        cookie = await edge.sign_in(fresh("alice"))
        current = await _current_id(edge, cookie)
        for _ in range(RATE * RESUMES_PER_ATTEMPT):
            async with await edge.connect(
                ORDERS, "rubbish", headers=from_(client), last_event_id=current
            ) as answer:
                assert answer.status in (401, 429)
        async with await edge.connect(
            ORDERS, cookie, headers=from_(client), last_event_id=current
        ) as stream:
            assert stream.status == 200
            assert [frame.event for frame in await stream.read_to_end()] == [None]


class TestProcessLimit:
    async def test_stream_above_the_limit_is_503_with_retry_after(self, edge: EdgeProcess) -> None:
        await empty(edge)
        streams = [
            await edge.open_stream(PRICES, headers=_new_client_headers()) for _ in range(PLACES)
        ]
        answer = await edge.connect(PRICES, headers=_new_client_headers())
        assert int(answer.header("retry-after") or 0) >= 1
        assert (await read_refusal(answer))[0] == 503
        async with edge.client() as http:
            assert (await http.get("/api/prices")).status_code == 200
        await streams.pop().close()
        await fewer(edge, PLACES)
        streams.append(await edge.open_stream(PRICES, headers=_new_client_headers()))
        for stream in streams:
            await stream.close()

    async def test_concurrent_attempts_do_not_exceed_the_limit(self, edge: EdgeProcess) -> None:
        """The edge looks up all sessions at the same time, before any stream counts."""
        await empty(edge)
        cookie = await edge.sign_in("crowd")
        answers = await asyncio.gather(
            *(
                edge.connect(ORDERS, cookie, headers=_new_client_headers())
                for _ in range(PLACES * 5)
            )
        )
        statuses = sorted(answer.status for answer in answers)
        for answer in answers:
            await answer.close()
        assert statuses == [200] * PLACES + [503] * (PLACES * 4)

    async def test_ticket_remains_valid_when_the_process_is_full(self, edge: EdgeProcess) -> None:
        await empty(edge)
        cookie = await edge.sign_in("patient")
        async with edge.client(cookie) as http:
            made = (await http.post("/api/stream/ticket")).json()["ticket"]
        path = f"{ORDERS}?ticket={made}"
        streams = [
            await edge.open_stream(PRICES, headers=_new_client_headers()) for _ in range(PLACES)
        ]
        assert await attempt(edge, _new_client_headers(), path) == 503
        for stream in streams:
            await stream.close()
        await empty(edge)
        assert await attempt(edge, _new_client_headers(), path) == 200


class TestUserLimit:
    async def test_default_limit_is_10_streams_and_the_oldest_is_closed(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch, fresh: Callable[[str], str]
    ) -> None:
        edge = _as_shipped(harness, monkeypatch)
        cookie = await edge.sign_in(fresh("tabs"))

        async def tab() -> Any:
            stream = await edge.open_stream(ORDERS, cookie, source="127.0.0.9")
            await stream.read_until("order:update")
            return stream

        oldest, *others = [await tab() for _ in range(10)]
        with pytest.raises(TimeoutError):
            await oldest.read(seconds=0.3)
        newest = await tab()
        assert [(f.event, f.data) for f in await oldest.read_to_end()] == [
            ("connection:limit", {"reason": "limit", "limit": 10})
        ]
        for stream in (oldest, *others, newest):
            await stream.close()
        over = "stream.closed"
        clients = [stream.frames[1].data["clientId"] for stream in (*others, newest)]
        await wait_until(
            "the other streams are logged as closed by their clients",
            lambda: all(
                edge.find_log_lines(over, client_id=client, reason="gone") for client in clients
            ),
            describe_last=lambda: edge.log_lines()[-3:],
        )


class TestCallLimit:
    """A user may make so many calls a minute that change something, on all processes (W10)."""

    @pytest.fixture
    def edge(self, harness: Harness) -> EdgeProcess:
        return harness.shared_edge(TAPEWIRE_CALL_RATE=RATE)

    async def call(self, edge: EdgeProcess, cookie: str, method: str, path: str) -> int:
        async with edge.client(cookie) as http:
            return (await http.request(method, path)).status_code

    async def test_call_above_the_rate_is_429_with_retry_after(
        self, edge: EdgeProcess, fresh: Callable[[str], str]
    ) -> None:
        alice, bob = fresh("alice"), await edge.sign_in(fresh("bob"))
        cookies = [await edge.sign_in(alice) for _ in range(2)]
        for number in range(RATE):
            assert await self.call(edge, cookies[number % 2], "POST", TICKET) == 201
        async with edge.client(cookies[0]) as http:
            answer = await http.post("/api/orders", json={})
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 61
        assert f"{RATE} calls of one user a minute" in answer.json()["message"]
        assert edge.find_log_lines("request.rate_limited", user_id=alice)
        assert await self.call(edge, bob, "POST", TICKET) == 201

    async def test_reading_cancelling_and_signing_out_are_never_limited(
        self, edge: EdgeProcess, fresh: Callable[[str], str]
    ) -> None:
        cookie = await edge.sign_in(fresh("alice"))
        statuses = [await self.call(edge, cookie, "POST", TICKET) for _ in range(RATE + 1)]
        assert statuses[-1] == 429
        for _ in range(2 * RATE):
            assert await self.call(edge, cookie, "GET", "/api/session") == 200
            # The harness runs no orders service.
            assert await self.call(edge, cookie, "DELETE", "/api/orders/x") == 503
        assert await self.call(edge, cookie, "DELETE", "/api/session") == 204

    async def test_calls_are_counted_across_all_processes(
        self, harness: Harness, edge: EdgeProcess, fresh: Callable[[str], str]
    ) -> None:
        other = harness.shared_edge(TAPEWIRE_CALL_RATE=RATE, SSE_GZIP="off")

        async def refused_for_calls_there() -> bool:
            cookie = await edge.sign_in(fresh("alice"))
            for _ in range(RATE):
                assert await self.call(other, cookie, "POST", TICKET) == 201
            await asyncio.sleep(2 * PUBLISH_INTERVAL_SECONDS)
            return await self.call(edge, cookie, "POST", TICKET) == 429

        await wait_until_async("the other process counts them", refused_for_calls_there)


class TestTrustedGateway:
    async def test_header_identifies_the_user(
        self, edge: EdgeProcess, fresh: Callable[[str], str]
    ) -> None:
        await empty(edge)
        headers = {
            **_new_client_headers(),
            "X-User-ID": fresh("alice"),
            "X-User-Roles": "admin, desk",
        }
        async with await edge.open_stream(ORDERS, headers=headers) as stream:
            assert stream.frames[-1].data["userId"] == headers["X-User-ID"]
        async with edge.client() as http:
            who = (await http.get("/api/session", headers=headers)).json()
            assert (who["userId"], who["roles"]) == (headers["X-User-ID"], ["admin", "desk"])
            assert (await http.delete("/api/session", headers=headers)).status_code == 409

    async def test_header_overrides_the_session_cookie(
        self, edge: EdgeProcess, fresh: Callable[[str], str]
    ) -> None:
        await empty(edge)
        alice, cookie = fresh("alice"), await edge.sign_in(fresh("bob"))
        headers = {**_new_client_headers(), "X-User-ID": alice}
        async with await edge.open_stream(ORDERS, cookie, headers=headers) as stream:
            assert stream.frames[-1].data["userId"] == alice

    @pytest.mark.parametrize("user", ["", "_all", "x" * 129, "\xff\xfe", "_"])
    async def test_invalid_user_id_is_401(self, edge: EdgeProcess, user: str) -> None:
        answer = await edge.connect(ORDERS, headers={**_new_client_headers(), "X-User-ID": user})
        assert await read_refusal(answer) == (401, UNAUTHORIZED)

    async def test_second_user_header_from_the_client_is_401(self, edge: EdgeProcess) -> None:
        headers = {**_new_client_headers(), "X-User-ID": "admin", "x-user-id": "alice"}
        assert (await read_refusal(await edge.connect(ORDERS, headers=headers)))[0] == 401

    async def test_header_from_an_unlisted_gateway_is_401(self, harness: Harness) -> None:
        """A forwarded address that is listed makes no difference: only the peer address counts."""
        headers = {"X-User-ID": "alice", **from_("127.0.0.1")}
        for edge in (
            harness.shared_edge(),
            harness.shared_edge(TAPEWIRE_USER_HEADER_FROM="10.0.0.0/8", TAPEWIRE_ORIGINS="*"),
        ):
            answer = await edge.connect(ORDERS, headers=headers)
            assert await read_refusal(answer) == (401, UNAUTHORIZED)
            async with edge.client() as http:
                assert (await http.get("/api/session", headers=headers)).status_code == 401

    async def test_gateway_gets_tickets_for_its_users(
        self, edge: EdgeProcess, fresh: Callable[[str], str]
    ) -> None:
        await empty(edge)
        alice = fresh("alice")
        async with edge.client() as http:
            answer = await http.post("/api/stream/ticket", headers={"X-User-ID": alice})
        path = f"{ORDERS}?ticket={answer.json()['ticket']}"
        async with await edge.open_stream(path, headers=_new_client_headers()) as stream:
            assert stream.frames[-1].data["userId"] == alice
            assert stream.header("set-cookie")


async def _current_id(edge: EdgeProcess, cookie: str) -> str:
    """An id of the current epoch."""
    await empty(edge)
    async with await edge.connect(ORDERS, cookie, headers=_new_client_headers()) as stream:
        frame = await stream.read_until("an id", lambda frame: frame.id)
    return str(frame.id)


def _new_client_headers() -> dict[str, str]:
    """The headers of a client with a new address."""
    number = next(_clients)
    return from_(f"203.0.{number // 250}.{number % 250 + 1}")


def _as_shipped(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> EdgeProcess:
    """An edge with the default SSE settings, except for the maximum number of streams."""
    settings = {name: value for name, value in SETTINGS.items() if not name.startswith("SSE_")}
    monkeypatch.setattr("tests.harness.edge.SETTINGS", settings)
    return harness.shared_edge(SSE_MAX_CONNECTIONS=100)
