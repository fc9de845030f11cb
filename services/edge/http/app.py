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

from services.edge.access import CALL_PREFLIGHT, cors
from services.edge.feeds import Feed
from services.edge.http.docs import PlainPage
from services.edge.http.errors import respond
from services.edge.http.pages import pages
from services.edge.http.responses import Json
from services.edge.http.routing import Front
from services.edge.http.schema import Decimals, Shared
from services.edge.http.streams import Streams
from tapewire.runtime import correlated, correlation_id, telemetry

BODY_BYTES = 64 * 1024
"""A larger request body is refused with 413."""


ABOUT = """Every call takes an `X-Correlation-ID` or makes one, and answers with it. Errors have one
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


NOT_READY = ResponseSpec(Health, generate_examples=False, description="No stream can be opened.")


def application(
    streams: Streams,
    feeds: Sequence[Feed],
    handlers: Sequence[HTTPRouteHandler],
    health: Callable[[], Health],
    origins: Sequence[str] = (),
) -> ASGIApp:
    """The edge as an ASGI application."""
    rest = Litestar(
        [
            *handlers,
            *_probes(health),
            *pages(),
        ],
        middleware=[correlating, crossing(origins)],
        exception_handlers={Exception: respond},
        response_class=Json,
        plugins=[Decimals()],
        request_max_body_size=BODY_BYTES,
        openapi_config=OpenAPIConfig(
            title="Tapewire",
            version="0.1.0",
            path="/docs",
            description=ABOUT,
            components=Shared(),
            render_plugins=[PlainPage()],
            use_handler_docstrings=True,
        ),
        logging_config=None,
    )
    return Front(streams, feeds, rest)


def _probes(health: Callable[[], Health]) -> list[HTTPRouteHandler]:
    @get("/health", sync_to_thread=False, tags=["health"])
    def state() -> Health:
        """How this process is."""
        return health()

    @get("/health/live", sync_to_thread=False, tags=["health"])
    def live() -> Health:
        """Answers as long as the process turns."""
        return health()

    @get("/health/ready", sync_to_thread=False, responses={503: NOT_READY}, tags=["health"])
    def ready() -> Response[Health]:
        """200 when streams can be opened here, 503 otherwise."""
        now = health()
        return Response(now, status_code=200 if now.status == "ok" else 503)

    return [state, live, ready]


def correlating(app: ASGIApp) -> ASGIApp:
    """Middleware: the correlation id of a request, in and out. Streams see to it themselves."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-correlation-id")
        correlation = correlation_id(given.decode("latin-1") if given else None)
        scope["state"]["correlation"] = correlation

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-correlation-id", correlation.encode()),
                ]
            await send(message)

        with correlated(correlation), _traced(scope, headers.get(b"traceparent")):
            await app(scope, receive, marked)

    return middleware


@contextlib.contextmanager
def _traced(scope: HTTPScope, parent: bytes | None) -> Iterator[None]:
    """A span around a call, in the caller's trace if it has one; what probes and browsers load of
    the edge itself is worth none."""
    if not telemetry.tracing() or not scope["path"].startswith("/api/"):
        yield
        return
    given = parent.decode("latin-1") if parent else None
    with telemetry.span(scope["method"], kind=SpanKind.SERVER, parent=given) as span:
        yield
        if span is not None:
            span.update_name(f"{scope['method']} {scope.get('path_template', '')}".strip())


def crossing(origins: Sequence[str]) -> Callable[[ASGIApp], ASGIApp]:
    """Middleware for calls: pages of `origins` may make them, and read the answers."""

    def around(app: ASGIApp) -> ASGIApp:
        async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP or not scope["path"].startswith("/api/"):
                await app(scope, receive, send)
                return
            given = dict(scope["headers"]).get(b"origin")
            headers = cors(given.decode("latin-1") if given is not None else None, origins)

            async def opened(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message.get("headers", []), *headers]
                await send(message)

            if scope["method"] == "OPTIONS":
                start = {"type": "http.response.start", "status": 200, "headers": CALL_PREFLIGHT}
                await opened(cast("Message", start))
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            await app(scope, receive, opened)

        return middleware

    return around
