"""The edge as an ASGI application.

`security_middleware` checks every request first. Then `routing` sends requests for streams to the
`StreamHandler`. Everything else is served by Litestar: the REST controllers, the API documentation
and the pages.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from opentelemetry.trace import SpanKind

from tapewire.runtime import correlated, ensure_correlation_id, telemetry
from tapewire_services.edge.auth import API_PREFLIGHT_HEADERS, cors_headers
from tapewire_services.edge.delivery.stream_routes import StreamRoute
from tapewire_services.edge.http.api_document import document_config
from tapewire_services.edge.http.controllers import (
    CONTROLLERS,
    ControllerContext,
    build_dependencies,
    reject_unknown_parameters,
)
from tapewire_services.edge.http.errors import handle_exception
from tapewire_services.edge.http.pages import page_handlers
from tapewire_services.edge.http.responses import JsonResponse
from tapewire_services.edge.http.routing import StreamRouter
from tapewire_services.edge.http.schema import DecimalSchemaPlugin
from tapewire_services.edge.http.security_middleware import SecurityMiddleware
from tapewire_services.edge.http.streams import StreamHandler

MAX_BODY_BYTES = 64 * 1024
"""A larger request body is rejected with 413."""


def create_app(
    stream_handler: StreamHandler,
    stream_routes: Sequence[StreamRoute],
    context: ControllerContext,
) -> ASGIApp:
    """The application, by the settings of `context`."""
    settings = context.settings
    rest = Litestar(
        [*CONTROLLERS, *page_handlers()],
        dependencies=build_dependencies(context),
        guards=[reject_unknown_parameters],
        middleware=[correlation_middleware, cors_middleware(settings.origins)],
        exception_handlers={Exception: handle_exception},
        response_class=JsonResponse,
        plugins=[DecimalSchemaPlugin()],
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=document_config(stream_routes),
        logging_config=None,
    )
    return SecurityMiddleware(StreamRouter(stream_handler, stream_routes, rest), settings)


def correlation_middleware(app: ASGIApp) -> ASGIApp:
    """Middleware that takes or makes a request's correlation id and returns it in the response.
    Streams do this themselves."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-correlation-id")
        correlation = ensure_correlation_id(given.decode("latin-1") if given else None)
        scope["state"]["correlation"] = correlation
        scope["state"]["received_at"] = asyncio.get_running_loop().time()

        async def send_with_correlation_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-correlation-id", correlation.encode()),
                ]
            await send(message)

        with correlated(correlation), _request_span(scope, headers.get(b"traceparent")):
            await app(scope, receive, send_with_correlation_id)

    return middleware


@contextlib.contextmanager
def _request_span(scope: HTTPScope, traceparent: bytes | None) -> Iterator[None]:
    """A span for an API call, in the caller's trace if it has one. Probes and pages have none."""
    if not telemetry.is_tracing() or not scope["path"].startswith("/api/"):
        yield
        return
    given = traceparent.decode("latin-1") if traceparent else None
    with telemetry.span(scope["method"], kind=SpanKind.SERVER, parent=given) as span:
        yield
        if span is not None:
            span.update_name(f"{scope['method']} {scope.get('path_template', '')}".strip())


def cors_middleware(origins: Sequence[str]) -> Callable[[ASGIApp], ASGIApp]:
    """Middleware that lets pages of `origins` make API calls and read the responses."""

    def wrap_app(app: ASGIApp) -> ASGIApp:
        async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP or not scope["path"].startswith("/api/"):
                await app(scope, receive, send)
                return
            given = dict(scope["headers"]).get(b"origin")
            headers = cors_headers(given.decode("latin-1") if given is not None else None, origins)

            async def send_with_cors(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message.get("headers", []), *headers]
                await send(message)

            if scope["method"] == "OPTIONS":
                start = {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": API_PREFLIGHT_HEADERS,
                }
                await send_with_cors(cast("Message", start))
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            await app(scope, receive, send_with_cors)

        return middleware

    return wrap_app
