"""Calls from pages of elsewhere: which may be made, read, and with whose credentials (C5)."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.jwt_issuer import HS256_SECRET, JwtIssuer

DESK = "https://desk.example"
ASKING = {
    "Origin": DESK,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type",
}
ORDER = {"symbol": "NONE", "side": "buy", "type": "market", "qty": 1}


@pytest.fixture
def alice(fresh: Callable[[str], str]) -> str:
    return fresh("alice")


@pytest.fixture
def edge(harness: Harness) -> EdgeProcess:
    """One with a listed origin, as for a page on the same site."""
    return harness.shared_edge(TAPEWIRE_ORIGINS=f"{DESK},https://b.example")


@pytest.fixture
def foreign(harness: Harness) -> EdgeProcess:
    """One whose cookie goes along from every site; pages of one of them may ask."""
    return harness.shared_edge(
        TAPEWIRE_ORIGINS=DESK, TAPEWIRE_COOKIE_SAME_SITE="none", TAPEWIRE_COOKIE_SECURE="on"
    )


class TestCalls:
    @pytest.mark.parametrize(
        "path",
        ["/api/stream/ticket", "/api/session", "/api/orders", "/api/orders/x", "/api/prices"],
    )
    async def test_a_preflight_is_answered(self, edge: EdgeProcess, path: str) -> None:
        async with edge.client() as http:
            answer = await http.options(path, headers=ASKING)
        assert answer.status_code == 200
        assert answer.content == b""
        assert answer.headers["access-control-allow-origin"] == DESK
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert "DELETE" in answer.headers["access-control-allow-methods"]
        assert "Authorization" in answer.headers["access-control-allow-headers"]
        assert answer.headers["x-correlation-id"]

    async def test_answers_can_be_read_refusals_too(self, edge: EdgeProcess, alice: str) -> None:
        async with edge.client(await edge.sign_in(alice)) as http:
            ticket = await http.post("/api/stream/ticket", headers={"Origin": DESK})
            bad = await http.post("/api/orders", headers={"Origin": DESK}, content=b"{")
        async with edge.client() as http:
            refused = await http.get("/api/session", headers={"Origin": DESK})
        for answer, status in ((ticket, 201), (bad, 400), (refused, 401)):
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == DESK
            assert answer.headers["vary"] == "Origin"

    @pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "*", "é", DESK + "/"])
    async def test_not_by_others(self, edge: EdgeProcess, origin: Any) -> None:
        async with edge.client() as http:
            headers = [(b"origin", origin.encode())]
            for answer in (
                await http.options("/api/stream/ticket", headers=headers),
                await http.get("/api/prices", headers=headers),
            ):
                assert answer.status_code == 200
                assert "access-control-allow-origin" not in answer.headers
                assert "access-control-allow-credentials" not in answer.headers

    async def test_everybody_only_without_credentials(self, harness: Harness, alice: str) -> None:
        edge = harness.shared_edge(TAPEWIRE_USER_HEADER_FROM="10.0.0.0/8", TAPEWIRE_ORIGINS="*")
        async with edge.client(await edge.sign_in(alice)) as http:
            answer = await http.get("/api/session", headers={"Origin": DESK})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers

    async def test_pages_are_nobody_elses(self, edge: EdgeProcess) -> None:
        async with edge.client() as http:
            answer = await http.get("/", headers={"Origin": DESK})
        assert "access-control-allow-origin" not in answer.headers


class TestACookieThatGoesAlongFromEverySite:
    async def test_says_so(self, foreign: EdgeProcess, alice: str) -> None:
        async with foreign.client() as http:
            answer = await http.post("/api/session", json={"userId": alice})
        assert "; SameSite=none" in answer.headers["set-cookie"]
        assert "; Secure" in answer.headers["set-cookie"]

    @pytest.mark.parametrize(
        ("origin", "status"),
        [(DESK, 201), (None, 201), ("here", 201), ("https://evil.example", 401), ("null", 401)],
    )
    async def test_does_nothing_for_a_page_that_may_not_ask(
        self, foreign: EdgeProcess, alice: str, origin: Any, status: int
    ) -> None:
        """A form on any page can be posted with it, and no preflight asks before that."""
        cookie = await foreign.sign_in(alice)
        headers = {"Content-Type": "text/plain", **({"Origin": origin} if origin else {})}
        if origin == "here":
            headers["Origin"] = foreign.url
        headers["Cookie"] = f"session={cookie}"
        async with foreign.client() as http:
            answer = await http.post("/api/stream/ticket", headers=headers)
            assert answer.status_code == status
            assert (await http.get("/api/session", headers=headers)).status_code == 200

    async def test_a_stranger_with_a_token_of_its_own_may(
        self, harness: Harness, alice: str
    ) -> None:
        edge = harness.shared_edge(TAPEWIRE_TICKET_SECONDS=1, TAPEWIRE_JWT_SECRET=HS256_SECRET)
        token = JwtIssuer().token(alice, "HS256")
        headers = {"Origin": "https://any.example", "Authorization": f"Bearer {token}"}
        async with edge.client() as http:
            assert (await http.post("/api/stream/ticket", headers=headers)).status_code == 201
