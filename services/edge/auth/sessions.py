"""Sessions: who is signed in, until when, and whether the session was revoked.

A session is a random token in the cookie ``session``. The store has only the token's SHA-256, which
is no use for signing in. A further token of a session, such as a redeemed ticket's, is a record
that refers to the session's own key. A JWT has no record until it is revoked. `SessionStore.watch`
reports revocations by any process.
"""

import asyncio
import contextlib
import hashlib
import random
import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from tapewire.events import CODEC
from tapewire.log import LatestValueStore, LogError

RECHECK_INTERVAL_SECONDS = 15.0
"""How often sessions with open connections are checked again, in case a revocation was missed."""
MAX_TTL_SECONDS = 10 * 365 * 24 * 3600
"""NATS stores nanoseconds in 64 bits, which is 292 years; a JWT may state any year."""
ADMIN_ROLE = "admin"
_JWT_KEY_PREFIX = "t-"
"""Prefix of the keys of JWTs, which need no record."""

logger = structlog.get_logger("edge.access")


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A signed-in user. `key` identifies the session without revealing its token. It is None when a
    gateway authenticates the user: then there is nothing to revoke here."""

    key: str | None
    user_id: str
    roles: tuple[str, ...]
    expires_at: datetime

    @property
    def is_admin(self) -> bool:
        return ADMIN_ROLE in self.roles


class _SessionRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    user_id: str
    roles: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    revoked: bool = False
    of: str | None = None
    """The key of the session that this is a further token of."""


class SessionStore:
    """Creates, finds and revokes sessions."""

    def __init__(
        self, store: LatestValueStore, now: Callable[[], datetime], lifetime_hours: float
    ) -> None:
        self._store = store
        self._now = now
        self._lifetime = timedelta(hours=lifetime_hours)
        self._recheck = asyncio.Event()

    async def create(self, user_id: str, roles: Sequence[str]) -> tuple[str, Session]:
        """Create a session. Returns its token and itself. Raises LogError."""
        expires_at = self._now() + self._lifetime
        return await self.issue_token(
            Session(key=None, user_id=user_id, roles=tuple(roles), expires_at=expires_at)
        )

    async def issue_token(self, session: Session) -> tuple[str, Session]:
        """Issue a further token of `session`, which ends together with it. A `session` without a
        key gets a new session of the same lifetime. Raises LogError."""
        token = secrets.token_urlsafe(32)
        stored = _SessionRecord(
            user_id=session.user_id,
            roles=session.roles,
            created_at=self._now(),
            expires_at=session.expires_at,
            of=session.key,
        )
        key = _hash_token(token)
        await self._store.put(key, CODEC.encode(stored), ttl=self._ttl_seconds(stored))
        return token, _to_session(key, stored)

    async def find(self, token: str) -> Session | None:
        """The session of `token`, or None when it is unknown, expired or revoked.

        Raises:
            LogError: the store cannot be read.
        """
        key = _hash_token(token)
        stored = await self._active_record(key)
        if stored is None or (stored.of is not None and await self.is_ended(stored.of)):
            return None
        return _to_session(key, stored)

    async def is_ended(self, key: str) -> bool:
        """Whether the session of `key` has expired or was revoked; for a JWT, whether it was
        revoked.

        Raises:
            LogError: the store cannot be read.
        """
        if not key.startswith(_JWT_KEY_PREFIX):
            return await self._active_record(key) is None
        stored = await self._read_record(key)
        return stored is not None and stored.revoked

    async def revoke(self, session: Session) -> None:
        """Revoke `session` with all its tokens. Does nothing without a key. Raises LogError."""
        if session.key is None or await self.is_ended(session.key):
            return
        revoked = _SessionRecord(
            user_id=session.user_id,
            roles=session.roles,
            created_at=self._now(),
            expires_at=session.expires_at,
            revoked=True,
        )
        await self._store.put(session.key, CODEC.encode(revoked), ttl=self._ttl_seconds(revoked))

    async def watch(
        self, on_ended: Callable[[str], None], open_keys: Callable[[], Iterable[str]]
    ) -> None:
        """Call `on_ended` with the key of each session that is revoked, until cancelled. Sessions
        of `open_keys` are also checked every `RECHECK_INTERVAL_SECONDS`, and after a gap."""
        subscription = None
        try:
            while True:
                try:
                    if subscription is None:
                        subscription = await self._store.subscribe(
                            lambda key, value: self._on_change(key, value.data, on_ended),
                            self._on_gap,
                        )
                    for key in dict.fromkeys(open_keys()):
                        if await self.is_ended(key):
                            on_ended(key)
                except LogError as error:
                    logger.info("session.recheck_failed", error=str(error))
                await self._wait_for_recheck()
        finally:
            if subscription is not None:
                await subscription.close()

    def _on_change(self, key: str, data: bytes, on_ended: Callable[[str], None]) -> None:
        try:
            if CODEC.decode(data, _SessionRecord).revoked:
                on_ended(key)
        except msgspec.DecodeError as error:
            logger.warning("session.record_invalid", error=str(error))

    def _on_gap(self, _reason: str) -> None:
        self._recheck.set()

    async def _wait_for_recheck(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RECHECK_INTERVAL_SECONDS * random.uniform(0.5, 1.0)):  # noqa: S311
                await self._recheck.wait()
        self._recheck.clear()

    async def _active_record(self, key: str) -> _SessionRecord | None:
        """The record of `key` unless it is expired or revoked."""
        stored = await self._read_record(key)
        if stored is None or stored.revoked or stored.expires_at <= self._now():
            return None
        return stored

    async def _read_record(self, key: str) -> _SessionRecord | None:
        data = await self._store.get(key)
        if not data:
            return None
        try:
            return CODEC.decode(data, _SessionRecord)
        except msgspec.DecodeError as error:
            logger.warning("session.record_invalid", error=str(error))
            return None

    def _ttl_seconds(self, record: _SessionRecord) -> int:
        left = (record.expires_at - self._now()).total_seconds()
        return min(max(int(left), 1), MAX_TTL_SECONDS)


def jwt_session_key(signing_input: str) -> str:
    """The session key of the JWT whose header and payload are `signing_input`. The signature is not
    part of it because one signature has several encodings."""
    return _JWT_KEY_PREFIX + _hash_token(signing_input)


def _hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _to_session(key: str, record: _SessionRecord) -> Session:
    return Session(
        key=record.of or key,
        user_id=record.user_id,
        roles=record.roles,
        expires_at=record.expires_at,
    )
