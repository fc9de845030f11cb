"""Who a request is from: what it shows, and what that is worth. Start at `Entrance.who`.

The first that is shown decides, in this order: the word of a listed gateway, a ticket, a JWT, the
session cookie. A ticket that was spent shows nothing: an EventSource that comes back by the same
URL has the cookie by then.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from services.edge.access.cookies import cookie_token, set_cookie
from services.edge.access.sessions import Session, Sessions
from services.edge.access.tickets import Tickets
from services.edge.access.tokens import Tokens, valid_roles, valid_user
from services.edge.limits import Networks, address_in, listed
from tapewire.runtime import Settings

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a request shows of who sends it. `peer` is the address of the connection itself; of the
    query only streams look at anything."""

    method: str
    peer: str | None
    headers: Mapping[str, Sequence[str]]
    ticket: str | None = None
    token: str | None = None

    @classmethod
    def of(cls, scope: Any, query: Mapping[str, str] | None = None) -> "Shown":
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        query = query or {}
        return cls(
            method=scope["method"],
            peer=(scope.get("client") or (None,))[0],
            headers=headers,
            ticket=query.get("ticket"),
            token=query.get("token"),
        )

    def only(self, name: str) -> str | None:
        """The header's value, None when it comes more than once: nobody knows which one counts."""
        values = self.headers.get(name, ())
        return values[0] if len(values) == 1 else None


class Arrival(msgspec.Struct, frozen=True):
    """Who came; `cookie` is a ``Set-Cookie`` to answer with."""

    session: Session | None
    cookie: str | None = None


class Entrance:
    """What decides who a request is from. `gateways` are the networks whose X-User-ID counts."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        tickets: Tickets,
        tokens: Tokens | None,
        gateways: Networks,
        settings: Settings,
        now: Callable[[], datetime],
    ) -> None:
        self._sessions = sessions
        self._tickets = tickets
        self._tokens = tokens
        self._gateways = gateways
        self._settings = settings
        self._now = now

    async def who(self, shown: Shown) -> Session | None:
        """Whose request it is, None for nobody's that is known.

        Raises:
            LogError: the stores cannot be asked.
            KeysAway: the key of its token cannot be had.
        """
        if (user := self._of_gateway(shown)) is not None:
            return self._answered_for(user, shown)
        if (token := self._token(shown)) is not None:
            return await self._of_token(token)
        cookie = cookie_token("; ".join(shown.headers.get("cookie", ())))
        if cookie is None or not self._by_itself(shown):
            return None
        return await self._sessions.find(cookie)

    async def arrive(self, shown: Shown) -> Arrival:
        """Whose stream it is; a ticket becomes a cookie. Raises as `who`."""
        spent = await self._spend(shown)
        if spent is None:
            return Arrival(await self.who(shown))
        token, session = await self._sessions.share(spent)
        return Arrival(session, set_cookie(token, session, self._settings, self._now()))

    async def _spend(self, shown: Shown) -> Session | None:
        if shown.ticket is None or self._of_gateway(shown) is not None:
            return None
        # A link that somebody was sent must not sign him in: only a page's own request does.
        if shown.only("sec-fetch-mode") == "navigate":
            return None
        session = await self._tickets.spend(shown.ticket)
        if session is None or session.key is None:
            return session
        return None if await self._sessions.ended(session.key) else session

    def _of_gateway(self, shown: Shown) -> str | None:
        """Whom a gateway says that the request is from."""
        if not self._gateways or not listed(address_in(shown.peer), self._gateways):
            return None
        return shown.only("x-user-id")

    def _answered_for(self, user: str, shown: Shown) -> Session | None:
        name, roles = _text(user), (shown.only("x-user-roles") or "").split(",")
        if name is None or valid_user(name) is None:
            return None
        return Session(
            key=None,
            user_id=name,
            roles=valid_roles(role.strip() for role in roles),
            expires_at=self._now() + timedelta(hours=self._settings.session_hours),
        )

    def _token(self, shown: Shown) -> str | None:
        if self._tokens is None:
            return None
        scheme, _, token = (shown.only("authorization") or "").partition(" ")
        if scheme.lower() == "bearer":
            return token.strip()
        return shown.token if self._settings.token_in_query else None

    async def _of_token(self, token: str) -> Session | None:
        session = await self._tokens.read(token) if self._tokens is not None else None
        if session is None or session.key is None:
            return None
        return None if await self._sessions.ended(session.key) else session

    def _by_itself(self, shown: Shown) -> bool:
        """Whether the cookie says that somebody meant this. Where browsers send it along with what
        any page asks for, it must come from a page that may ask."""
        origin = shown.only("origin")
        if self._settings.cookie_same_site != "none" or shown.method in SAFE or origin is None:
            return True
        host = origin.partition("://")[2]
        return origin in self._settings.origins or (host != "" and host == shown.only("host"))


def _text(header: str) -> str | None:
    """A header's value as UTF-8, which it is read as by nobody but us."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeDecodeError:
        return None
