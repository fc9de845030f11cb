"""What the edge answers while it holds: 503 with the reason, and the probes.

An edge holds when a stream is missing or misconfigured, or when the journal is not the one it was
(`tapewire.runtime.service_process`). No stream is open and nothing is read or written meanwhile.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from litestar.types import ASGIApp, Receive, Scope, Send

from tapewire.events import CODEC
from tapewire.runtime import Settings, ensure_correlation_id
from tapewire_services.edge.http.errors import HttpError
from tapewire_services.edge.http.security_middleware import SecurityMiddleware
from tapewire_services.edge.http.server import open_listening_socket
from tapewire_services.edge.http.uvicorn_compat import EdgeServer

RETRY_AFTER_SECONDS = 5


def held_app(get_reason: Callable[[], str]) -> ASGIApp:
    """The ASGI application of an edge that holds."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        path = scope["path"].rstrip("/")
        reason = get_reason()
        if path == "/health/live":
            status, body = 200, CODEC.encode({"status": "held", "reason": reason})
        elif path in ("/health", "/health/ready", "/health/sse"):
            status, body = 503, CODEC.encode({"status": "held", "reason": reason})
        else:
            status = 503
            body = HttpError(status, f"Tapewire is on hold: {reason}").body()
        given = dict(scope["headers"]).get(b"x-correlation-id", b"").decode("latin-1")
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"retry-after", str(RETRY_AFTER_SECONDS).encode()),
            (b"x-correlation-id", ensure_correlation_id(given or None).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return app


@contextlib.asynccontextmanager
async def serve_held(settings: Settings, get_reason: Callable[[], str]) -> AsyncIterator[None]:
    """Answer on the edge's port during the block."""
    app = SecurityMiddleware(held_app(get_reason), settings)
    server = EdgeServer(app, open_listening_socket(settings))
    await server.start()
    ticks = asyncio.create_task(server.run_ticks(), name="held http")
    try:
        yield
    finally:
        server.close_listeners()
        await server.shutdown()
        ticks.cancel()
        await asyncio.wait({ticks})
