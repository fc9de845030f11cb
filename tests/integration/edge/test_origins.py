"""CORS for REST calls: which origins may call, read responses and use credentials (C5)."""

import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.jwt_issuer import HS256_SECRET, JwtIssuer

ORIGIN = "https://desk.example"
ASKING = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type",
}
JSON = {"Content-Type": "application/json"}
USED_HEADERS = {
    "content-type", "authorization", "last-event-id", "x-correlation-id", "idempotency-key",
    "x-tapewire-user", "cache-control", "traceparent", "tracestate", "baggage",
}  # fmt: skip
"""The request headers that the API, the streams and trace contexts use."""
ORDER = {"symbol": "NONE", "side": "buy", "type": "market", "qty": 1}


@pytest.fixture
def edge(harness: Harness) -> EdgeProcess:
    """Return an edge that lists the origins of pages on the same site."""
    return harness.shared_edge(TAPEWIRE_ORIGINS=f"{ORIGIN},https://b.example")


@pytest.fixture
def foreign(harness: Harness) -> EdgeProcess:
    """Return an edge whose cookie is sent from every site, and that lists one origin."""
    return harness.shared_edge(
        TAPEWIRE_ORIGINS=ORIGIN, TAPEWIRE_COOKIE_SAME_SITE="none", TAPEWIRE_COOKIE_SECURE="on"
    )


class TestCrossOriginCalls:
    @pytest.mark.parametrize(
        "path",
        [
            "/api/stream/ticket", "/api/session", "/api/orders", "/api/orders/x", "/api/prices",
            "/api/strategies", "/api/v2/configurations/x",
        ],
    )  # fmt: skip
    async def test_a_preflight_allows_a_listed_origin(self, edge: EdgeProcess, path: str) -> None:
        async with edge.client() as http:
            answer = await http.options(path, headers=ASKING)
        assert answer.status_code == 200
        assert answer.content == b""
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert "DELETE" in answer.headers["access-control-allow-methods"]
        allowed = {
            name.strip().lower()
            for name in answer.headers["access-control-allow-headers"].split(",")
        }
        assert allowed >= USED_HEADERS
        assert answer.headers["x-correlation-id"]

    @pytest.mark.parametrize(
        "path", ["/api/stream/orders", "/api/v2/stream", "/sse/prices", "/api/stream/metrics"]
    )
    async def test_a_streams_preflight_allows_every_used_header(
        self, edge: EdgeProcess, path: str
    ) -> None:
        async with edge.client() as http:
            answer = await http.options(path, headers=ASKING)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-methods"] == "GET, OPTIONS"
        allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
        assert set(allowed) >= USED_HEADERS

    async def test_a_listed_origin_may_read_successes_and_errors(
        self, edge: EdgeProcess, alice: str
    ) -> None:
        async with edge.client(await edge.sign_in(alice)) as http:
            ticket = await http.post("/api/stream/ticket", headers={"Origin": ORIGIN})
            bad = await http.post("/api/orders", headers={"Origin": ORIGIN, **JSON}, content=b"{")
        async with edge.client() as http:
            refused = await http.get("/api/session", headers={"Origin": ORIGIN})
        for answer, status in ((ticket, 201), (bad, 400), (refused, 401)):
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            assert answer.headers["vary"] == "Origin"

    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "*", "é", ORIGIN + "/"])
    async def test_other_origins_get_no_cors_headers(self, edge: EdgeProcess, origin: str) -> None:
        async with edge.client() as http:
            headers = [(b"origin", origin.encode())]
            for answer in (
                await http.options("/api/stream/ticket", headers=headers),
                await http.get("/api/prices", headers=headers),
            ):
                assert answer.status_code == 200
                assert "access-control-allow-origin" not in answer.headers
                assert "access-control-allow-credentials" not in answer.headers

    async def test_a_wildcard_origin_excludes_credentials(
        self, harness: Harness, alice: str
    ) -> None:
        edge = harness.shared_edge(TAPEWIRE_USER_HEADER_FROM="10.0.0.0/8", TAPEWIRE_ORIGINS="*")
        async with edge.client(await edge.sign_in(alice)) as http:
            answer = await http.get("/api/session", headers={"Origin": ORIGIN})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers

    async def test_html_pages_have_no_cors_headers(self, edge: EdgeProcess) -> None:
        async with edge.client() as http:
            answer = await http.get("/", headers={"Origin": ORIGIN})
        assert "access-control-allow-origin" not in answer.headers


class TestCrossSiteCookies:
    async def test_the_cookie_is_samesite_none_and_secure(
        self, foreign: EdgeProcess, alice: str
    ) -> None:
        async with foreign.client() as http:
            answer = await http.post("/api/session", json={"userId": alice})
        assert "; SameSite=none" in answer.headers["set-cookie"]
        assert "; Secure" in answer.headers["set-cookie"]

    @pytest.mark.parametrize(
        ("origin", "status"),
        [(ORIGIN, 201), (None, 201), ("here", 201), ("https://evil.example", 403), ("null", 403)],
    )
    async def test_the_cookie_does_not_authenticate_posts_from_unlisted_origins(
        self, foreign: EdgeProcess, alice: str, origin: str | None, status: int
    ) -> None:
        """A form on any page can send a POST request with the cookie, without a preflight."""
        cookie = await foreign.sign_in(alice)
        headers = {"Origin": foreign.url if origin == "here" else origin} if origin else {}
        headers["Cookie"] = f"session={cookie}"
        async with foreign.client() as http:
            answer = await http.post("/api/stream/ticket", headers=headers)
            assert answer.status_code == status
            assert (await http.get("/api/session", headers=headers)).status_code == 200

    async def test_a_bearer_token_works_from_any_origin(self, harness: Harness, alice: str) -> None:
        edge = harness.shared_edge(TAPEWIRE_TICKET_SECONDS=1, TAPEWIRE_JWT_SECRET=HS256_SECRET)
        token = JwtIssuer().token(alice, "HS256")
        headers = {"Origin": "https://any.example", "Authorization": f"Bearer {token}"}
        async with edge.client() as http:
            assert (await http.post("/api/stream/ticket", headers=headers)).status_code == 201
