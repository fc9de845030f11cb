"""Who a request is from: what it shows, and what that is worth. Start at `Entrance.who`.

The first that is shown decides, in this order: the word of a listed gateway, a ticket, a JWT, the
session cookie. A ticket that was spent shows nothing: an EventSource that comes back by the same
URL has the cookie by then.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tapewire.runtime import Settings
from tapewire_services.edge.auth.cookies import format_session_cookie, read_session_token
from tapewire_services.edge.auth.sessions import Session, SessionStore
from tapewire_services.edge.auth.tickets import TicketStore
from tapewire_services.edge.auth.tokens import JwtVerifier, valid_roles, valid_user_id
from tapewire_services.edge.cluster.limits import Networks, is_in_networks, parse_address

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What a request shows of who sends it. `peer` is the address of the connection itself; of the
    query only streams look at anything."""

    method: str
    peer_address: str | None
    headers: Mapping[str, Sequence[str]]
    ticket: str | None = None
    token: str | None = None

    @classmethod
    def from_scope(cls, scope: Any, query: Mapping[str, str] | None = None) -> "Credentials":
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        query = query or {}
        return cls(
            method=scope["method"],
            peer_address=(scope.get("client") or (None,))[0],
            headers=headers,
            ticket=query.get("ticket"),
            token=query.get("token"),
        )

    def single_header(self, name: str) -> str | None:
        """The header's value, None when it comes more than once: nobody knows which one counts."""
        values = self.headers.get(name, ())
        return values[0] if len(values) == 1 else None


class Authentication(msgspec.Struct, frozen=True):
    """Who came; `cookie` is a ``Set-Cookie`` to answer with."""

    session: Session | None
    set_cookie: str | None = None


class Authenticator:
    """What decides who a request is from. `gateways` are the networks whose X-User-ID counts."""

    def __init__(
        self,
        *,
        session_store: SessionStore,
        ticket_store: TicketStore,
        jwt_verifier: JwtVerifier | None,
        trusted_gateways: Networks,
        settings: Settings,
        now: Callable[[], datetime],
    ) -> None:
        self._session_store = session_store
        self._ticket_store = ticket_store
        self._jwt_verifier = jwt_verifier
        self._trusted_gateways = trusted_gateways
        self._settings = settings
        self._now = now

    async def authenticate(self, credentials: Credentials) -> Session | None:
        """Whose request it is, None for nobody's that is known.

        Raises:
            LogError: the stores cannot be asked.
            KeysAway: the key of its token cannot be had.
        """
        if (user := self._gateway_user_header(credentials)) is not None:
            return self._gateway_session(user, credentials)
        if (token := self._bearer_token(credentials)) is not None:
            return await self._session_from_jwt(token)
        cookie = read_session_token("; ".join(credentials.headers.get("cookie", ())))
        if cookie is None or not self._is_cookie_trusted(credentials):
            return None
        return await self._session_store.find(cookie)

    async def authenticate_stream(self, credentials: Credentials) -> Authentication:
        """Whose stream it is; a ticket becomes a cookie. Raises as `who`."""
        spent = await self._redeem_ticket(credentials)
        if spent is None:
            return Authentication(await self.authenticate(credentials))
        token, session = await self._session_store.issue_token(spent)
        return Authentication(
            session, format_session_cookie(token, session, self._settings, self._now())
        )

    async def _redeem_ticket(self, credentials: Credentials) -> Session | None:
        if credentials.ticket is None or self._gateway_user_header(credentials) is not None:
            return None
        # A link that somebody was sent must not sign him in: only a page's own request does.
        if credentials.single_header("sec-fetch-mode") == "navigate":
            return None
        session = await self._ticket_store.redeem(credentials.ticket)
        if session is None or session.key is None:
            return session
        return None if await self._session_store.is_ended(session.key) else session

    def _gateway_user_header(self, credentials: Credentials) -> str | None:
        """Whom a gateway says that the request is from."""
        if not self._trusted_gateways or not is_in_networks(
            parse_address(credentials.peer_address), self._trusted_gateways
        ):
            return None
        return credentials.single_header("x-user-id")

    def _gateway_session(self, user_header: str, credentials: Credentials) -> Session | None:
        name, roles = (
            _decode_utf8(user_header),
            (credentials.single_header("x-user-roles") or "").split(","),
        )
        if name is None or valid_user_id(name) is None:
            return None
        return Session(
            key=None,
            user_id=name,
            roles=valid_roles(role.strip() for role in roles),
            expires_at=self._now() + timedelta(hours=self._settings.session_hours),
        )

    def _bearer_token(self, credentials: Credentials) -> str | None:
        if self._jwt_verifier is None:
            return None
        scheme, _, token = (credentials.single_header("authorization") or "").partition(" ")
        if scheme.lower() == "bearer":
            return token.strip()
        return credentials.token if self._settings.token_in_query else None

    async def _session_from_jwt(self, token: str) -> Session | None:
        session = await self._jwt_verifier.verify(token) if self._jwt_verifier is not None else None
        if session is None or session.key is None:
            return None
        return None if await self._session_store.is_ended(session.key) else session

    def _is_cookie_trusted(self, credentials: Credentials) -> bool:
        """Whether the cookie says that somebody meant this. Where browsers send it along with what
        any page asks for, it must come from a page that may ask."""
        origin = credentials.single_header("origin")
        if (
            self._settings.cookie_same_site != "none"
            or credentials.method in SAFE_METHODS
            or origin is None
        ):
            return True
        host = origin.partition("://")[2]
        return origin in self._settings.origins or (
            host != "" and host == credentials.single_header("host")
        )


def _decode_utf8(header: str) -> str | None:
    """A header's value as UTF-8, which it is read as by nobody but us."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeDecodeError:
        return None
