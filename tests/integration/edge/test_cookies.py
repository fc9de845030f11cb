"""The session cookie among the cookies of others (W2, W8).

Sibling domains and other ports share a browser's cookies. Some set odd ones, and some set our name.
"""

from collections.abc import Callable

import pytest

from tests.harness.edge import EdgeProcess, Harness

ODD_COOKIES = [
    "x=1", 'prefs={"dark":1}', "cart[0]=7", "who=Ann Lee", "path=/shop", 'q="open', "city=Zürich",
    "flag", "=nameless", "a,b=1", "session2=x", "Session=x", "expires=never", "a=b=c==",
    "$Version=1", "q=\\\"", "ünïcode=1", "tab=\t1", "httponly", "__host-session=x",
]  # fmt: skip
HTTPS = {"X-Forwarded-Proto": "https"}


async def status(edge: EdgeProcess, *cookie_headers: str) -> int:
    """The status of a call that needs a session."""
    async with edge.client() as http:
        headers = [(b"cookie", header.encode()) for header in cookie_headers]
        return (await http.get("/api/session", headers=headers)).status_code


@pytest.mark.parametrize("odd", ODD_COOKIES)
async def test_an_odd_cookie_does_not_hide_ours(
    edge: EdgeProcess, fresh: Callable[[str], str], odd: str
) -> None:
    ours = f"session={await edge.sign_in(fresh('alice'))}"
    for cookies in (f"{odd}; {ours}", f"{ours}; {odd}", f"{odd};{ours};{odd}"):
        assert await status(edge, cookies) == 200, cookies
    assert await status(edge, odd, ours) == 200
    async with await edge.open_stream(
        "/api/stream/orders", headers={"Cookie": f"{odd}; {ours}".encode().decode("latin-1")}
    ) as stream:
        assert stream.status == 200


class TestTwoSessionCookies:
    async def test_two_different_ones_are_refused(
        self, edge: EdgeProcess, fresh: Callable[[str], str]
    ) -> None:
        """A sibling domain sets its own session for our path, and the user would act for it."""
        mine, theirs = await edge.sign_in(fresh("alice")), await edge.sign_in(fresh("mallory"))
        for first, second in ((mine, theirs), (theirs, mine), (mine, "rubbish")):
            async with edge.client() as http:
                headers = {"Cookie": f"session={first}; session={second}"}
                answer = await http.post("/api/stream/ticket", headers=headers)
                assert (answer.status_code, answer.json()["path"]) == (400, "Cookie")
            async with await edge.connect("/api/stream/orders", headers=headers) as stream:
                assert stream.status == 400
        async with edge.client() as http:
            assert (await http.get("/health/sse", headers=headers)).status_code == 200

    async def test_the_same_one_twice_and_an_empty_one_are_harmless(
        self, edge: EdgeProcess, fresh: Callable[[str], str]
    ) -> None:
        mine = await edge.sign_in(fresh("alice"))
        assert await status(edge, f"session={mine}; session={mine}") == 200
        assert await status(edge, f"session=; session={mine}") == 200


class TestHostPrefix:
    @pytest.fixture
    def edge(self, harness: Harness) -> EdgeProcess:
        """Return an edge behind a trusted proxy that ends TLS."""
        return harness.shared_edge(TAPEWIRE_TRUSTED_PROXIES="127.0.0.1")

    async def secure_sign_in(self, edge: EdgeProcess, user: str) -> str:
        async with edge.client() as http:
            answer = await http.post("/api/session", json={"userId": user}, headers=HTTPS)
        [cookie] = answer.headers.get_list("set-cookie")
        value, *attributes = cookie.split("; ")
        assert {"Secure", "Path=/", "HttpOnly"} <= set(attributes), cookie
        assert not [each for each in attributes if each.startswith("Domain")]
        assert value.startswith("__Host-session=")
        return value

    async def test_over_https_the_cookie_has_the_prefix(
        self, edge: EdgeProcess, fresh: Callable[[str], str]
    ) -> None:
        assert await status(edge, await self.secure_sign_in(edge, fresh("alice"))) == 200

    async def test_over_plain_http_it_has_not(
        self, edge: EdgeProcess, fresh: Callable[[str], str]
    ) -> None:
        """Browsers refuse the prefix there."""
        async with edge.client() as http:
            answer = await http.post("/api/session", json={"userId": fresh("alice")})
        assert answer.headers["set-cookie"].startswith("session=")

    async def test_a_siblings_session_does_not_shadow_it(
        self, edge: EdgeProcess, fresh: Callable[[str], str]
    ) -> None:
        alice = fresh("alice")
        mine, theirs = await self.secure_sign_in(edge, alice), await edge.sign_in(fresh("mallory"))
        async with edge.client() as http:
            for cookies in (f"session={theirs}; {mine}", f"{mine}; session={theirs}"):
                answer = await http.get("/api/session", headers={**HTTPS, "Cookie": cookies})
                assert answer.json()["userId"] == alice

    async def test_a_ticket_sets_it_too(
        self, edge: EdgeProcess, fresh: Callable[[str], str]
    ) -> None:
        cookie = await edge.sign_in(fresh("alice"))
        async with edge.client(cookie) as http:
            ticket = (await http.post("/api/stream/ticket")).json()["ticket"]
        path = f"/api/stream/orders?ticket={ticket}"
        async with await edge.open_stream(path, headers=HTTPS) as stream:
            assert (stream.header("set-cookie") or "").startswith("__Host-session=")

    async def test_signing_out_removes_both_names(
        self, edge: EdgeProcess, fresh: Callable[[str], str]
    ) -> None:
        headers = {**HTTPS, "Cookie": await self.secure_sign_in(edge, fresh("alice"))}
        async with edge.client() as http:
            answer = await http.delete("/api/session", headers=headers)
        removed = answer.headers.get_list("set-cookie")
        assert {each.partition("=")[0] for each in removed} == {"__Host-session", "session"}
        assert all("Max-Age=0" in each and "Secure" in each for each in removed)
