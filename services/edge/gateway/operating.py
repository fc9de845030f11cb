"""How the edge is: `/api/stream/test`, `/api/sse/status`, `/health/sse` and `/metrics`."""

import asyncio
from collections.abc import Iterator
from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from services.edge import testing
from services.edge.access import KeysAway
from services.edge.gateway.shared import Ask, Gateway, body
from services.edge.http.app import SseHealth
from services.edge.http.errors import Failure, unavailable
from services.edge.http.responses import Json
from services.edge.http.schema import call
from tapewire.log import LogError


class TestBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    message: Annotated[str, msgspec.Meta(max_length=500)] = "test"


class Sent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many connections all processes had when the event left."""

    total_clients: int


class StreamStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`user_connections` are the caller's own, on all processes."""

    status: str
    user_connections: int
    total_connections: int
    active_users: int


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    @post(
        "/api/stream/test",
        status_code=202,
        operation_class=call(TestBody, body_required=False, refuses=(403,)),
        tags=["operating"],
    )
    async def test(request: Ask) -> Json[Sent]:
        """Send a test event to every connection on every process; for admins."""
        session = await gateway.session(request)
        if not session.admin:
            raise Failure(403, "Only an admin may send a test event")
        wanted = await body(request, TestBody) if await request.body() else TestBody()
        word = testing.TestWord(
            message=wanted.message,
            sent_by=session.user_id,
            correlation_id=request.state.correlation,
            timestamp=gateway.now(),
        )
        if not await gateway.broadcast.say(testing.TOPIC, word):
            raise unavailable("The other processes cannot be told now; try again")
        return Json(Sent(total_clients=gateway.engine.totals().clients), status_code=202)

    @get("/api/sse/status", operation_class=call(), tags=["operating"])
    async def status(request: Ask) -> StreamStatus:
        """How many are connected, and how often the caller is."""
        session = await gateway.session(request)
        totals = gateway.engine.totals()
        return StreamStatus(
            status=gateway.health().status,
            user_connections=totals.per_user.get(session.user_id, 0),
            total_connections=totals.clients,
            active_users=totals.users,
        )

    @get("/health/sse", operation_class=call(anybody=True), tags=["health"])
    async def health(request: Ask) -> SseHealth:
        """How streaming is; for admins, also whose connections there are."""
        health = gateway.health().sse
        try:
            session = await gateway.found(request)
        except (LogError, KeysAway):
            # What says how the edge is must do so when nobody can be looked up.
            session = None
        if session is None or not session.admin:
            return health
        per_user = dict(gateway.engine.totals().per_user)
        return msgspec.structs.replace(health, connections_per_user=per_user)

    @get("/metrics", media_type="text/plain", include_in_schema=False, sync_to_thread=False)
    def metrics() -> Response[str]:
        """This process's figures, as Prometheus reads them."""
        text = "".join(_exposition(gateway))
        return Response(text, media_type="text/plain; version=0.0.4")

    return [test, status, health, metrics]


def _exposition(gateway: Gateway) -> Iterator[str]:
    """Prometheus's text format, version 0.0.4."""
    engine = gateway.engine
    hub, tape, totals = engine.hub, engine.tape, engine.totals()
    gauges = {
        "tapewire_connections": ("Streams open on this process.", len(hub)),
        "tapewire_connections_live": (
            "Streams that follow live, and read nothing from the log.",
            sum(connection.live for connection in hub.connections()),
        ),
        "tapewire_connections_everywhere": ("Streams open on all processes.", totals.clients),
        "tapewire_outbox_bytes": (
            "Bytes that wait for readers.",
            sum(connection.outbox.size for connection in hub.connections()),
        ),
        "tapewire_tasks": ("Tasks of the event loop.", len(asyncio.all_tasks())),
        "tapewire_tape_head": ("The sequence up to which the log is followed.", tape.head),
        "tapewire_tape_following": ("Whether the log is followed.", int(tape.ready.is_set())),
    }
    for name, (meaning, value) in gauges.items():
        yield f"# HELP {name} {meaning}\n# TYPE {name} gauge\n{name} {value}\n"
    yield from _counter("tapewire_tape_repairs_total", "Times that missed events were read.")
    yield f"tapewire_tape_repairs_total {tape.repairs}\n"
    yield from _counter("tapewire_connections_closed_total", "Streams that ended, by reason.")
    for reason, count in hub.closed.items():
        yield f'tapewire_connections_closed_total{{reason="{reason.value}"}} {count}\n'


def _counter(name: str, meaning: str) -> Iterator[str]:
    yield f"# HELP {name} {meaning}\n# TYPE {name} counter\n"
