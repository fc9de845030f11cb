"""Signing in and out: `/api/session`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Response, delete, get, post
from litestar.handlers import HTTPRouteHandler

from tapewire.runtime.contracts.request import UserId
from tapewire_services.edge.auth import SESSION_COOKIE, Session, format_session_cookie
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    read_body,
)
from tapewire_services.edge.http.errors import HttpError
from tapewire_services.edge.http.responses import JsonResponse
from tapewire_services.edge.http.schema import operation

Role = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


class SignInBody(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
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


def routes(context: ControllerContext) -> list[HTTPRouteHandler]:
    @post(
        "/api/session",
        operation_class=operation(SignInBody, is_public=True, error_statuses=(403, 503)),
        tags=["session"],
    )
    async def sign_in(request: HttpRequest) -> JsonResponse[SessionView]:
        """Sign in as anybody; only where the development sign-in is switched on."""
        if not context.settings.sign_in:
            raise HttpError(403, "The development sign-in is switched off")
        asked = await read_body(request, SignInBody)
        token, session = await context.sessions.create(asked.user_id, asked.roles)
        response = JsonResponse(_session_view(session), status_code=201)
        response.headers["Set-Cookie"] = format_session_cookie(
            token, session, context.settings, context.now()
        )
        return response

    @get("/api/session", operation_class=operation(), tags=["session"])
    async def who(request: HttpRequest) -> SessionView:
        """Who is signed in."""
        return _session_view(await context.require_session(request))

    @delete("/api/session", operation_class=operation(error_statuses=(409,)), tags=["session"])
    async def sign_out(request: HttpRequest) -> Response[None]:
        """Revoke the session, or the JWT; its open streams end within two seconds."""
        session = await context.require_session(request)
        if session.key is None:
            raise HttpError(409, "A gateway answers for this user: sign out there")
        await context.sessions.revoke(session)
        response = Response(None, status_code=204)
        response.delete_cookie(SESSION_COOKIE)
        return response

    @post("/api/stream/ticket", operation_class=operation(), tags=["session"])
    async def ticket(request: HttpRequest) -> JsonResponse[TicketView]:
        """A ticket that opens one stream, as ``?ticket=``, and gives it the session cookie: for
        an EventSource that has none. Good once, and for half a minute at the most."""
        made, until = await context.tickets.issue(await context.require_session(request))
        view = TicketView(ticket=made, expires_at=until)
        return JsonResponse(view, status_code=201, headers={"Cache-Control": "no-store"})

    return [sign_in, who, sign_out, ticket]


def _session_view(session: Session) -> SessionView:
    return SessionView(user_id=session.user_id, roles=session.roles, expires_at=session.expires_at)
