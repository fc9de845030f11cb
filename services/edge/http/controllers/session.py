"""Signing in and out: `/api/session`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, post

from tapewire.runtime.contracts.request import UserId
from tapewire_services.edge.auth import (
    AUTHORITY_STATE,
    SECURE_SESSION_COOKIE,
    SESSION_COOKIE,
    RequestAuthority,
    Session,
    format_session_cookie,
)
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
    """The development sign-in, which checks no password."""

    user_id: UserId
    roles: Annotated[tuple[Role, ...], msgspec.Meta(max_length=16)] = ()


class SessionView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    user_id: str
    roles: Sequence[str]
    expires_at: datetime


class SessionController(Controller):
    path = "/api/session"
    tags = ["session"]  # noqa: RUF012 - Litestar's attribute

    @post(operation_class=operation(SignInBody, is_public=True, error_statuses=(403, 503)))
    async def sign_in(
        self, request: HttpRequest, context: ControllerContext
    ) -> JsonResponse[SessionView]:
        """Sign in as any user. Only available where the development sign-in is switched on, and
        at a name of the client's own machine, such as localhost."""
        if not context.settings.sign_in:
            raise HttpError(403, "The development sign-in is switched off")
        authority = _authority(request)
        if not authority.is_loopback:
            message = "The development sign-in answers only to names of this machine, as localhost"
            raise HttpError(403, message, path="Host", value=authority.host)
        body = await read_body(request, SignInBody)
        token, session = await context.sessions.create(body.user_id, body.roles)
        response = JsonResponse(_session_view(session), status_code=201)
        response.headers["Set-Cookie"] = format_session_cookie(
            token, session, context.settings, context.now(), is_https=authority.is_https
        )
        return response

    @get(operation_class=operation())
    async def who(self, session: Session) -> SessionView:
        """The user who is signed in."""
        return _session_view(session)

    @delete(operation_class=operation())
    async def sign_out(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> Response[None]:
        """Revoke the session, or the JWT; its open streams end within two seconds."""
        if session.key is None:
            raise HttpError(409, "A gateway answers for this user: sign out there")
        await context.sessions.revoke(session)
        response = Response(None, status_code=204)
        is_https = _authority(request).is_https
        is_cookie_secure = is_https or context.settings.cookie_secure
        # Browsers take this name only with Secure, and over HTTPS.
        for name in (SECURE_SESSION_COOKIE, SESSION_COOKIE) if is_https else (SESSION_COOKIE,):
            response.set_cookie(name, "", max_age=0, secure=is_cookie_secure, httponly=True)
        return response


def _authority(request: HttpRequest) -> RequestAuthority:
    authority: RequestAuthority = request.scope["state"][AUTHORITY_STATE]
    return authority


def _session_view(session: Session) -> SessionView:
    return SessionView(user_id=session.user_id, roles=session.roles, expires_at=session.expires_at)
