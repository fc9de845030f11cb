"""Tickets: a way onto a stream for who cannot set a header.

A ticket is a random token that is good once, for seconds, and stands for a session or JWT. The
store holds only its SHA-256, and gives it out once whichever processes ask (`Values.take`).
"""

import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import structlog

from services.edge.access.sessions import Session
from tapewire.events import CODEC
from tapewire.log import Values

_TICKET = re.compile(r"[A-Za-z0-9_-]{43}")
"""32 bytes in base64."""

logger = structlog.get_logger("edge.tickets")


class _Stored(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    session: Session
    good_until: datetime


class Tickets:
    """The tickets that are out. `seconds` is how long one is good."""

    def __init__(self, store: Values, now: Callable[[], datetime], seconds: int) -> None:
        self._store = store
        self._now = now
        self._seconds = seconds

    async def issue(self, session: Session) -> tuple[str, datetime]:
        """A ticket for `session`, and until when it is good. Raises LogError."""
        ticket = secrets.token_urlsafe(32)
        until = min(self._now() + timedelta(seconds=self._seconds), session.expires_at)
        data = CODEC.encode(_Stored(session=session, good_until=until))
        await self._store.put(_key(ticket), data, ttl=self._seconds)
        return ticket, until

    async def spend(self, ticket: str) -> Session | None:
        """The session of `ticket`, which is spent then; None when it is none, or not any more.

        Raises:
            LogError: the store cannot be asked. The ticket may be spent.
        """
        if not _TICKET.fullmatch(ticket):
            return None
        data = await self._store.take(_key(ticket))
        if data is None:
            return None
        try:
            stored = CODEC.decode(data, _Stored)
        except msgspec.DecodeError as error:
            logger.warning("a stored ticket cannot be read", error=str(error))
            return None
        return stored.session if self._now() < stored.good_until else None


def _key(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
