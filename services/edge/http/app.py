"""The application: streams in front (`routing`), ordinary Litestar handlers for the rest."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import msgspec
from litestar import Litestar, Response, get
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from opentelemetry.trace import SpanKind

from tapewire.runtime import correlated, ensure_correlation_id, telemetry
from tapewire_services.edge.auth import API_PREFLIGHT_HEADERS, cors_headers
from tapewire_services.edge.delivery.stream_routes import StreamRoute
from tapewire_services.edge.http.api_docs import HtmlRenderPlugin
from tapewire_services.edge.http.errors import handle_exception
from tapewire_services.edge.http.pages import page_handlers
from tapewire_services.edge.http.responses import JsonResponse
from tapewire_services.edge.http.routing import StreamRouter
from tapewire_services.edge.http.schema import DecimalSchemaPlugin, SharedComponents
from tapewire_services.edge.http.streams import StreamHandler

MAX_BODY_BYTES = 64 * 1024
"""A larger request body is refused with 413."""


API_DESCRIPTION = """Every call takes an `X-Correlation-ID` or makes one, and answers with it. Errors have one
shape, `Problem`."""


class SseHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How streaming is, on all processes together. `listener_active` says that this process follows
    the log. Whose connections there are, only admins are told."""

    status: str
    total_connections: int
    listener_active: bool
    connections_per_user: dict[str, int] | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How this process is. `status` is ok, starting, degraded (the log is away) or stopping."""

    status: str
    connections: int
    users: int
    sse: SseHealth


NOT_READY_RESPONSE = ResponseSpec(
    Health, generate_examples=False, description="No stream can be opened."
)


def create_app(
    stream_handler: StreamHandler,
    stream_routes: Sequence[StreamRoute],
    handlers: Sequence[HTTPRouteHandler],
    get_health: Callable[[], Health],
    origins: Sequence[str] = (),
) -> ASGIApp:
    """The edge as an ASGI application."""
    rest = Litestar(
        [
            *handlers,
            *_health_handlers(get_health),
            *page_handlers(),
        ],
        middleware=[correlation_middleware, cors_middleware(origins)],
        exception_handlers={Exception: handle_exception},
        response_class=JsonResponse,
        plugins=[DecimalSchemaPlugin()],
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=OpenAPIConfig(
            title="Tapewire",
            version="0.1.0",
            path="/docs",
            description=API_DESCRIPTION,
            components=SharedComponents(),
            render_plugins=[HtmlRenderPlugin()],
            use_handler_docstrings=True,
        ),
        logging_config=None,
    )
    return StreamRouter(stream_handler, stream_routes, rest)


def _health_handlers(get_health: Callable[[], Health]) -> list[HTTPRouteHandler]:
    @get("/health", sync_to_thread=False, tags=["health"])
    def state() -> Health:
        """How this process is."""
        return get_health()

    @get("/health/live", sync_to_thread=False, tags=["health"])
    def live() -> Health:
        """Answers as long as the process turns."""
        return get_health()

    @get(
        "/health/ready", sync_to_thread=False, responses={503: NOT_READY_RESPONSE}, tags=["health"]
    )
    def ready() -> Response[Health]:
        """200 when streams can be opened here, 503 otherwise."""
        now = get_health()
        return Response(now, status_code=200 if now.status == "ok" else 503)

    return [state, live, ready]


def correlation_middleware(app: ASGIApp) -> ASGIApp:
    """Middleware: the correlation id of a request, in and out. Streams see to it themselves."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-correlation-id")
        correlation = ensure_correlation_id(given.decode("latin-1") if given else None)
        scope["state"]["correlation"] = correlation

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
    """A span around a call, in the caller's trace if it has one; what probes and browsers load of
    the edge itself is worth none."""
    if not telemetry.is_tracing() or not scope["path"].startswith("/api/"):
        yield
        return
    given = traceparent.decode("latin-1") if traceparent else None
    with telemetry.span(scope["method"], kind=SpanKind.SERVER, parent=given) as span:
        yield
        if span is not None:
            span.update_name(f"{scope['method']} {scope.get('path_template', '')}".strip())


def cors_middleware(origins: Sequence[str]) -> Callable[[ASGIApp], ASGIApp]:
    """Middleware for calls: pages of `origins` may make them, and read the answers."""

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
