"""CORS headers of origins, the session cookie, and the session store."""

from datetime import UTC, datetime, timedelta

import pytest

from tapewire.events import CODEC
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire_services.edge.auth import SessionStore, cors_headers, read_session_token

LISTED = ("https://desk.example", "https://b.example")


class TestOrigins:
    def test_a_listed_origin_is_allowed_with_credentials(self) -> None:
        headers = dict(cors_headers("https://b.example", LISTED))
        assert headers[b"access-control-allow-origin"] == b"https://b.example"
        assert headers[b"access-control-allow-credentials"] == b"true"
        assert headers[b"vary"] == b"Origin"

    @pytest.mark.parametrize(
        "origin",
        [
            "https://evil.example", "http://desk.example", "https://desk.example:8443", "null", "*",
            "https://desk.example.evil.example", "HTTPS://DESK.EXAMPLE", "", "https://desk.example/",
        ],
    )  # fmt: skip
    def test_other_origins_get_only_the_vary_header(self, origin: str) -> None:
        assert cors_headers(origin, LISTED) == [(b"vary", b"Origin")]

    @pytest.mark.parametrize("origin", ["https://any.example", "null", "*"])
    def test_a_wildcard_allows_any_origin_without_credentials(self, origin: str) -> None:
        assert cors_headers(origin, ("*",)) == [(b"access-control-allow-origin", b"*")]

    def test_a_listed_origin_keeps_credentials_beside_a_wildcard(self) -> None:
        headers = dict(cors_headers("https://b.example", ("*", *LISTED)))
        assert headers[b"access-control-allow-credentials"] == b"true"

    def test_a_request_without_an_origin_gets_no_headers(self) -> None:
        assert cors_headers(None, LISTED) == []


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, None),
        ("", None),
        ("session=abc", "abc"),
        ("a=1; session=abc; b=2", "abc"),
        ('session="abc"', "abc"),
        ("session=", None),
        ("Session=abc", None),
        ("xsession=abc", None),
        ("a=session=abc", None),
        ("session", None),
    ],
)
def test_the_token_is_read_from_the_session_cookie(header: str | None, token: str | None) -> None:
    assert read_session_token(header) == token


class TestSessionStore:
    @pytest.fixture
    async def values(self) -> MemoryLatestValueStore:
        return MemoryLatestValueStore(MemoryServer(), stream="KV_sessions", prefix="$KV.sessions")

    @pytest.fixture
    async def clock(self) -> list[datetime]:
        return [datetime(2026, 3, 2, tzinfo=UTC)]

    @pytest.fixture
    async def sessions(self, values: MemoryLatestValueStore, clock: list[datetime]) -> SessionStore:
        return SessionStore(values, lambda: clock[0], lifetime_hours=1)

    async def test_a_session_is_found_by_its_token(
        self, sessions: SessionStore, clock: list[datetime]
    ) -> None:
        token, made = await sessions.create("alice", ["admin"])
        found = await sessions.find(token)
        assert found == made
        assert (found.user_id, found.roles, found.is_admin) == ("alice", ("admin",), True)
        assert found.expires_at == clock[0] + timedelta(hours=1)

    async def test_a_session_without_roles_is_not_an_admin(self, sessions: SessionStore) -> None:
        _, made = await sessions.create("alice", [])
        assert not made.is_admin

    async def test_tokens_are_long_and_unique(self, sessions: SessionStore) -> None:
        tokens = {(await sessions.create("alice", []))[0] for _ in range(50)}
        assert len(tokens) == 50
        assert min(map(len, tokens)) >= 40

    async def test_stored_data_does_not_contain_tokens(
        self, sessions: SessionStore, values: MemoryLatestValueStore
    ) -> None:
        token, _ = await sessions.create("alice", [])
        for key, data in (await values.get_all()).items():
            assert token not in key
            assert token.encode() not in data
            assert await sessions.find(key) is None

    async def test_a_session_expires_after_its_lifetime(
        self, sessions: SessionStore, clock: list[datetime]
    ) -> None:
        token, _ = await sessions.create("alice", [])
        clock[0] += timedelta(minutes=59, seconds=59)
        assert await sessions.find(token) is not None
        clock[0] += timedelta(seconds=1)
        assert await sessions.find(token) is None

    async def test_revoking_ends_only_that_session(self, sessions: SessionStore) -> None:
        token, made = await sessions.create("alice", [])
        other, _ = await sessions.create("alice", [])
        await sessions.revoke(made)
        await sessions.revoke(made)
        assert await sessions.find(token) is None
        assert await sessions.find(other) is not None

    async def test_malformed_stored_data_is_not_a_session(
        self, sessions: SessionStore, values: MemoryLatestValueStore
    ) -> None:
        token, made = await sessions.create("alice", [])
        assert made.key is not None
        for data in (b"{", b"{}", CODEC.encode({"userId": 7})):
            await values.put(made.key, data)
            assert await sessions.find(token) is None
