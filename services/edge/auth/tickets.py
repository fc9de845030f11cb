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

from tapewire.events import CODEC
from tapewire.log import LatestValueStore
from tapewire_services.edge.auth.sessions import Session

_VALID_TICKET = re.compile(r"[A-Za-z0-9_-]{43}")
"""32 bytes in base64."""

logger = structlog.get_logger("edge.tickets")


class _TicketRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    session: Session
    good_until: datetime


class TicketStore:
    """The tickets that are out. `seconds` is how long one is good."""

    def __init__(
        self, store: LatestValueStore, now: Callable[[], datetime], ttl_seconds: int
    ) -> None:
        self._store = store
        self._now = now
        self._ttl_seconds = ttl_seconds

    async def issue(self, session: Session) -> tuple[str, datetime]:
        """A ticket for `session`, and until when it is good. Raises LogError."""
        ticket = secrets.token_urlsafe(32)
        until = min(self._now() + timedelta(seconds=self._ttl_seconds), session.expires_at)
        data = CODEC.encode(_TicketRecord(session=session, good_until=until))
        await self._store.put(_hash_ticket(ticket), data, ttl=self._ttl_seconds)
        return ticket, until

    async def redeem(self, ticket: str) -> Session | None:
        """The session of `ticket`, which is spent then; None when it is none, or not any more.

        Raises:
            LogError: the store cannot be asked. The ticket may be spent.
        """
        if not _VALID_TICKET.fullmatch(ticket):
            return None
        data = await self._store.pop(_hash_ticket(ticket))
        if data is None:
            return None
        try:
            stored = CODEC.decode(data, _TicketRecord)
        except msgspec.DecodeError as error:
            logger.warning("a stored ticket cannot be read", error=str(error))
            return None
        return stored.session if self._now() < stored.good_until else None


def _hash_ticket(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
