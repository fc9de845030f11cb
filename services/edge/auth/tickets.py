"""Tickets: open a stream where a client can set neither a cookie nor a header.

A ticket is a random token that works once, for seconds, in place of a session or JWT. The store
holds only its SHA-256, and hands a ticket out once among all processes (`LatestValueStore.pop`).
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
    """Issues and redeems tickets, each valid for `ttl_seconds`."""

    def __init__(
        self, store: LatestValueStore, now: Callable[[], datetime], ttl_seconds: int
    ) -> None:
        self._store = store
        self._now = now
        self._ttl_seconds = ttl_seconds

    async def issue(self, session: Session) -> tuple[str, datetime]:
        """Issue a ticket for `session`. Returns it and when it expires. Raises LogError."""
        ticket = secrets.token_urlsafe(32)
        expires_at = min(self._now() + timedelta(seconds=self._ttl_seconds), session.expires_at)
        data = CODEC.encode(_TicketRecord(session=session, good_until=expires_at))
        await self._store.put(_hash_ticket(ticket), data, ttl=self._ttl_seconds)
        return ticket, expires_at

    async def redeem(self, ticket: str) -> Session | None:
        """Redeem `ticket` for its session; None when it is unknown, expired or already redeemed.

        Raises:
            LogError: the store cannot be read. The ticket may be redeemed nevertheless.
        """
        if not _VALID_TICKET.fullmatch(ticket):
            return None
        data = await self._store.pop(_hash_ticket(ticket))
        if data is None:
            return None
        try:
            stored = CODEC.decode(data, _TicketRecord)
        except msgspec.DecodeError as error:
            logger.warning("ticket.record_invalid", error=str(error))
            return None
        return stored.session if self._now() < stored.good_until else None


def _hash_ticket(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
