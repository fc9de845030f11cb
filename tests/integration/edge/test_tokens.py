"""JWTs on streams and REST calls of the edge, with keys from files and URLs (C3)."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.harness.edge import EdgeProcess, Harness
from tests.harness.jwt_issuer import HS256_SECRET, JwtIssuer, serve_jwks, sign_jwt, unsigned_jwt
from tests.harness.stream_assertions import UNAUTHORIZED, read_refusal
from tests.harness.waiting import wait_until
from tests.integration.edge.test_sessions import SOON, in_time

ORDERS = "/api/stream/orders"
AWAY = 503


@pytest.fixture
def issuer() -> JwtIssuer:
    return JwtIssuer()


@pytest.fixture
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the key file of a new issuer, shared by all tests. Restore it after a change."""
    file = tmp_path_factory.getbasetemp() / "jwks.json"
    if not file.exists():
        file.write_bytes(JwtIssuer().jwks())
    return file


@pytest.fixture
def edge(harness: Harness, keys: Path) -> EdgeProcess:
    """Return an edge that accepts tokens of every algorithm."""
    return harness.shared_edge(TAPEWIRE_JWT_SECRET=HS256_SECRET, TAPEWIRE_JWT_JWKS=keys)


@pytest.fixture
def other(harness: Harness) -> EdgeProcess:
    """Return another process, which accepts tokens of the secret, also from the query."""
    return harness.shared_edge(
        TAPEWIRE_JWT_SECRET=HS256_SECRET, TAPEWIRE_TOKEN_IN_QUERY="on", TAPEWIRE_LOG_LEVEL="debug"
    )


def bearer(token: str) -> Any:
    return {"Authorization": f"Bearer {token}"}


class TestValidToken:
    @pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
    async def test_a_token_authenticates_streams_and_calls(
        self, edge: EdgeProcess, issuer: JwtIssuer, alice: str, algorithm: str
    ) -> None:
        headers = bearer(issuer.token(alice, algorithm, roles=["desk"]))
        async with await edge.open_stream(ORDERS, headers=headers) as stream:
            assert stream.frames[-1].data["userId"] == alice
        async with edge.client() as http:
            answer = await http.get("/api/session", headers=headers)
        assert answer.status_code == 200
        assert (answer.json()["userId"], answer.json()["roles"]) == (alice, ["desk"])

    async def test_the_roles_of_the_token_apply(
        self, edge: EdgeProcess, issuer: JwtIssuer, alice: str
    ) -> None:
        path = f"/api/stream/trading?userId={alice}"
        for roles, status in ((["admin"], 200), (["desk"], 403)):
            headers = bearer(issuer.token("boss", roles=roles))
            async with await edge.connect(path, headers=headers) as answer:
                assert answer.status == status

    async def test_the_bearer_scheme_is_case_insensitive(
        self, edge: EdgeProcess, issuer: JwtIssuer, alice: str
    ) -> None:
        for scheme in ("bearer", "BEARER"):
            headers = {"Authorization": f"{scheme}  {issuer.token(alice)}"}
            await (await edge.open_stream(ORDERS, headers=headers)).close()

    async def test_the_token_takes_precedence_over_the_cookie(
        self, edge: EdgeProcess, issuer: JwtIssuer, alice: str
    ) -> None:
        cookie = await edge.sign_in("somebody-else")
        async with await edge.open_stream(
            ORDERS, cookie, headers=bearer(issuer.token(alice))
        ) as stream:
            assert stream.frames[-1].data["userId"] == alice
        answer = await edge.connect(ORDERS, cookie, headers=bearer("x.y.z"))
        assert await read_refusal(answer) == (401, UNAUTHORIZED)

    async def test_the_cookie_applies_with_another_authorization_scheme(
        self, edge: EdgeProcess, alice: str
    ) -> None:
        cookie = await edge.sign_in(alice)
        headers = {"Authorization": "Basic dXNlcjpwYXNz"}
        async with await edge.open_stream(ORDERS, cookie, headers=headers) as stream:
            assert stream.frames[-1].data["userId"] == alice


class TestInvalidToken:
    async def test_an_invalid_token_is_refused(
        self, edge: EdgeProcess, issuer: JwtIssuer, alice: str
    ) -> None:
        claims = {"sub": alice, "exp": time.time() + 60}
        for token in (
            "", "x", "a.b.c", "....", "é", "x" * 10_000, unsigned_jwt({"alg": "none"}, claims),
            issuer.token(alice, seconds=-1), issuer.token(alice, nbf=time.time() + 60),
            issuer.token("_all"), issuer.token(alice, exp=None), issuer.token(alice, aud="other"),
            sign_jwt(claims, "another" * 6, "HS256", {}), issuer.token(alice)[:-3],
        ):  # fmt: skip
            answer = await edge.connect(ORDERS, headers=bearer(token))
            assert await read_refusal(answer) == (401, UNAUTHORIZED), token[:50]
            async with edge.client() as http:
                header = f"Bearer {token}".strip().encode()
                response = await http.get("/api/session", headers=[(b"authorization", header)])
            assert response.json() == UNAUTHORIZED

    async def test_two_authorization_headers_are_refused(
        self, edge: EdgeProcess, issuer: JwtIssuer, alice: str
    ) -> None:
        token = issuer.token(alice)
        async with edge.client() as http:
            headers = [("Authorization", f"Bearer {token}")] * 2
            assert (await http.get("/api/session", headers=headers)).status_code == 401

    async def test_the_cookie_applies_where_tokens_are_disabled(
        self, harness: Harness, issuer: JwtIssuer, alice: str
    ) -> None:
        edge = harness.shared_edge()
        headers = bearer(issuer.token(alice, "HS256"))
        assert (await read_refusal(await edge.connect(ORDERS, headers=headers)))[0] == 401
        cookie = await edge.sign_in(alice)
        await (await edge.open_stream(ORDERS, cookie, headers=headers)).close()


class TestTokenEnd:
    async def test_a_stream_never_outlives_its_token(
        self, edge: EdgeProcess, issuer: JwtIssuer, alice: str
    ) -> None:
        async def open_with_token(exp: float) -> Any:
            headers = bearer(issuer.token(alice, exp=exp))
            return headers, await edge.open_stream(ORDERS, headers=headers)

        ends, (headers, stream) = await in_time(open_with_token)
        async with stream:
            frames = await stream.read_to_end(seconds=SOON)
            over = time.time()
        assert frames[-1].event == "auth:expired"
        assert frames[-1].data == {"reason": "expired"}
        assert -0.05 < over - ends < SOON
        assert (await read_refusal(await edge.connect(ORDERS, headers=headers)))[0] == 401

    async def test_signing_out_revokes_the_token_on_every_process(
        self, edge: EdgeProcess, other: EdgeProcess, issuer: JwtIssuer, alice: str
    ) -> None:
        headers, other_token = (
            bearer(issuer.token(alice, "HS256")),
            issuer.token(alice, "HS256", n=2),
        )
        async with (
            await other.open_stream(ORDERS, headers=headers) as stream,
            await other.open_stream(ORDERS, headers=bearer(other_token)) as another,
            edge.client() as http,
        ):
            assert (await http.delete("/api/session", headers=headers)).status_code == 204
            frames = await stream.read_to_end(seconds=SOON)
            assert (frames[-1].event, frames[-1].data) == ("auth:expired", {"reason": "revoked"})
            assert (await http.get("/api/session", headers=headers)).status_code == 401
            assert (await http.get("/api/session", headers=bearer(other_token))).status_code == 200
            assert not another.writer.is_closing()
        assert (await read_refusal(await other.connect(ORDERS, headers=headers)))[0] == 401


class TestKeysFromAUrl:
    async def test_keys_survive_outages_rotations_and_floods(
        self, harness: Harness, issuer: JwtIssuer, alice: str
    ) -> None:
        """One test has all steps, because an edge starts slowly. The key server is down when the
        edge starts, comes up, rotates its keys, and fails while the edge has other keys cached.
        Then clients send tokens with invented key ids."""
        async with serve_jwks(b"not yet") as jwks:
            edge = harness.start_edge(TAPEWIRE_JWT_JWKS=jwks.url)
            first = bearer(issuer.token(alice, "ES256"))
            answer = await edge.connect(ORDERS, headers=first)
            assert answer.header("retry-after") is not None
            assert (await read_refusal(answer))[0] == AWAY
            await (await edge.open_stream(ORDERS, await edge.sign_in(alice))).close()

            jwks.body = issuer.jwks()
            await (await edge.open_stream(ORDERS, headers=first)).close()
            count_before = jwks.request_count
            for _ in range(5):
                await (await edge.open_stream(ORDERS, headers=first)).close()
            assert jwks.request_count == count_before

            issuer.rotate()
            jwks.body = issuer.jwks()
            second = bearer(issuer.token(alice, "ES256"))
            await (await edge.open_stream(ORDERS, headers=second)).close()
            assert jwks.request_count == count_before + 1
            assert (await read_refusal(await edge.connect(ORDERS, headers=first)))[0] == 401

            jwks.status = 500
            issuer.rotate()
            third = bearer(issuer.token(alice, "ES256"))
            assert (await read_refusal(await edge.connect(ORDERS, headers=third)))[0] == AWAY
            async with edge.client() as http:
                response = await http.get("/api/session", headers=third)
                assert (response.status_code, response.json()["error"]) == (
                    AWAY,
                    "Service Unavailable",
                )
                assert response.headers["retry-after"]
            await (await edge.open_stream(ORDERS, headers=second)).close()

            jwks.status, jwks.body = 200, issuer.jwks()
            await (await edge.open_stream(ORDERS, headers=third)).close()

            began, count_before = time.monotonic(), jwks.request_count

            async def make_up(number: int) -> int:
                headers = bearer(issuer.token(alice, headers={"kid": f"made-up-{number}"}))
                return (await read_refusal(await edge.connect(ORDERS, headers=headers)))[0]

            assert set(await asyncio.gather(*(make_up(number) for number in range(40)))) == {401}
            assert jwks.request_count - count_before <= 2 + (time.monotonic() - began)
        assert edge.find_log_lines("jwks.fetch_failed")


async def test_a_changed_key_file_is_read_again(
    edge: EdgeProcess, keys: Path, issuer: JwtIssuer, alice: str
) -> None:
    before = keys.read_bytes()
    old = bearer(issuer.token(alice))
    await (await edge.open_stream(ORDERS, headers=old)).close()
    issuer.rotate()
    new = bearer(issuer.token(alice))
    assert (await read_refusal(await edge.connect(ORDERS, headers=new)))[0] == 401
    try:
        keys.write_bytes(issuer.jwks())
        await (await edge.open_stream(ORDERS, headers=new)).close()
        assert (await read_refusal(await edge.connect(ORDERS, headers=old)))[0] == 401
        keys.write_bytes(b"half of a f")
        await (await edge.open_stream(ORDERS, headers=new)).close()
    finally:
        keys.write_bytes(before)
    await (await edge.open_stream(ORDERS, headers=old)).close()


class TestTokenInTheQuery:
    async def test_a_query_token_works_only_where_enabled(
        self, edge: EdgeProcess, other: EdgeProcess, issuer: JwtIssuer, alice: str
    ) -> None:
        path = f"{ORDERS}?token={issuer.token(alice, 'HS256')}"
        assert await read_refusal(await edge.connect(path)) == (401, UNAUTHORIZED)
        async with await other.open_stream(path) as stream:
            assert stream.frames[-1].data["userId"] == alice
        async with other.client() as http:
            assert (await http.get(path.replace(ORDERS, "/api/session"))).status_code == 422

    async def test_the_header_takes_precedence_over_the_query(
        self, other: EdgeProcess, issuer: JwtIssuer, alice: str
    ) -> None:
        path = f"{ORDERS}?token={issuer.token('bob', 'HS256')}"
        headers = bearer(issuer.token(alice, "HS256"))
        async with await other.open_stream(path, headers=headers) as stream:
            assert stream.frames[-1].data["userId"] == alice


async def test_tokens_and_the_secret_are_never_logged(
    other: EdgeProcess, issuer: JwtIssuer, alice: str
) -> None:
    good, bad = issuer.token(alice, "HS256"), issuer.token(alice, "HS256", seconds=-9)
    before = len(other.find_log_lines("stream.closed"))
    for token in (good, bad):
        for where in ({"headers": bearer(token)}, {}):
            path = ORDERS if where else f"{ORDERS}?token={token}&lastEventId=rubbish"
            async with await other.connect(path, **where) as answer:
                assert answer.status == (200 if token is good else 401)
        async with other.client() as http:
            await http.get("/api/orders", headers=bearer(token))
    closed = lambda: len(other.find_log_lines("stream.closed")) >= before + 2  # noqa: E731
    await wait_until("all requests are logged", closed)
    text = other.log_file.read_text()
    assert "token.rejected" in text
    for secret in (
        HS256_SECRET,
        good,
        bad,
        good.split(".")[1],
        good.split(".")[2],
        bad.split(".")[2],
    ):
        assert secret not in text
