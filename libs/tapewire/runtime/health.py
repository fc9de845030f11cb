"""``/health/live`` and ``/health/ready`` for services without an HTTP server of their own.

Live means that the event loop runs. Ready means that the service has started, NATS is connected,
and nothing holds the service.
"""

import asyncio
from collections.abc import Callable

import msgspec
import uvicorn
from litestar import Litestar, Response, get


class HealthStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """`status` is ``ok``, ``starting``, ``degraded`` or ``held``; `nats` is whether NATS is
    connected; `reason` says why the service is held or degraded."""

    status: str
    service: str
    nats: bool
    reason: str | None = None


def health_app(get_status: Callable[[], HealthStatus]) -> Litestar:
    """The ASGI application with the two probes."""

    @get("/health/live", sync_to_thread=False)
    def live() -> HealthStatus:
        return get_status()

    @get("/health/ready", sync_to_thread=False)
    def ready() -> Response[HealthStatus]:
        health = get_status()
        return Response(health, status_code=200 if health.status == "ok" else 503)

    return Litestar([live, ready], openapi_config=None, logging_config=None)


class HealthServer(uvicorn.Server):
    """A server that leaves signal handling to the service."""

    def install_signal_handlers(self) -> None:
        """Leave the signal handlers of the service in place."""

    def serve_in_background(self) -> None:
        """Accept connections until `close`."""
        self._task = asyncio.create_task(self.main_loop(), name="health")

    async def close(self) -> None:
        """Stop listening."""
        self.should_exit = True


async def serve_health(
    host: str, port: int, get_status: Callable[[], HealthStatus]
) -> HealthServer:
    """Listen at `host`:`port` until the returned server is closed."""
    config = uvicorn.Config(
        health_app(get_status),
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        lifespan="off",
    )
    server = HealthServer(config)
    server.config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    server.serve_in_background()
    return server
