"""Requests that a page of another origin makes a browser send with its cookie (W1).

A page can send a form or a "simple" request to any site without asking, and the browser adds the
cookies of that site. Pages on a sibling domain, or on another port of this machine, are of the same
site, therefore SameSite does not help.
"""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.jwt_issuer import HS256_SECRET, JwtIssuer

ORIGIN = "https://desk.example"
JSON = {"Content-Type": "application/json"}
CALLS = [
    ("POST", "/api/orders", {"symbol": "NONE", "side": "buy", "type": "market", "qty": 7}),
    ("DELETE", "/api/orders/x", None),
    ("POST", "/api/strategies", {"symbol": "NONE"}),
    ("PATCH", "/api/strategies/x", {"quantity": 2}),
    ("POST", "/api/strategies/x/start", None),
    ("POST", "/api/notifications/read", {"ids": ["x"]}),
    ("POST", "/api/stream/ticket", None),
    ("POST", "/api/stream/test", {"message": "x"}),
    ("DELETE", "/api/session", None),
    ("PUT", "/api/orders", {}),
]
FOREIGN: list[dict[str, str]] = [
    {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.desk.example"},
    {"Origin": "https://desk.example.evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "*"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": ""},
    {"Referer": "https://evil.example/page"},
    {"Referer": "http://127.0.0.1:3000/"},
    {"Referer": "about:blank"},
]
"""The headers that browsers send for a page of another origin."""


@pytest.fixture
def edge(harness: Harness) -> EdgeProcess:
    return harness.shared_edge(TAPEWIRE_ORIGINS=f"{ORIGIN},https://b.example")


@pytest.fixture
async def cookie(edge: EdgeProcess, fresh: Callable[[str], str]) -> str:
    return await edge.sign_in(fresh("alice"), ["admin"])


async def post(
    edge: EdgeProcess, path: str, headers: dict[str, str], cookie: str | None = None, **how: Any
) -> httpx.Response:
    async with edge.client(cookie) as http:
        return await http.post(path, headers=headers, **how)


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_a_change_with_a_cookie_from_another_origin_is_403(
    edge: EdgeProcess, cookie: str, method: str, path: str, body: dict[str, Any] | None
) -> None:
    async with edge.client(cookie) as http:
        for headers in FOREIGN:
            answer = await http.request(method, path, json=body, headers=headers)
            (name, value) = next(iter(headers.items()))
            error_body = answer.json()
            assert (answer.status_code, error_body["path"], error_body["value"]) == (
                403,
                name,
                value,
            ), headers
            assert answer.headers["x-correlation-id"]
        assert (await http.get("/api/session")).status_code == 200


@pytest.mark.parametrize("kind", ["own origin", "listed", "own referer", "same-origin", "none"])
async def test_our_own_and_listed_pages_may_change_things(
    edge: EdgeProcess, cookie: str, kind: str
) -> None:
    headers = {
        "own origin": {"Origin": edge.url, "Sec-Fetch-Site": "same-origin"},
        "listed": {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
        "own referer": {"Referer": f"{edge.url}/dashboard?x=1"},
        "same-origin": {"Sec-Fetch-Site": "same-origin"},
        "none": {},
    }[kind]
    assert (await post(edge, "/api/stream/ticket", headers, cookie)).status_code == 201


async def test_a_page_at_another_name_of_this_machine_is_another_origin(
    edge: EdgeProcess, cookie: str
) -> None:
    """``localhost`` and ``127.0.0.1`` are two sites; each is its own page's origin only."""
    host = f"localhost:{edge.port}"
    headers = {"Host": host, "Origin": f"http://{host}"}
    assert (await post(edge, "/api/stream/ticket", headers, cookie)).status_code == 201
    headers["Origin"] = edge.url
    assert (await post(edge, "/api/stream/ticket", headers, cookie)).status_code == 403


async def test_a_second_origin_header_does_not_hide_the_first(
    edge: EdgeProcess, cookie: str
) -> None:
    origins = [("Origin", edge.url), ("Origin", "https://evil.example")]
    async with edge.client(cookie) as http:
        for headers in (origins, origins[::-1]):
            answer = await http.post("/api/stream/ticket", headers=headers)
            assert answer.status_code == 403


async def test_another_page_cannot_sign_the_user_in_as_somebody_else(
    edge: EdgeProcess, fresh: Callable[[str], str]
) -> None:
    """The user would then enter orders into the attacker's account."""
    for headers in FOREIGN:
        answer = await post(edge, "/api/session", headers, json={"userId": fresh("mallory")})
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False), headers


@pytest.mark.parametrize("origin", ["https://evil.example", ORIGIN, None])
async def test_a_ticket_signs_the_user_in_only_on_our_own_and_listed_pages(
    edge: EdgeProcess, cookie: str, origin: str | None
) -> None:
    ticket = (await post(edge, "/api/stream/ticket", {}, cookie)).json()["ticket"]
    headers = {} if origin is None else {"Origin": origin}
    path = f"/api/stream/orders?ticket={ticket}"
    async with await edge.open_stream(path, headers=headers) as stream:
        assert (stream.header("set-cookie") is None) == (origin == "https://evil.example")


async def test_a_wildcard_origin_may_not_change_things_with_a_cookie(
    harness: Harness, fresh: Callable[[str], str]
) -> None:
    edge = harness.shared_edge(TAPEWIRE_USER_HEADER_FROM="10.0.0.0/8", TAPEWIRE_ORIGINS="*")
    cookie = await edge.sign_in(fresh("alice"))
    for origin in (ORIGIN, "*", "null"):
        answer = await post(edge, "/api/stream/ticket", {"Origin": origin}, cookie)
        assert answer.status_code == 403, origin


async def test_users_of_a_gateway_are_protected_too(
    harness: Harness, fresh: Callable[[str], str]
) -> None:
    """The gateway authenticates by a cookie of its own."""
    edge = harness.shared_edge(TAPEWIRE_USER_HEADER_FROM="127.0.0.1", TAPEWIRE_ORIGINS=ORIGIN)
    headers = {"X-User-ID": fresh("alice"), "Origin": "https://evil.example"}
    assert (await post(edge, "/api/stream/ticket", headers)).status_code == 403
    headers["Origin"] = ORIGIN
    assert (await post(edge, "/api/stream/ticket", headers)).status_code == 201


async def test_a_bearer_token_works_from_any_origin(
    harness: Harness, fresh: Callable[[str], str]
) -> None:
    """A browser does not add it by itself, and asks by a preflight before a page may."""
    edge = harness.shared_edge(TAPEWIRE_TICKET_SECONDS=1, TAPEWIRE_JWT_SECRET=HS256_SECRET)
    token = JwtIssuer().token(fresh("alice"), "HS256")
    headers = {"Origin": "https://any.example", "Authorization": f"Bearer {token}"}
    assert (await post(edge, "/api/stream/ticket", headers)).status_code == 201


class TestBehindProxies:
    @pytest.fixture
    def edge(self, harness: Harness) -> EdgeProcess:
        return harness.shared_edge(TAPEWIRE_TRUSTED_PROXIES="127.0.0.1", TAPEWIRE_SIGN_IN="off")

    @pytest.mark.parametrize(
        ("forwarded", "origin", "status"),
        [
            ({}, "http://tapewire.example", 401),
            # A proxy that ends TLS and does not say so.
            ({}, "https://tapewire.example", 401),
            ({"X-Forwarded-Proto": "https"}, "https://tapewire.example", 401),
            # A page that somebody on the network made up over plain HTTP.
            ({"X-Forwarded-Proto": "https"}, "http://tapewire.example", 403),
            ({"X-Forwarded-Proto": "http, https"}, "http://tapewire.example", 403),
            ({"X-Forwarded-Host": "public.example"}, "https://public.example", 401),
            ({"X-Forwarded-Host": "public.example"}, "https://tapewire.example", 403),
            ({"X-Forwarded-Host": "public.example:8443"}, "https://public.example:8443", 401),
            ({"X-Forwarded-Host": "public.example:8443"}, "https://public.example", 403),
            ({"X-Forwarded-Host": "evil.example, public.example"}, "https://evil.example", 403),
            ({}, "https://tapewire.example:8443", 403),
        ],
    )
    async def test_the_origin_is_compared_with_the_url_that_the_browser_sees(
        self, edge: EdgeProcess, forwarded: dict[str, str], origin: str, status: int
    ) -> None:
        """401: the check passes, and the request has no session."""
        headers = {"Host": "tapewire.example", "Origin": origin, **forwarded}
        assert (await post(edge, "/api/stream/ticket", headers)).status_code == status

    async def test_an_untrusted_proxy_cannot_choose_the_host(self, harness: Harness) -> None:
        edge = harness.shared_edge(TAPEWIRE_ORIGINS=f"{ORIGIN},https://b.example")
        headers = {"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"}
        assert (await post(edge, "/api/stream/ticket", headers)).status_code == 403


class TestContentTypes:
    @pytest.mark.parametrize(
        "kind",
        [
            "text/plain", "text/plain; application/json", "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x", "application/jsonp", "text/json", "nonsense", "",
            "application/json; charset=utf-16", "application/json, text/plain",
        ],
    )  # fmt: skip
    async def test_a_body_that_is_not_json_is_415(
        self, edge: EdgeProcess, cookie: str, kind: str
    ) -> None:
        answer = await post(
            edge, "/api/orders", {"Content-Type": kind}, cookie, content=b'{"symbol":"NONE"}'
        )
        body = answer.json()
        assert (answer.status_code, body["path"]) == (415, "Content-Type")
        assert body["value"] == kind

    async def test_a_body_without_a_content_type_is_415(
        self, edge: EdgeProcess, cookie: str
    ) -> None:
        answer = await post(edge, "/api/orders", {}, cookie, content=b"{}")
        assert answer.status_code == 415
        assert answer.json()["message"].startswith("Content-Type is missing")

    async def test_a_chunked_body_and_two_content_types_are_415(
        self, edge: EdgeProcess, cookie: str
    ) -> None:
        chunked = {"Content-Type": "text/plain", "Transfer-Encoding": "chunked"}
        async with await edge.connect("/api/orders", cookie, method="POST", headers=chunked) as one:
            assert one.status == 415
        twice = [("Content-Type", "application/json"), ("Content-Type", "text/plain")]
        async with edge.client(cookie) as http:
            answer = await http.post("/api/orders", headers=twice, content=b"{}")
            assert answer.status_code == 415

    @pytest.mark.parametrize(
        "kind",
        ["application/json", "Application/JSON", 'application/json;charset="UTF-8"'],
    )
    async def test_json_is_accepted(self, edge: EdgeProcess, cookie: str, kind: str) -> None:
        headers = {"Content-Type": kind}
        answer = await post(edge, "/api/stream/test", headers, cookie, content=b"{}")
        assert answer.status_code == 202

    async def test_a_request_without_a_body_needs_no_content_type(
        self, edge: EdgeProcess, cookie: str
    ) -> None:
        assert (await post(edge, "/api/stream/ticket", {}, cookie)).status_code == 201

    async def test_a_listed_origin_can_read_the_error(self, edge: EdgeProcess, cookie: str) -> None:
        headers = {"Origin": ORIGIN, "Content-Type": "text/plain", "X-Correlation-ID": "mine"}
        answer = await post(edge, "/api/orders", headers, cookie, content=b"{}")
        assert answer.status_code == 415
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["x-correlation-id"] == "mine"
