"""How healthy an edge process is, as `/health`, `/health/sse` and `/api/sse/status` report it."""

import msgspec

from tapewire_services.edge.engine import Engine
from tapewire_services.edge.http.streams import StreamHandler


class SseHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Streaming on all processes together. `listener_active` says whether this process follows the
    log. Only admins see `connections_per_user`."""

    status: str
    total_connections: int
    listener_active: bool
    connections_per_user: dict[str, int] | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The health of this process. `status` is ok, starting, degraded (the log is away) or
    stopping."""

    status: str
    connections: int
    users: int
    sse: SseHealth


def read_health(engine: Engine, streams: StreamHandler) -> Health:
    """The health of a process that serves `streams` from `engine`."""
    follows_log = engine.log_tail.ready.is_set()
    status = "ok" if follows_log else "degraded"
    if streams.is_draining:
        status = "stopping"
    return Health(
        status=status,
        connections=len(engine.hub),
        users=engine.hub.owner_count(),
        sse=SseHealth(
            status=status,
            total_connections=engine.totals().connection_count,
            listener_active=follows_log,
        ),
    )
