"""Rejects requests that an attacker made a browser send, and adds security headers to responses.

The middleware is in front of everything that the edge serves: streams, REST calls and pages. It
rejects, before anything else sees the request,

- a missing, repeated or malformed ``Host`` (400);
- with the development sign-in, a ``Host`` that a stranger's DNS server may have invented (421);
- a request that changes something and comes from a page of another origin (403);
- a body that is not JSON (415), which a form can send without asking.

Start reading at `SecurityMiddleware.__call__`.
"""

import re
from collections.abc import Mapping

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from tapewire.runtime import Settings, correlated
from tapewire.runtime.correlation import CORRELATION_HEADER, ensure_correlation_id
from tapewire_services.edge.auth import (
    AUTHORITY_STATE,
    CROSS_ORIGIN_STATE,
    InvalidHost,
    RequestAuthority,
    cors_headers,
    cross_origin_header,
    parse_networks_setting,
)
from tapewire_services.edge.http.errors import HttpError, unavailable
from tapewire_services.edge.http.raw_responses import send_error

OVERLOAD_EXTENSION = "tapewire.overload"
"""The ASGI extension of a request that the process has no descriptor left for."""
OVERLOAD_RETRY_AFTER_SECONDS = 5

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, 9.2.1)."""
MAX_ECHOED_CHARACTERS = 100
HSTS_SECONDS = 365 * 24 * 3600

SECURITY_HEADERS: Mapping[bytes, bytes] = {
    b"cache-control": b"no-store",
    b"content-security-policy": (
        b"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
        b"frame-ancestors 'none'"
    ),
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"same-origin",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}
"""Headers of every response that does not set them itself."""
HSTS_HEADER = (b"strict-transport-security", f"max-age={HSTS_SECONDS}".encode())
"""Sent over HTTPS, for names only: browsers ignore it for addresses."""

_JSON_TYPE = re.compile(r'application/json(\s*;\s*charset="?utf-8"?)?\s*', re.IGNORECASE)

logger = structlog.get_logger("edge.http")


class SecurityMiddleware:
    """An ASGI middleware around `app`.

    It stores the request's `RequestAuthority` in the state of the scope, under `AUTHORITY_STATE`,
    and the result of `cross_origin_header`, if there is one, under `CROSS_ORIGIN_STATE`.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._trusted_proxies = parse_networks_setting(
            settings.trusted_proxies, "TAPEWIRE_TRUSTED_PROXIES"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        failure = self._find_failure(scope)
        authority: RequestAuthority = scope["state"].get(AUTHORITY_STATE, RequestAuthority())
        is_sent_by_https = authority.is_https and not authority.is_loopback

        async def send_with_security_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [*message.get("headers", ())]
                present = {name.lower() for name, _ in own}
                missing = [item for item in SECURITY_HEADERS.items() if item[0] not in present]
                if is_sent_by_https:
                    missing.append(HSTS_HEADER)
                message["headers"] = [*own, *missing]
            await send(message)

        if failure is None:
            await self._app(scope, receive, send_with_security_headers)
        else:
            await self._reject(scope, failure, send_with_security_headers)

    def _find_failure(self, scope: HTTPScope) -> HttpError | None:
        """Why the request is rejected, if it is. What only this needs is no local of `__call__`,
        which lasts as long as a stream."""
        headers = _headers_by_name(scope)
        try:
            authority = scope["state"][AUTHORITY_STATE] = self._authority(scope, headers)
            self._check(scope, headers, authority)
        except HttpError as failure:
            return failure
        return None

    def _authority(self, scope: HTTPScope, headers: dict[str, list[str]]) -> RequestAuthority:
        """The authority of the request. Raises HttpError (400)."""
        try:
            return RequestAuthority.of(
                headers,
                scheme=scope["scheme"],
                peer_address=(scope.get("client") or (None,))[0],
                http_version=scope["http_version"],
                trusted_proxies=self._trusted_proxies,
            )
        except InvalidHost as error:
            raise _header_error(400, str(error), "Host", error.value) from None

    def _check(
        self, scope: HTTPScope, headers: dict[str, list[str]], authority: RequestAuthority
    ) -> None:
        """Raises HttpError: the request is rejected."""
        settings = self._settings
        if OVERLOAD_EXTENSION in (scope.get("extensions") or {}):
            raise unavailable(
                "This process has no room for more connections", OVERLOAD_RETRY_AFTER_SECONDS
            )
        if settings.sign_in and not authority.is_rebinding_safe(settings.origins):
            message = (
                "with the development sign-in, the edge answers to names of this machine, to "
                "addresses, and to the hosts of TAPEWIRE_ORIGINS"
            )
            raise _header_error(421, message, "Host", authority.host)
        foreign = cross_origin_header(headers, authority, settings.origins)
        if foreign is not None:
            scope["state"][CROSS_ORIGIN_STATE] = foreign
        if scope["method"] in SAFE_METHODS:
            return
        # A page of another origin needs a preflight for this header, which only listed ones get.
        if foreign is not None and not _has_bearer_token(headers):
            name, value = foreign
            message = (
                "a page of another origin may not change anything here; it is neither "
                f"{' nor '.join(authority.origins()) or 'known'} nor listed in TAPEWIRE_ORIGINS"
            )
            raise _header_error(403, message, name, value)
        _check_content_type(headers)

    async def _reject(self, scope: HTTPScope, failure: HttpError, send: Send) -> None:
        """Send `failure`, which listed origins may read, with the correlation id."""
        headers = _headers_by_name(scope)
        given, origin = (
            headers.get(name, [None])[-1] for name in (CORRELATION_HEADER.lower(), "origin")
        )
        correlation = ensure_correlation_id(given)
        with correlated(correlation):
            logger.info("request.rejected", path=scope["path"], reason=failure.message)
            correlation_header = (CORRELATION_HEADER.lower().encode(), correlation.encode())
            cors = cors_headers(origin, self._settings.origins)
            await send_error(send, [correlation_header, *cors], failure)


def _headers_by_name(scope: HTTPScope) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return headers


def _check_content_type(headers: dict[str, list[str]]) -> None:
    """Raises HttpError (415): the request has a body that is not JSON."""
    lengths = headers.get("content-length", ())
    if "transfer-encoding" not in headers and all(length == "0" for length in lengths):
        return
    types = headers.get("content-type", [])
    if len(types) == 1 and _JSON_TYPE.fullmatch(types[0]):
        return
    message = "a body must be application/json, in UTF-8"
    raise _header_error(415, message, "Content-Type", ", ".join(types) if types else None)


def _has_bearer_token(headers: dict[str, list[str]]) -> bool:
    return any(value.lower().startswith("bearer ") for value in headers.get("authorization", ()))


def _header_error(status: int, message: str, name: str, value: str | None) -> HttpError:
    """An error that names a header and shows its value."""
    shown = None if value is None else value[:MAX_ECHOED_CHARACTERS]
    found = "is missing" if shown is None else f"is {shown!r}"
    return HttpError(status, f"{name} {found}: {message}", path=name, value=shown)
