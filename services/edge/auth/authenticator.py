"""Decides who a request is from. Start reading at `Authenticator.authenticate`.

The first credential that a request carries decides, in this order: the user header of a trusted
gateway, a ticket, a JWT, the session cookie. A redeemed ticket does not count as a credential: an
EventSource that reconnects with the same URL has the cookie by then.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tapewire.runtime import Settings
from tapewire_services.edge.auth.addresses import Networks, is_in_networks, parse_address
from tapewire_services.edge.auth.authority import RequestAuthority
from tapewire_services.edge.auth.cookies import format_session_cookie, read_session_token
from tapewire_services.edge.auth.sessions import Session, SessionStore
from tapewire_services.edge.auth.tickets import TicketStore
from tapewire_services.edge.auth.tokens import JwtVerifier, valid_roles, valid_user_id

AUTHORITY_STATE = "authority"
"""The key of a request's `RequestAuthority` in the state of its ASGI scope."""
CROSS_ORIGIN_STATE = "cross_origin"
"""The key of the result of `cross_origin_header`."""


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """The credentials of a request. `peer_address` is the address of the connection itself. Only
    streams read `ticket` and `token` from the query. A page of another origin sent the request if
    `is_cross_origin`."""

    peer_address: str | None
    headers: Mapping[str, Sequence[str]]
    ticket: str | None = None
    token: str | None = None
    is_https: bool = False
    is_cross_origin: bool = False

    @classmethod
    def from_scope(cls, scope: Any, query: Mapping[str, str] | None = None) -> "Credentials":
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        query = query or {}
        state = scope.get("state") or {}
        return cls(
            peer_address=(scope.get("client") or (None,))[0],
            headers=headers,
            ticket=query.get("ticket"),
            token=query.get("token"),
            is_https=state.get(AUTHORITY_STATE, RequestAuthority()).is_https,
            is_cross_origin=state.get(CROSS_ORIGIN_STATE) is not None,
        )

    def single_header(self, name: str) -> str | None:
        """The header's value, or None when it is missing or ambiguous because it occurs more than
        once."""
        values = self.headers.get(name, ())
        return values[0] if len(values) == 1 else None


class Authentication(msgspec.Struct, frozen=True):
    """The result of authenticating a stream; `set_cookie` is for the response."""

    session: Session | None
    set_cookie: str | None = None


class Authenticator:
    """Authenticates requests. X-User-ID is accepted from `trusted_gateways` alone."""

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
        """The session of a request, or None without valid credentials.

        Raises:
            AmbiguousSessionCookie: the session cookie decides, and another site has set one too.
            LogError: the session store cannot be read.
            VerificationKeysUnavailable: the key of its token cannot be fetched.
        """
        if (user := self._gateway_user_header(credentials)) is not None:
            return self._gateway_session(user, credentials)
        if (token := self._bearer_token(credentials)) is not None:
            return await self._session_from_jwt(token)
        cookie = read_session_token("; ".join(credentials.headers.get("cookie", ())))
        return None if cookie is None else await self._session_store.find(cookie)

    async def authenticate_stream(self, credentials: Credentials) -> Authentication:
        """As `authenticate`, for a stream; also redeems a ticket for a session cookie. A page of
        another origin gets the stream without the cookie: it must not sign the user in here."""
        ticket_session = await self._redeem_ticket(credentials)
        if ticket_session is None:
            return Authentication(await self.authenticate(credentials))
        if credentials.is_cross_origin:
            return Authentication(ticket_session)
        token, session = await self._session_store.issue_token(ticket_session)
        cookie = format_session_cookie(
            token, session, self._settings, self._now(), is_https=credentials.is_https
        )
        return Authentication(session, cookie)

    async def _redeem_ticket(self, credentials: Credentials) -> Session | None:
        if credentials.ticket is None or self._gateway_user_header(credentials) is not None:
            return None
        # Following a link with a ticket must not sign a user in; only a page's own request does.
        if credentials.single_header("sec-fetch-mode") == "navigate":
            return None
        session = await self._ticket_store.redeem(credentials.ticket)
        if session is None or session.key is None:
            return session
        return None if await self._session_store.is_ended(session.key) else session

    def _gateway_user_header(self, credentials: Credentials) -> str | None:
        """The user that a trusted gateway names."""
        if not self._trusted_gateways or not is_in_networks(
            parse_address(credentials.peer_address), self._trusted_gateways
        ):
            return None
        return credentials.single_header("x-user-id")

    def _gateway_session(self, user_header: str, credentials: Credentials) -> Session | None:
        user_id, roles = (
            _decode_utf8(user_header),
            (credentials.single_header("x-user-roles") or "").split(","),
        )
        if user_id is None or valid_user_id(user_id) is None:
            return None
        return Session(
            key=None,
            user_id=user_id,
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


def _decode_utf8(header: str) -> str | None:
    """A header's value as UTF-8; ASGI servers decode headers as Latin-1."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeDecodeError:
        return None
