"""Who is asking: sessions, and which origins may read from elsewhere.

A session is a random token in the cookie ``session``; the store holds only its SHA-256, so that
whoever reads the store can be nobody. `Sessions.watch` hears of revocations by any process.
"""

import asyncio
import contextlib
import hashlib
import random
import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from http.cookies import CookieError, SimpleCookie

import msgspec
import structlog

from tapewire.events import CODEC
from tapewire.log import LogError, Values

COOKIE = "session"
RECHECK_SECONDS = 15.0
"""How often sessions with open connections are looked up again, in case a revocation was lost."""
ADMIN = "admin"

logger = structlog.get_logger("edge.access")


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who signed in. `key` names the session where its token must not appear."""

    key: str
    user_id: str
    roles: tuple[str, ...]
    expires_at: datetime

    @property
    def admin(self) -> bool:
        return ADMIN in self.roles


class _Stored(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    user_id: str
    roles: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    revoked: bool = False


class Sessions:
    """The session store."""

    def __init__(self, store: Values, now: Callable[[], datetime], hours: float) -> None:
        self._store = store
        self._now = now
        self._life = timedelta(hours=hours)
        self._look = asyncio.Event()

    async def create(self, user_id: str, roles: Sequence[str]) -> tuple[str, Session]:
        """A new session and its token. Raises LogError."""
        token = secrets.token_urlsafe(32)
        now = self._now()
        stored = _Stored(
            user_id=user_id, roles=tuple(roles), created_at=now, expires_at=now + self._life
        )
        key = _key(token)
        await self._store.put(key, CODEC.encode(stored), ttl=self._seconds(stored))
        return token, _session(key, stored)

    async def find(self, token: str) -> Session | None:
        """The session of `token`, None when there is none, it expired or was revoked.

        Raises:
            LogError: the store cannot be asked.
        """
        key = _key(token)
        stored = await self._stored(key)
        return None if stored is None else _session(key, stored)

    async def revoke(self, session: Session) -> None:
        """End `session` everywhere. Raises LogError."""
        stored = await self._stored(session.key)
        if stored is not None:
            revoked = msgspec.structs.replace(stored, revoked=True)
            await self._store.put(session.key, CODEC.encode(revoked), ttl=self._seconds(stored))

    async def watch(
        self, ended: Callable[[str], None], open_keys: Callable[[], Iterable[str]]
    ) -> None:
        """Call `ended` with the key of each session that is revoked, until cancelled; sessions of
        `open_keys` are looked up again after a loss and now and then."""
        subscription = None
        try:
            while True:
                try:
                    if subscription is None:
                        subscription = await self._store.live(
                            lambda key, data: self._hear(key, data, ended), self._on_gap
                        )
                    for key in dict.fromkeys(open_keys()):
                        if await self._stored(key) is None:
                            ended(key)
                except LogError as error:
                    logger.info("cannot look up sessions now", error=str(error))
                await self._pause()
        finally:
            if subscription is not None:
                await subscription.close()

    def _hear(self, key: str, data: bytes, ended: Callable[[str], None]) -> None:
        try:
            if CODEC.decode(data, _Stored).revoked:
                ended(key)
        except msgspec.DecodeError as error:
            logger.warning("a stored session cannot be read", error=str(error))

    def _on_gap(self, _reason: str) -> None:
        self._look.set()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RECHECK_SECONDS * random.uniform(0.5, 1.0)):  # noqa: S311
                await self._look.wait()
        self._look.clear()

    async def _stored(self, key: str) -> _Stored | None:
        data = await self._store.get(key)
        if not data:
            return None
        try:
            stored = CODEC.decode(data, _Stored)
        except msgspec.DecodeError as error:
            logger.warning("a stored session cannot be read", error=str(error))
            return None
        return None if stored.revoked or stored.expires_at <= self._now() else stored

    def _seconds(self, stored: _Stored) -> int:
        return max(int((stored.expires_at - self._now()).total_seconds()), 1)


def _key(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _session(key: str, stored: _Stored) -> Session:
    return Session(
        key=key, user_id=stored.user_id, roles=stored.roles, expires_at=stored.expires_at
    )


def cookie_token(header: str | None) -> str | None:
    """The session token in a ``Cookie`` header."""
    if not header:
        return None
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel is not None and morsel.value else None


def cors(origin: str | None, allowed: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """The headers that let `origin` read a response: a listed origin with its credentials, any
    other one only under ``*``, without."""
    if origin is None:
        return []
    if origin in allowed and origin != "*":
        return [
            (b"access-control-allow-origin", origin.encode("latin-1", "replace")),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-expose-headers", b"X-Correlation-ID, Retry-After"),
            (b"vary", b"Origin"),
        ]
    if "*" in allowed:
        return [(b"access-control-allow-origin", b"*")]
    return [(b"vary", b"Origin")]


PREFLIGHT: Sequence[tuple[bytes, bytes]] = (
    (b"access-control-allow-methods", b"GET, OPTIONS"),
    (
        b"access-control-allow-headers",
        b"Content-Type, Authorization, Last-Event-ID, X-Correlation-ID",
    ),
    (b"access-control-max-age", b"600"),
    (b"content-length", b"0"),
)
