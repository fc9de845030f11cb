"""``/health/live`` and ``/health/ready`` for services that have no HTTP of their own.

Alive means that the event loop turns; ready means that NATS answers and the start is over.
"""

import asyncio
from collections.abc import Callable

import msgspec
import uvicorn
from litestar import Litestar, Response, get


class HealthStatus(msgspec.Struct, frozen=True):
    """`status` is ``ok``, ``starting`` or ``degraded``; `nats` whether the connection is there."""

    status: str
    service: str
    nats: bool


def health_app(get_status: Callable[[], HealthStatus]) -> Litestar:
    """The two probes as an application."""

    @get("/health/live", sync_to_thread=False)
    def live() -> HealthStatus:
        return get_status()

    @get("/health/ready", sync_to_thread=False)
    def ready() -> Response[HealthStatus]:
        health = get_status()
        return Response(health, status_code=200 if health.status == "ok" else 503)

    return Litestar([live, ready], openapi_config=None, logging_config=None)


class HealthServer(uvicorn.Server):
    """A server that leaves signals to the service around it."""

    def install_signal_handlers(self) -> None:
        """Signals end the service, which ends this."""

    async def close(self) -> None:
        """Stop listening."""
        self.should_exit = True


async def serve_health(
    host: str, port: int, get_status: Callable[[], HealthStatus]
) -> HealthServer:
    """Listen at `host`:`port`; close what is returned."""
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
    server.task = asyncio.create_task(server.main_loop())  # type: ignore[attr-defined]
    return server
