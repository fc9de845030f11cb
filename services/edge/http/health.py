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


class Health(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The health of this process. `status` is ok, starting, degraded (for `reason`) or stopping.
    It is degraded, and ready all the same, while the whole market is silent."""

    status: str
    connections: int
    users: int
    sse: SseHealth
    reason: str | None = None
    ready: bool = True


def read_health(engine: Engine, streams: StreamHandler, problem: str | None = None) -> Health:
    """The health of a process that serves `streams` from `engine`, with a `problem` or without."""
    follows_log = engine.log_tail.ready.is_set()
    if not follows_log:
        problem = "does not follow the log"
    is_ready = problem is None and not streams.is_draining
    reason = problem or engine.quote_feed.find_silence()
    return Health(
        status=_status(reason, streams),
        connections=len(engine.hub),
        users=engine.hub.owner_count(),
        sse=SseHealth(
            status=_status(problem, streams),
            total_connections=engine.totals().connection_count,
            listener_active=follows_log,
        ),
        reason=reason,
        ready=is_ready,
    )


def _status(problem: str | None, streams: StreamHandler) -> str:
    if streams.is_draining:
        return "stopping"
    return "ok" if problem is None else "degraded"
