"""What an operator sees over HTTP: `/api/operations`. Only for admins."""

from datetime import datetime

import msgspec
from litestar import Controller, get

from tapewire.events import AgentState
from tapewire.log import EVERYBODY, new_id
from tapewire.log.view_checkpoints import load
from tapewire.payloads.trading import ClientCount
from tapewire.views import AgentsView
from tapewire_services.edge.auth import Session
from tapewire_services.edge.cluster.process_reports import (
    ConnectionReport,
    ReportRequest,
)
from tapewire_services.edge.delivery.cursor import Cursor, MalformedCursor, parse_cursor
from tapewire_services.edge.http.controllers.context import ControllerContext, HttpRequest
from tapewire_services.edge.http.errors import HttpError
from tapewire_services.edge.http.event_explainer import Explanation
from tapewire_services.edge.http.event_explanation import ParkedEvent, parked_event
from tapewire_services.edge.http.schema import operation, query_parameter
from tapewire_services.edge.http.service_lag import ServiceLag, read_lags

MAX_LISTED_USERS = 100
MAX_LISTED_PARKED = 100
MAX_USER_CHARACTERS = 128


class ServiceInstance(msgspec.Struct, frozen=True, kw_only=True):
    """A process of a service, and its state since `since`."""

    service: str
    instance: str
    state: AgentState
    detail: str | None
    since: datetime


class ServiceOverview(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All processes, the one that changed last last, and how far the services have followed the
    journal. `unanswered` names services that did not say."""

    instances: list[ServiceInstance]
    lags: list[ServiceLag]
    unanswered: list[str]


class EdgeProcessView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An edge process. `closed` counts connections that ended, and `resets` streams that could not
    resume, by reason, since the process started."""

    instance: str
    follows_log: bool
    is_draining: bool
    log_position: str
    connections: int
    closed: dict[str, int]
    resets: dict[str, int]


class ConnectionOverview(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The connections of all processes. `by_user` has the users with most connections, `slowest`
    those connections that have not taken all that they are to show. `unanswered` names processes
    whose numbers are missing."""

    total_clients: int
    total_users: int
    by_stream: dict[str, int]
    by_user: list[ClientCount]
    slowest: list[ConnectionReport]
    processes: list[EdgeProcessView]
    unanswered: list[str]


class JournalOverview(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The journal, as its leader described it some seconds ago; null before that. `max_bytes` is
    null without a limit, `days_left` also while nothing is stored. `parked` has the first events
    that services could not handle, `has_more_parked` says whether there are more."""

    byte_count: int | None
    max_bytes: int | None
    event_count: int | None
    first_id: str | None
    last_id: str | None
    bytes_per_day: float | None
    days_left: float | None
    parked: list[ParkedEvent]
    has_more_parked: bool


class AdminController(Controller):
    path = "/api/operations"
    tags = ["operating"]  # noqa: RUF012 - Litestar's attribute

    @get("/services", operation_class=operation(error_statuses=(403,)))
    async def services(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> ServiceOverview:
        """The processes of all services, and how far behind they are. Only for admins."""
        _require_admin(session)
        sources = context.operator_sources
        lags, unanswered = await read_lags(sources.requests, sources.log, request.state.correlation)
        view, _ = await load(sources.log, sources.views, AgentsView, EVERYBODY)
        return ServiceOverview(
            instances=[
                ServiceInstance(
                    service=one.service,
                    instance=one.instance,
                    state=one.state,
                    detail=one.detail,
                    since=one.timestamp,
                )
                for one in view.agents()
            ],
            lags=lags,
            unanswered=unanswered,
        )

    @get("/connections", operation_class=operation(error_statuses=(403,)))
    async def connections(self, context: ControllerContext, session: Session) -> ConnectionOverview:
        """The connections of all edge processes, by stream and user, and the slowest ones. Only for
        admins."""
        _require_admin(session)
        totals, presence = context.engine.totals(), context.engine.presence
        reports, unanswered = await context.operator_sources.reports.collect(
            ReportRequest(request_id=new_id()), presence.other_instances()
        )
        by_stream: dict[str, int] = {}
        for report in reports:
            for stream, count in report.connections_by_stream.items():
                by_stream[stream] = by_stream.get(stream, 0) + count
        users = sorted(totals.connections_per_user.items(), key=lambda one: (-one[1], one[0]))
        return ConnectionOverview(
            total_clients=totals.connection_count,
            total_users=totals.user_count,
            by_stream=dict(sorted(by_stream.items())),
            by_user=[
                ClientCount(user_id=user, client_count=count)
                for user, count in users[:MAX_LISTED_USERS]
            ],
            slowest=[one for report in reports for one in report.connections],
            processes=[
                EdgeProcessView(
                    instance=report.instance,
                    follows_log=report.follows_log,
                    is_draining=report.is_draining,
                    log_position=report.log_position,
                    connections=sum(report.connections_by_stream.values()),
                    closed=report.closed,
                    resets=report.resets,
                )
                for report in reports
            ],
            unanswered=unanswered,
        )

    @get("/journal", operation_class=operation(error_statuses=(403,)))
    async def journal(self, context: ControllerContext, session: Session) -> JournalOverview:
        """How full the journal is, and which events services could not handle. Only for admins."""
        _require_admin(session)
        extent, growth = context.get_journal(), context.get_growth()
        failed, has_more = await context.operator_sources.failed_events.read_first(
            MAX_LISTED_PARKED
        )
        bounds = None if extent is None else extent.bounds
        return JournalOverview(
            byte_count=None if extent is None else extent.byte_count,
            max_bytes=None if extent is None or extent.max_bytes < 0 else extent.max_bytes,
            event_count=None if extent is None else extent.event_count,
            first_id=None if bounds is None else str(Cursor(bounds.epoch, bounds.first)),
            last_id=None if bounds is None else str(Cursor(bounds.epoch, bounds.last)),
            bytes_per_day=None if growth is None else round(growth.bytes_per_day, 1),
            days_left=None if growth is None or growth.days_left is None else growth.days_left,
            parked=[parked_event(one) for one in failed],
            has_more_parked=has_more,
        )

    @get(
        "/explain",
        operation_class=operation(
            query_parameters=(
                {**query_parameter("user", "The user who saw the event or did not."),
                 "required": True},
                {**query_parameter("event", "Its event id, or its sequence in the journal."),
                 "required": True},
            ),
            error_statuses=(403,),
        ),
    )  # fmt: skip
    async def explain(
        self, request: HttpRequest, context: ControllerContext, session: Session
    ) -> Explanation:
        """Why a user saw an event or did not: whether it is stored, which streams show it, where
        the user's connections are, and whether a service is behind or has parked it. Only for
        admins."""
        _require_admin(session)
        user = request.query_params.get("user", "")
        if not 0 < len(user) <= MAX_USER_CHARACTERS:
            message = f"a user id has 1 to {MAX_USER_CHARACTERS} characters"
            raise HttpError(422, message, path="user", value=user[:40])
        cursor = _parse_event(context, request.query_params.get("event", ""))
        explainer = context.operator_sources.explainer
        return await explainer.explain(user, cursor, request.state.correlation)


def _require_admin(session: Session) -> None:
    """Raises HttpError (403) unless the caller is an admin."""
    if not session.is_admin:
        raise HttpError(403, "Only an admin may see this")


def _parse_event(context: ControllerContext, text: str) -> Cursor:
    """Raises HttpError (422)."""
    try:
        cursor = parse_cursor(text, epoch=context.engine.log_tail.epoch)
    except MalformedCursor:
        cursor = None
    if not isinstance(cursor, Cursor):
        message = "event is an event id, such as e5abc-12, or a sequence of the journal"
        raise HttpError(422, message, path="event", value=text[:40])
    return cursor
