"""Signing in and out: `/api/session`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Response, delete, get, post
from litestar.handlers import HTTPRouteHandler

from services.edge.access import COOKIE, Session, set_cookie
from services.edge.gateway.shared import Ask, Gateway, body
from services.edge.http.errors import Failure
from services.edge.http.responses import Json
from services.edge.http.schema import call
from tapewire.runtime.contracts.asking import UserId

Role = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


class SignIn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The development sign-in: whoever you say you are."""

    user_id: UserId
    roles: Annotated[tuple[Role, ...], msgspec.Meta(max_length=16)] = ()


class SessionView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    user_id: str
    roles: Sequence[str]
    expires_at: datetime


class TicketView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    ticket: str
    expires_at: datetime


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    @post(
        "/api/session",
        operation_class=call(SignIn, anybody=True, refuses=(403, 503)),
        tags=["session"],
    )
    async def sign_in(request: Ask) -> Json[SessionView]:
        """Sign in as anybody; only where the development sign-in is switched on."""
        if not gateway.settings.sign_in:
            raise Failure(403, "The development sign-in is switched off")
        asked = await body(request, SignIn)
        token, session = await gateway.sessions.create(asked.user_id, asked.roles)
        response = Json(_view(session), status_code=201)
        response.headers["Set-Cookie"] = set_cookie(token, session, gateway.settings, gateway.now())
        return response

    @get("/api/session", operation_class=call(), tags=["session"])
    async def who(request: Ask) -> SessionView:
        """Who is signed in."""
        return _view(await gateway.session(request))

    @delete("/api/session", operation_class=call(refuses=(409,)), tags=["session"])
    async def sign_out(request: Ask) -> Response[None]:
        """Revoke the session, or the JWT; its open streams end within two seconds."""
        session = await gateway.session(request)
        if session.key is None:
            raise Failure(409, "A gateway answers for this user: sign out there")
        await gateway.sessions.revoke(session)
        response = Response(None, status_code=204)
        response.delete_cookie(COOKIE)
        return response

    @post("/api/stream/ticket", operation_class=call(), tags=["session"])
    async def ticket(request: Ask) -> Json[TicketView]:
        """A ticket that opens one stream, as ``?ticket=``, and gives it the session cookie: for
        an EventSource that has none. Good once, and for half a minute at the most."""
        made, until = await gateway.tickets.issue(await gateway.session(request))
        view = TicketView(ticket=made, expires_at=until)
        return Json(view, status_code=201, headers={"Cache-Control": "no-store"})

    return [sign_in, who, sign_out, ticket]


def _view(session: Session) -> SessionView:
    return SessionView(user_id=session.user_id, roles=session.roles, expires_at=session.expires_at)
