"""What REST controllers share: the caller's session, the request's body, calls of services."""

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
import structlog
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.exceptions import InternalServerException
from litestar.handlers import BaseRouteHandler

from tapewire.log import CommandRejected, LogError, Unavailable
from tapewire.log.idempotency import KEY_HEADER
from tapewire.log.jetstream.journal_growth import JournalGrowth
from tapewire.log.jetstream.journal_record import JournalExtent
from tapewire.runtime import RequestClient, RequestTimeout, Settings
from tapewire.runtime.requests import REQUEST_TIMEOUT_SECONDS
from tapewire_services.edge.auth import (
    AccountChanged,
    AmbiguousSessionCookie,
    Authenticator,
    Credentials,
    Session,
    SessionStore,
    TicketStore,
    VerificationKeysUnavailable,
    check_expected_user,
)
from tapewire_services.edge.cluster.admin_test_event import AdminTestEventBroadcast
from tapewire_services.edge.cluster.limits import RetryAfter
from tapewire_services.edge.engine import Engine
from tapewire_services.edge.http.call_limits import CallLimits
from tapewire_services.edge.http.commands import (
    COMMAND_TIMEOUT_SECONDS,
    MIN_TIMEOUT_SECONDS,
    SESSION_TIMEOUT_SECONDS,
    identify_command,
    rejected_command,
    unanswered_command,
    undone_command,
)
from tapewire_services.edge.http.errors import (
    HttpError,
    check_query,
    decode_body,
    require_json_numbers,
    unauthorized,
)
from tapewire_services.edge.http.event_explainer import OperatorSources
from tapewire_services.edge.http.health import Health
from tapewire_services.edge.http.security_middleware import SAFE_METHODS
from tapewire_services.edge.http.stream_changes import StreamChanger

HttpRequest = Request[Any, Any, Any]
ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)
BodyT = TypeVar("BodyT", bound=msgspec.Struct)

logger = structlog.get_logger("edge.http")


class ControllerContext:
    """The parts of an edge process that its REST controllers use."""

    def __init__(
        self,
        *,
        requests: RequestClient,
        count_call: Callable[[str], RetryAfter | None],
        sessions: SessionStore,
        tickets: TicketStore,
        authenticator: Authenticator,
        settings: Settings,
        now: Callable[[], datetime],
        engine: Engine,
        test_events: AdminTestEventBroadcast,
        streams: StreamChanger,
        operator_sources: OperatorSources,
        get_health: Callable[[], Health],
        get_journal: Callable[[], JournalExtent | None] = lambda: None,
        get_growth: Callable[[], JournalGrowth | None] = lambda: None,
        get_feed_faults: Callable[[], Mapping[str, int]] = dict[str, int],
    ) -> None:
        self.sessions = sessions
        self.tickets = tickets
        self.settings = settings
        self.now = now
        self.engine = engine
        self.test_events = test_events
        self.streams = streams
        self.operator_sources = operator_sources
        self._requests = requests
        self.get_health = get_health
        self.get_journal = get_journal
        self.get_growth = get_growth
        self.get_feed_faults = get_feed_faults
        self._call_limits = CallLimits(count_call, settings)
        self._authenticator = authenticator

    async def find_session(self, request: HttpRequest) -> Session | None:
        """The caller's session, or None for a caller without a valid one.

        Raises:
            AccountChanged: the call is meant for another user.
            LogError: sessions cannot be looked up.
            VerificationKeysUnavailable: the key of the caller's token cannot be fetched.
        """
        credentials = Credentials.from_scope(request.scope)
        session = await self._authenticator.authenticate(credentials)
        if session is not None:
            check_expected_user(credentials.headers, session)
        return session

    def check_call_rate(self, request: HttpRequest, session: Session | None) -> None:
        """Count a call that changes something (`CallLimits`). Raises HttpError (429)."""
        if request.method not in SAFE_METHODS and request.method != "DELETE":
            self._call_limits.check(Credentials.from_scope(request.scope), session)

    async def find_session_if_known(self, request: HttpRequest) -> Session | None:
        """As `find_session`, and None also for a call that is meant for another user, and while
        that cannot be found out: for calls that are public, and tell more to admins."""
        try:
            return await self.find_session(request)
        except (
            AccountChanged,
            AmbiguousSessionCookie,
            LogError,
            VerificationKeysUnavailable,
        ):
            return None

    async def call_service(
        self,
        service: str,
        verb: str,
        payload: msgspec.Struct,
        reply_type: type[ReplyT],
        request: HttpRequest,
    ) -> ReplyT:
        """The reply of `service` to `payload`.

        The request's correlation id goes along. A request that is not a GET is a command, whose id
        follows from its ``Idempotency-Key``.

        Raises:
            HttpError: the service rejects the command, or the key is malformed (422); a command was
                not answered (503).
            RequestTimeout: the service does not answer a GET.
        """
        if request.method == "GET":
            identity, timeout_seconds = None, REQUEST_TIMEOUT_SECONDS
        else:
            identity = identify_command(payload, request.headers.get(KEY_HEADER))
            elapsed = asyncio.get_running_loop().time() - request.state.received_at
            timeout_seconds = max(COMMAND_TIMEOUT_SECONDS - elapsed, MIN_TIMEOUT_SECONDS)
        try:
            return await self._requests.request(
                service,
                verb,
                payload,
                reply_type,
                correlation=request.state.correlation,
                command_id=identity.command_id if identity else None,
                idempotency_key=identity.given_key if identity else None,
                timeout_seconds=timeout_seconds,
            )
        except CommandRejected as rejection:
            raise rejected_command(rejection, payload, identity) from rejection
        except RequestTimeout as error:
            if identity is None:
                raise
            raise unanswered_command(error, payload, identity) from error


def build_dependencies(context: ControllerContext) -> dict[str, Provide]:
    """The dependencies of all handlers, by the name of the parameter that receives them."""

    def provide_context() -> ControllerContext:
        return context

    async def find_session(request: HttpRequest) -> Session | None:
        try:
            async with asyncio.timeout(SESSION_TIMEOUT_SECONDS):
                return await context.find_session(request)
        except (TimeoutError, LogError) as error:
            if request.method in SAFE_METHODS:
                raise Unavailable(f"sessions cannot be looked up: {error!r}") from error
            raise undone_command("sessions cannot be looked up now") from error

    async def provide_session(request: HttpRequest) -> Session:
        session = await find_session(request)
        if session is None:
            raise unauthorized()
        context.check_call_rate(request, session)
        return session

    async def provide_session_if_any(request: HttpRequest) -> Session | None:
        session = await find_session(request)
        context.check_call_rate(request, session)
        return session

    return {
        "context": Provide(provide_context, sync_to_thread=False),
        "session": Provide(provide_session),
        "session_if_any": Provide(provide_session_if_any),
    }


async def read_body(request: HttpRequest, body_type: type[BodyT], *decimal_paths: str) -> BodyT:
    """The request's JSON body as `body_type`; `decimal_paths` name its decimals.

    Raises:
        HttpError: 400 when the body is not JSON or incomplete, 422 with the path and value of the
            first field that does not fit.
    """
    data = await _read_raw_body(request)
    decoded: BodyT = decode_body(data, body_type)
    require_json_numbers(data, *decimal_paths)
    return decoded


async def read_optional_body(request: HttpRequest, body_type: type[BodyT]) -> BodyT:
    """The request's JSON body as `body_type`, with its defaults when there is none.

    Raises:
        HttpError: as `read_body`.
    """
    data = await _read_raw_body(request)
    return decode_body(data, body_type) if data else body_type()


async def _read_raw_body(request: HttpRequest) -> bytes:
    try:
        return await request.body()
    except InternalServerException as error:
        # Litestar reports a client that disconnects as a server error. No client reads the
        # response.
        logger.info("request.incomplete", path=request.scope["path"])
        raise HttpError(400, "the body did not come whole") from error


async def reject_unknown_parameters(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Litestar's guard of all documented API calls. A coroutine function: Litestar runs others in a
    thread.

    Raises:
        HttpError: 422, a query parameter is unknown or given twice.
    """
    is_documented = getattr(handler, "include_in_schema", True)
    if not (is_documented and connection.scope["path"].startswith("/api/")):
        return
    operation_class = getattr(handler, "operation_class", None)
    known: frozenset[str] = getattr(operation_class, "query_names", frozenset())
    query = parse_qsl(connection.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    check_query((name for name, _ in query), known)


def page_query(request: HttpRequest, default_limit: int) -> tuple[int, str | None]:
    """`limit` and `cursor`; the service that they go to checks them. Raises HttpError (422)."""
    limit = integer_query_parameter(request, "limit", default_limit)
    return limit, request.query_params.get("cursor")


def integer_query_parameter(request: HttpRequest, name: str, default: int) -> int:
    """The query parameter `name`; the service that it goes to checks its range.

    Raises:
        HttpError: 422, it is not a whole number.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise HttpError(422, "Expected a whole number", path=name, value=text[:32])
    return int(text)
