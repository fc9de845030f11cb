"""Who may open a stream, and how a stream ends with its session (C2, C3, C5, R5)."""

import hashlib
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from tests.harness.edge import USE_DEFAULT, EdgeProcess, Harness
from tests.harness.publishers import EventLogDriver, order_placed
from tests.harness.sse import SseStream
from tests.harness.stream_assertions import UNAUTHORIZED, read_refusal
from tests.harness.waiting import wait_until

ASKING = {
    "Origin": "https://desk.example",
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "last-event-id",
}
SOON = 20.0
"""Seconds. A revocation arrives sooner than the check that an edge makes every half minute."""
PROTECTED = ["/api/stream/orders", "/api/stream/trading"]
SHORT_HOURS = 3 / 3600


async def nothing_but_data(stream: SseStream) -> None:
    """Check that the stream does not end while another one does."""
    try:
        while True:
            assert (await stream.read(seconds=0.3)).event != "auth:expired"
    except TimeoutError:
        return


class TestStreamsRequireASession:
    @pytest.mark.parametrize("path", PROTECTED)
    @pytest.mark.parametrize(
        "cookie",
        [None, "", "unknown", "x" * 4000, 'a"; other=1', "%00", "session=session", "é", ".." * 20],
    )
    async def test_an_unknown_session_is_refused(
        self, edge: EdgeProcess, path: str, cookie: str
    ) -> None:
        answer = await edge.connect(path, cookie)
        assert await read_refusal(answer) == (401, UNAUTHORIZED)

    @pytest.mark.parametrize("path", PROTECTED)
    async def test_a_revoked_session_is_refused(
        self, edge: EdgeProcess, alice: str, path: str
    ) -> None:
        cookie = await edge.sign_in(alice)
        async with edge.client(cookie) as http:
            assert (await http.delete("/api/session")).status_code == 204
        assert await read_refusal(await edge.connect(path, cookie)) == (401, UNAUTHORIZED)

    async def test_a_session_revoked_at_another_edge_is_refused(
        self, edge: EdgeProcess, harness: Harness, alice: str
    ) -> None:
        other = harness.shared_edge(SSE_FLUSH_MS=5)
        cookie = await edge.sign_in(alice)
        await (await other.open_stream(PROTECTED[0], cookie)).close()
        async with other.client(cookie) as http:
            await http.delete("/api/session")
        assert await read_refusal(await edge.connect(PROTECTED[0], cookie)) == (401, UNAUTHORIZED)

    async def test_a_key_of_the_session_store_is_not_a_session(
        self, edge: EdgeProcess, alice: str
    ) -> None:
        """The keys of the store are hashes of tokens; a key is not accepted as a token."""
        cookie = await edge.sign_in(alice)
        key = hashlib.sha256(cookie.encode()).hexdigest()
        assert (await read_refusal(await edge.connect(PROTECTED[0], key)))[0] == 401

    async def test_other_cookies_are_ignored(self, edge: EdgeProcess, alice: str) -> None:
        cookie = await edge.sign_in(alice)
        headers = {"Cookie": f"theme=dark; session={cookie}; _ga=GA1.2.3"}
        async with await edge.open_stream(PROTECTED[0], headers=headers) as stream:
            assert stream.frames[-1].data["userId"] == alice

    async def test_other_methods_are_not_allowed(self, edge: EdgeProcess, alice: str) -> None:
        cookie = await edge.sign_in(alice)
        for method in ("POST", "PUT", "DELETE", "HEAD"):
            answer = await edge.connect(PROTECTED[0], cookie, method=method)
            assert answer.status == 405, method
            assert answer.header("allow") == "GET, OPTIONS"
            await answer.close()


async def in_time(ask: Any) -> tuple[float, Any]:
    """Call `ask` with an end three seconds ahead, and return that end and the result.

    On a busy machine the end may pass before `ask` is done. A failure after it repeats the call.
    """
    while True:
        ends = time.time() + 3
        try:
            return ends, await ask(ends)
        except AssertionError:
            if time.time() < ends:
                raise


async def brief(edge: EdgeProcess, user: str, **how: Any) -> Any:
    """Return the cookie of a short session, its expiry, and a stream opened with it."""

    async def open_session(_: Any) -> tuple[str, datetime, SseStream]:
        async with edge.client() as http:
            made = await http.post("/api/session", json={"userId": user})
        cookie, expires = made.cookies["session"], made.json()["expiresAt"]
        stream = await edge.open_stream(PROTECTED[0], cookie, **how)
        return cookie, datetime.fromisoformat(expires), stream

    return (await in_time(open_session))[1]


class TestSessionEnd:
    @pytest.mark.parametrize("path", PROTECTED)
    async def test_revoking_a_session_ends_its_streams(
        self, edge: EdgeProcess, alice: str, path: str
    ) -> None:
        cookie, other = await edge.sign_in(alice), await edge.sign_in(alice)
        async with (
            await edge.open_stream(path, cookie) as ended,
            await edge.open_stream(path, other) as other_stream,
            edge.client(cookie) as http,
        ):
            await ended.read()
            await http.delete("/api/session")
            frames = await ended.read_to_end(seconds=SOON)
            assert frames[-1].event == "auth:expired"
            assert frames[-1].data == {"reason": "revoked"}
            assert frames[-1].id is None
            await nothing_but_data(other_stream)

    async def test_revoking_at_one_edge_ends_streams_at_the_other(
        self, edge: EdgeProcess, harness: Harness, alice: str
    ) -> None:
        other = harness.shared_edge(SSE_FLUSH_MS=5)
        cookie = await edge.sign_in(alice)
        async with (
            await other.open_stream(PROTECTED[0], cookie) as stream,
            edge.client(cookie) as http,
        ):
            await http.delete("/api/session")
            assert (await stream.read_to_end(seconds=SOON))[-1].event == "auth:expired"

    async def test_events_before_the_revocation_still_arrive(
        self, edge: EdgeProcess, alice: str, journal: EventLogDriver
    ) -> None:
        cookie = await edge.sign_in(alice)
        async with (
            await edge.open_stream(PROTECTED[0], cookie) as stream,
            edge.client(cookie) as http,
        ):
            await stream.read_until("order:update")
            last = await journal.append(alice, *(order_placed(f"o-{n}") for n in range(50)))
            await stream.read_until(
                "the last one", lambda frame: frame.id and frame.sequence == last
            )
            await http.delete("/api/session")
            assert [f.event for f in await stream.read_to_end(seconds=SOON)] == ["auth:expired"]

    async def test_a_stream_never_outlives_its_session(self, harness: Harness, alice: str) -> None:
        edge = harness.shared_edge(TAPEWIRE_SESSION_HOURS=SHORT_HOURS)
        cookie, expires, stream = await brief(edge, alice)
        async with stream:
            frames = await stream.read_to_end(seconds=SOON)
            over = datetime.now(UTC)
        assert frames[-1].event == "auth:expired"
        assert expires <= over < expires + timedelta(seconds=SOON)
        assert await read_refusal(await edge.connect(PROTECTED[0], cookie)) == (401, UNAUTHORIZED)

    async def test_a_stalled_stream_does_not_outlive_its_session(
        self, harness: Harness, alice: str, journal: EventLogDriver
    ) -> None:
        """The edge cannot write the last frame, and closes the connection anyway."""
        edge = harness.shared_edge(TAPEWIRE_SESSION_HOURS=SHORT_HOURS)
        _, _, stream = await brief(edge, alice, receive_buffer=4096)
        client = stream.frames[-1].data["clientId"]
        reason = "x" * 20_000
        await journal.append(alice, *(order_placed(f"o-{n}", reason=reason) for n in range(40)))
        closed = partial(edge.find_log_lines, "stream.closed", client_id=client)
        await wait_until("the stream is closed with its session", closed)
        assert closed()[0]["reason"] == "expired"
        assert closed()[0]["seconds"] < SOON
        await stream.close()


class TestSignIn:
    async def test_the_cookie_is_http_only(self, edge: EdgeProcess, alice: str) -> None:
        before = datetime.now(UTC) - timedelta(seconds=1)  # the response has whole seconds
        async with edge.client() as http:
            answer = await http.post("/api/session", json={"userId": alice, "roles": ["admin"]})
        attributes = {part.strip() for part in answer.headers["set-cookie"].split(";")[1:]}
        assert {"HttpOnly", "Path=/", "SameSite=lax"} <= attributes
        assert "Secure" not in attributes
        assert answer.status_code == 201
        body = answer.json()
        assert (body["userId"], body["roles"]) == (alice, ["admin"])
        expires = datetime.fromisoformat(body["expiresAt"])
        assert before <= expires - timedelta(hours=12) <= datetime.now(UTC)

    async def test_the_cookie_is_secure_where_configured(
        self, harness: Harness, alice: str
    ) -> None:
        edge = harness.shared_edge(TAPEWIRE_COOKIE_SECURE="on")
        async with edge.client() as http:
            answer = await http.post("/api/session", json={"userId": alice})
        assert "; Secure" in answer.headers["set-cookie"]

    async def test_the_session_names_its_user_and_roles(
        self, edge: EdgeProcess, alice: str
    ) -> None:
        async with edge.client(await edge.sign_in(alice, ["admin"])) as http:
            answer = await http.get("/api/session")
        assert answer.status_code == 200
        assert (answer.json()["userId"], answer.json()["roles"]) == (alice, ["admin"])

    async def test_signing_out_clears_the_cookie(self, edge: EdgeProcess, alice: str) -> None:
        async with edge.client(await edge.sign_in(alice)) as http:
            answer = await http.delete("/api/session")
            assert answer.status_code == 204
            assert 'session=""' in answer.headers["set-cookie"] or "Max-Age=0" in str(
                answer.headers["set-cookie"]
            )
        async with edge.client("nobody") as http:
            assert (await http.get("/api/session")).json() == UNAUTHORIZED
            assert (await http.delete("/api/session")).json() == UNAUTHORIZED

    @pytest.mark.parametrize("switch", ["off", USE_DEFAULT])
    async def test_sign_in_is_forbidden_unless_enabled(
        self, harness: Harness, alice: str, switch: Any
    ) -> None:
        edge = harness.shared_edge(TAPEWIRE_SIGN_IN=switch)
        async with edge.client() as http:
            answer = await http.post("/api/session", json={"userId": alice})
        assert answer.status_code == 403
        assert answer.json()["statusCode"] == answer.status_code
        assert "set-cookie" not in answer.headers

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({}, "userId"),
            ({"userId": ""}, "userId"),
            ({"userId": 7}, "userId"),
            ({"userId": "a\nb"}, "userId"),
            ({"userId": "_all"}, "userId"),
            ({"userId": "x" * 129}, "userId"),
            ({"userId": "a", "roles": "admin"}, "roles"),
            ({"userId": "a", "roles": ["ad min"]}, "roles[0]"),
            ({"userId": "a", "roles": ["a"] * 17}, "roles"),
            ({"userId": "a", "admin": True}, "admin"),
        ],
    )
    async def test_the_error_names_the_invalid_field(
        self, edge: EdgeProcess, body: dict[str, Any], path: str
    ) -> None:
        async with edge.client() as http:
            answer = await http.post("/api/session", json=body)
        assert answer.status_code == 422
        assert answer.json()["path"] == path


class TestOrigins:
    """Preflights without a browser; the checks of the browser itself are out of scope (C5)."""

    async def test_a_listed_origin_may_read_streams(self, harness: Harness) -> None:
        edge = harness.shared_edge(TAPEWIRE_ORIGINS="https://desk.example,https://b.example")
        async with await edge.connect(PROTECTED[0], method="OPTIONS", headers=ASKING) as answer:
            assert answer.status == 200
            assert answer.header("access-control-allow-origin") == "https://desk.example"
            assert answer.header("access-control-allow-credentials") == "true"
            assert answer.header("access-control-allow-methods") == "GET, OPTIONS"
            assert "Last-Event-ID" in (answer.header("access-control-allow-headers") or "")
            assert answer.header("vary") == "Origin"
            assert await answer.body() == b""
        async with await edge.open_stream(
            "/api/stream/prices", headers={"Origin": "https://b.example"}
        ) as stream:
            assert stream.header("access-control-allow-origin") == "https://b.example"
            assert stream.header("access-control-allow-credentials") == "true"

    async def test_an_unlisted_origin_gets_no_cors_headers(self, harness: Harness) -> None:
        edge = harness.shared_edge(TAPEWIRE_ORIGINS="https://desk.example,https://b.example")
        for origin in ("https://evil.example", "null", "https://desk.example.evil.example"):
            async with await edge.open_stream(
                "/api/stream/prices", headers={"Origin": origin}
            ) as stream:
                assert stream.header("access-control-allow-origin") is None
                assert stream.header("access-control-allow-credentials") is None

    async def test_a_wildcard_origin_excludes_credentials(self, harness: Harness) -> None:
        edge = harness.shared_edge(TAPEWIRE_ORIGINS="*")
        async with await edge.open_stream("/api/stream/prices", headers=ASKING) as stream:
            assert stream.header("access-control-allow-origin") == "*"
            assert stream.header("access-control-allow-credentials") is None

    async def test_no_origin_is_allowed_by_default(self, edge: EdgeProcess) -> None:
        async with await edge.connect(PROTECTED[0], method="OPTIONS", headers=ASKING) as answer:
            assert answer.status == 200
            assert answer.header("access-control-allow-origin") is None

    async def test_a_listed_origin_may_read_refusals(self, harness: Harness) -> None:
        """A page must see the status 401, or it would retry for ever."""
        edge = harness.shared_edge(TAPEWIRE_ORIGINS="https://desk.example,https://b.example")
        async with await edge.connect(PROTECTED[0], headers=ASKING) as answer:
            assert answer.status == 401
            assert answer.header("access-control-allow-origin") == "https://desk.example"
