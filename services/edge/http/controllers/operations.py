"""Tools of operators: test events, the numbers of connections, and figures for Prometheus."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated

import msgspec
from litestar import Controller, Response, get, post

from tapewire.log.jetstream.journal_growth import JournalGrowth
from tapewire.log.jetstream.journal_record import JournalExtent
from tapewire.payloads.trading import ConnectionCountsPayload
from tapewire_services.edge.auth import Session
from tapewire_services.edge.cluster.admin_test_event import AdminTestEvent
from tapewire_services.edge.delivery.serializers.trading_views import connection_counts_payload
from tapewire_services.edge.engine import Engine
from tapewire_services.edge.http.controllers.context import (
    ControllerContext,
    HttpRequest,
    read_body,
)
from tapewire_services.edge.http.errors import HttpError, unavailable
from tapewire_services.edge.http.responses import JsonResponse
from tapewire_services.edge.http.schema import operation


class TestEventBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    message: Annotated[str, msgspec.Meta(max_length=500)] = "test"


class SentTestEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The number of connections of all processes when the event was sent."""

    total_clients: int


class StreamStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`user_connections` are the caller's own, on all processes."""

    status: str
    user_connections: int
    total_connections: int
    active_users: int


class OperationsController(Controller):
    tags = ["operating"]  # noqa: RUF012 - Litestar's attribute

    @post(
        "/api/stream/test",
        status_code=202,
        operation_class=operation(TestEventBody, is_body_required=False, error_statuses=(403,)),
    )
    async def test(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> JsonResponse[SentTestEvent]:
        """Send a test event to every connection on every process. Only for admins."""
        if not session.is_admin:
            raise HttpError(403, "Only an admin may send a test event")
        body = await read_body(request, TestEventBody) if await request.body() else TestEventBody()
        event = AdminTestEvent(
            message=body.message,
            sent_by=session.user_id,
            correlation_id=request.state.correlation,
            timestamp=context.now(),
        )
        if not await context.test_events.publish(event):
            raise unavailable("The other processes cannot be told now; try again")
        total_clients = context.engine.totals().connection_count
        return JsonResponse(SentTestEvent(total_clients=total_clients), status_code=202)

    @get("/api/stream/metrics", operation_class=operation(is_public=True))
    async def connection_counts(
        self, request: HttpRequest, context: ControllerContext
    ) -> ConnectionCountsPayload:
        """The connections of all processes; for admins by user. With
        ``Accept: text/event-stream`` it is a stream of the same, and with ``wait`` a long-poll."""
        session = await context.find_session_if_known(request)
        is_admin = session is not None and session.is_admin
        return connection_counts_payload(
            context.engine.totals(), context.now(), include_users=is_admin
        )

    @get("/api/sse/status", operation_class=operation())
    async def status(self, context: ControllerContext, session: Session) -> StreamStatus:
        """The number of connections, of all users and of the caller."""
        totals = context.engine.totals()
        return StreamStatus(
            status=context.get_health().sse.status,
            user_connections=totals.connections_per_user.get(session.user_id, 0),
            total_connections=totals.connection_count,
            active_users=totals.user_count,
        )

    @get("/metrics", media_type="text/plain", include_in_schema=False, sync_to_thread=False)
    def metrics(self, context: ControllerContext) -> Response[str]:
        """This process's figures, in Prometheus's text format."""
        text = "".join(
            [
                *_render_metrics(context.engine, context.get_journal(), context.get_growth()),
                *_render_resets(context.engine.stream_service.parts.resume_policy.reset_counts),
                *_render_feed_faults(context.get_feed_faults()),
            ]
        )
        return Response(text, media_type="text/plain; version=0.0.4")


def _render_metrics(
    engine: Engine, journal: JournalExtent | None, growth: JournalGrowth | None
) -> Iterator[str]:
    """Prometheus's text format, version 0.0.4."""
    hub, log_tail, totals = engine.hub, engine.log_tail, engine.totals()
    gauges: dict[str, tuple[str, float]] = {
        "tapewire_connections": ("Streams open on this process.", len(hub)),
        "tapewire_connections_live": (
            "Streams that follow live, and read nothing from the log.",
            sum(connection.is_live for connection in hub.connections()),
        ),
        "tapewire_connections_everywhere": (
            "Streams open on all processes.",
            totals.connection_count,
        ),
        "tapewire_outbox_bytes": (
            "Bytes that wait for readers.",
            sum(connection.outbox.size_bytes for connection in hub.connections()),
        ),
        "tapewire_tasks": ("Tasks of the event loop.", len(asyncio.all_tasks())),
        "tapewire_tape_head": (
            "The sequence up to which the log is followed.",
            log_tail.last_sequence,
        ),
        "tapewire_quote_age_seconds": (
            "Seconds since this process received a new quote of any symbol, or was started.",
            round(engine.quote_feed.seconds_since_quote(), 1),
        ),
        "tapewire_tape_following": ("Whether the log is followed.", int(log_tail.ready.is_set())),
    }
    if journal is not None:
        gauges |= {
            "tapewire_journal_bytes": ("Bytes of the journal on disk.", journal.byte_count),
            "tapewire_journal_max_bytes": (
                "The limit of the journal in bytes; -1: none.",
                journal.max_bytes,
            ),
            "tapewire_journal_events": ("Events in the journal.", journal.event_count),
        }
    if growth is not None:
        gauges["tapewire_journal_bytes_per_day"] = (
            "Bytes that the journal grows by in a day, at the rate of the last one.",
            growth.bytes_per_day,
        )
    if growth is not None and growth.days_left is not None:
        gauges["tapewire_journal_days_left"] = (
            "Days until the journal is full, at that rate.",
            growth.days_left,
        )
    for name, (meaning, value) in gauges.items():
        yield f"# HELP {name} {meaning}\n# TYPE {name} gauge\n{name} {value}\n"
    path_counts = Counter(connection.route.path for connection in hub.connections())
    name = "tapewire_stream_connections"
    yield f"# HELP {name} Streams open on this process, by path.\n# TYPE {name} gauge\n"
    for path, count in sorted(path_counts.items()):
        yield f'{name}{{path="{path}"}} {count}\n'
    yield from _counter_header("tapewire_tape_repairs_total", "Times that missed events were read.")
    yield f"tapewire_tape_repairs_total {log_tail.repair_count}\n"
    yield from _counter_header(
        "tapewire_connections_closed_total", "Streams that ended, by reason."
    )
    for reason, count in hub.close_counts.items():
        yield f'tapewire_connections_closed_total{{reason="{reason.value}"}} {count}\n'


def _render_resets(counts: Mapping[str, int]) -> Iterator[str]:
    yield from _counter_header(
        "tapewire_stream_resets_total", "Streams that could not resume from their id, by reason."
    )
    for reason, count in sorted(counts.items()):
        yield f'tapewire_stream_resets_total{{reason="{reason}"}} {count}\n'


def _render_feed_faults(counts: Mapping[str, int]) -> Iterator[str]:
    yield from _counter_header(
        "tapewire_feed_faults_total", "What could not be taken of the feed's data, by reason."
    )
    for reason, count in sorted(counts.items()):
        yield f'tapewire_feed_faults_total{{reason="{reason}"}} {count}\n'


def _counter_header(name: str, help_text: str) -> Iterator[str]:
    yield f"# HELP {name} {help_text}\n# TYPE {name} counter\n"
