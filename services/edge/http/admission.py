"""Decides whether a request for a stream is admitted, before the first byte of its response.

Every error that has an HTTP status is found here. Start reading at `StreamAdmission.admit`.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

import structlog

from tapewire.log import EventLog, LogError
from tapewire.runtime import Settings
from tapewire.values import LAST_TIME
from tapewire_services.edge.auth import (
    Authentication,
    Authenticator,
    Session,
    parse_networks_setting,
)
from tapewire_services.edge.auth.addresses import caller_key
from tapewire_services.edge.cluster.limits import RateLimiter, RetryAfter
from tapewire_services.edge.delivery.conflation import ValueSubscription
from tapewire_services.edge.delivery.connection_info import (
    ANONYMOUS,
    CHANGE_KEY_BYTES,
    ConnectionInfo,
    StreamContent,
)
from tapewire_services.edge.delivery.cursor import Cursor, MalformedCursor, parse_cursor
from tapewire_services.edge.delivery.selection import Selection, StrategySelection
from tapewire_services.edge.delivery.selection_lookup import SelectionNotFound, load_selection
from tapewire_services.edge.delivery.stream_routes import RouteParameter, StreamRoute
from tapewire_services.edge.delivery.topics import Access, Interest
from tapewire_services.edge.http.content_request import parse_content, without_session
from tapewire_services.edge.http.errors import HttpError, unavailable
from tapewire_services.edge.http.stream_request import (
    StreamRequest,
    needed_session,
    parse_poll,
    parse_position,
    resolve_owner,
    resume_id,
)
from tapewire_services.edge.ingest.log_tail import LogTail

RESUMES_PER_ATTEMPT = 20
"""How many times as often as it may open new streams an address may resume."""

logger = structlog.get_logger("edge.admission")


class AdmittedStream(NamedTuple):
    """An admitted stream. It resumes from `last_event_id`; its response sets the cookie
    `set_cookie`."""

    connection_info: ConnectionInfo
    last_event_id: str | None
    set_cookie: str | None


class ReplayFinished(Exception):
    """The client already has the whole requested range: 204, which stops an EventSource."""


class RetryLater(Exception):
    """A client that resumes has to wait `seconds`. Its stream is opened, with a `retry:` and
    nothing else, because an EventSource would give up for good after a 429."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"retry after {seconds} s")
        self.seconds = seconds


class StreamAdmission:
    """Admits the streams of a process. `count_attempt` counts an attempt of an address, or returns
    how long it has to wait.

    A client that resumes, with a valid session and an id of the current epoch, is not an attempt:
    a proxy that cuts connections makes a whole office resume at once. Looking up its session has a
    limit of its own, `RESUMES_PER_ATTEMPT` times as high.
    """

    def __init__(
        self,
        *,
        log: EventLog,
        log_tail: LogTail,
        authenticator: Authenticator,
        count_attempt: Callable[[str], RetryAfter | None],
        settings: Settings,
    ) -> None:
        self._log = log
        self._log_tail = log_tail
        self._authenticator = authenticator
        self._settings = settings
        self._count_attempt = count_attempt
        self._trusted_proxies = parse_networks_setting(
            settings.trusted_proxies, "TAPEWIRE_TRUSTED_PROXIES"
        )
        self._resumes = RateLimiter(settings.connect_rate * RESUMES_PER_ATTEMPT)
        self._last_timestamp_us = 0

    async def admit(
        self, route: StreamRoute, request: StreamRequest, correlation: str
    ) -> AdmittedStream:
        """Check the request and return the stream to open. The caller is authenticated late,
        because that redeems a ticket.

        Raises:
            AccountChanged, HttpError: the request is rejected.
            LogError, VerificationKeysUnavailable: it cannot be checked now.
            ReplayFinished: there is nothing left to replay.
            RetryLater: the client resumes too often.
        """
        if request.method != "GET":
            raise HttpError(
                405, f"{request.method} is not for streams", headers={"Allow": "GET, OPTIONS"}
            )
        resumed = await self._resumed_session(request)
        if resumed is None and not self._is_next_poll(route, request):
            self._check_rate_limit(route, request)
        request.check_query()
        poll = parse_poll(request)
        content = parse_content(route, request)
        if content.interest.is_lossless and not self._log_tail.ready.is_set():
            raise unavailable("The event log is away; connect again")
        if resumed is None or request.credentials.ticket is not None:
            authentication = await self._authenticate(request)
        else:
            authentication = Authentication(resumed)
        session = authentication.session
        if session is None:
            content = without_session(content)
        needed = needed_session(route, content.topics, session)
        owner = session.user_id if session else None
        if needed is not None:
            owner = resolve_owner(route, request, needed)
        selection = await self._load_selection(route, request, owner)
        if isinstance(selection, StrategySelection):
            symbols = frozenset({selection.strategy.symbol})
            values = ValueSubscription(symbols, content.values.max_rate)
            content = StreamContent(topics=content.topics, values=values)
        last_event_id, until = await self._replay_range(request, content.interest)
        info = ConnectionInfo(
            client_id=self._new_client_id(owner, route),
            route=route,
            owner=owner,
            correlation=correlation,
            content=content,
            user_id=session.user_id if session else None,
            is_admin=needed.is_admin if needed else False,
            session_id=needed.key if needed else None,
            expires_at=needed.expires_at if needed else None,
            selection=selection,
            until_sequence=until,
            is_handover=request.is_handover and poll is None,
            poll=poll,
            change_key=secrets.token_hex(CHANGE_KEY_BYTES) if session is None else None,
        )
        return AdmittedStream(info, last_event_id, authentication.set_cookie)

    async def _load_selection(
        self, route: StreamRoute, request: StreamRequest, owner: str | None
    ) -> Selection | None:
        """The strategy or configuration that the path names. Raises HttpError (404)."""
        if (
            route.parameter not in (RouteParameter.STRATEGY, RouteParameter.CONFIGURATION)
            or owner is None
        ):
            return None
        [id_] = request.path_parameters.values()
        try:
            return await load_selection(self._log, route, owner, id_)
        except SelectionNotFound as error:
            raise HttpError(404, str(error)) from error

    async def _replay_range(
        self, request: StreamRequest, stream_interest: Interest
    ) -> tuple[str | None, int | None]:
        """The event id to resume from (`Last-Event-ID` or `since`) and the sequence to end at
        (`until`). Raises HttpError, LogError or ReplayFinished."""
        requested = request.last_event_id
        since = parse_position(request, "since")
        until = parse_position(request, "until", latest=LAST_TIME)
        if (since is not None or until is not None) and not stream_interest.is_lossless:
            path = "since" if since is not None else "until"
            raise HttpError(422, "this stream has no past", path=path)
        if isinstance(since, datetime) and isinstance(until, datetime) and until < since:
            raise HttpError(
                422, "until is before since", path="until", value=request.query["until"][:40]
            )
        if requested is None and since is not None:
            requested = resume_id(since)
        if until is None:
            return requested, None
        if requested is None:
            raise HttpError(422, "until needs a since, or a last event id", path="until")
        end = await self._end_sequence(until)
        if self._is_already_delivered(requested, end):
            raise ReplayFinished
        return requested, end

    async def _end_sequence(self, until: Cursor | datetime) -> int:
        """The last sequence up to `until`. Raises HttpError (422) or LogError."""
        if isinstance(until, datetime):
            return await self._log.last_sequence_before(until)
        bounds = await self._log.bounds()
        if not bounds.includes(until.epoch, until.sequence):
            raise HttpError(
                422, "there is no such place in the log", path="until", value=str(until)
            )
        return until.sequence

    def _is_already_delivered(self, last_event_id: str, end_sequence: int) -> bool:
        bounds = self._log_tail.bounds
        with contextlib.suppress(MalformedCursor):
            cursor = parse_cursor(last_event_id, epoch=bounds.epoch)
            return (
                isinstance(cursor, Cursor)
                and cursor.sequence >= end_sequence
                and (cursor.epoch == bounds.epoch or bounds.includes(cursor.epoch, cursor.sequence))
            )
        return False

    async def _resumed_session(self, request: StreamRequest) -> Session | None:
        """The session of a client that resumes; None for any other, which is an attempt.

        Raises:
            RetryLater: the address resumes too often.
            HttpError, AmbiguousSessionCookie, VerificationKeysUnavailable: the session cannot be
                found.
        """
        if not self._has_current_id(request) or not self._log_tail.ready.is_set():
            return None
        now = asyncio.get_running_loop().time()
        if rejection := self._resumes.try_acquire(self._address(request), now):
            raise RetryLater(rejection.seconds)
        with _sessions_available():
            return await self._authenticator.authenticate(request.credentials)

    def _is_next_poll(self, route: StreamRoute, request: StreamRequest) -> bool:
        """Whether the request continues the polling of a public stream, which is one request after
        another. The limit of resumes applies to it."""
        return request.is_poll and route.access is Access.PUBLIC and self._has_current_id(request)

    def _has_current_id(self, request: StreamRequest) -> bool:
        """Whether the request resumes from an id of the current epoch."""
        with contextlib.suppress(MalformedCursor):
            cursor = parse_cursor(request.last_event_id or "", epoch="")
            return isinstance(cursor, Cursor) and cursor.epoch == self._log_tail.epoch
        return False

    def _address(self, request: StreamRequest) -> str:
        """The client's address, as attempts are counted by."""
        credentials = request.credentials
        return caller_key(credentials.headers, credentials.peer_address, self._trusted_proxies)

    def _check_rate_limit(self, route: StreamRoute, request: StreamRequest) -> None:
        """Count an attempt of the client's address. Raises HttpError (429) or RetryLater."""
        address = self._address(request)
        rejection = self._count_attempt(address)
        if rejection is None:
            return
        if rejection.is_first:
            # A proxy that is missing in TAPEWIRE_TRUSTED_PROXIES looks like one address of all
            # clients.
            is_forwarded = "x-forwarded-for" in request.credentials.headers
            logger.warning("stream.rate_limited", address=address, through_proxy=is_forwarded)
        if route.access is Access.PUBLIC and self._has_current_id(request):
            raise RetryLater(rejection.seconds)
        raise HttpError(
            429,
            f"More than {self._settings.connect_rate} new streams a minute from one address",
            headers={"Retry-After": str(rejection.seconds)},
        )

    async def _authenticate(self, request: StreamRequest) -> Authentication:
        with _sessions_available():
            return await self._authenticator.authenticate_stream(request.credentials)

    def _new_client_id(self, owner: str | None, route: StreamRoute) -> str:
        """``{userId}-{stream}-{timestamp}``, in microseconds; unique within the process. It is no
        secret."""
        self._last_timestamp_us = max(self._last_timestamp_us + 1, time.time_ns() // 1000)
        return f"{owner or ANONYMOUS}-{route.name}-{self._last_timestamp_us}"


@contextlib.contextmanager
def _sessions_available() -> Iterator[None]:
    """Raises HttpError (503) when the block cannot look sessions up."""
    try:
        yield
    except LogError as error:
        raise unavailable("Sessions cannot be looked up now; connect again") from error
