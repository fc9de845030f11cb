"""What a request for a stream asks for, checked: whose, which symbols, how often, from where."""

import contextlib
import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import msgspec

from tapewire.values import FaultReason, InvalidValue, parse_time, validate_symbol
from tapewire_services.edge.auth import (
    AccountChanged,
    Credentials,
    Session,
    check_expected_user,
)
from tapewire_services.edge.delivery.conflation import MAX_UPDATES_PER_SECOND
from tapewire_services.edge.delivery.connection_info import LongPoll
from tapewire_services.edge.delivery.cursor import Cursor, MalformedCursor, parse_cursor
from tapewire_services.edge.delivery.stream_routes import RouteParameter, StreamRoute
from tapewire_services.edge.delivery.topics import Access, LiveValue, Topic
from tapewire_services.edge.http.errors import HttpError, unauthorized

MAX_SYMBOLS = 500
MAX_PARAMETER_CHARACTERS = 32
"""Characters of a parameter's name that are compared with the known ones."""
MIN_RATE_PER_SECOND = 0.1
MAX_WAIT_SECONDS = 30
"""How long a long-poll may wait for an event. Many proxies end a request without an answer after a
minute."""
DEFAULT_WAIT_SECONDS = 20
_WAIT_PATTERN = re.compile(r"[0-9]{1,2}(\.[0-9]{1,3})?")
STREAM_PARAMETERS = frozenset(
    {
        "handover",
        "lastEventId",
        "last_event_id",
        "maxRate",
        "since",
        "symbols",
        "ticket",
        "token",
        "topics",
        "until",
        "userId",
        "wait",
    }
)
"""The query parameters of streams. A page may open every stream with the same ones."""
MISSPELLING_SIMILARITY = 0.8
"""From this similarity on (0 to 1), a name counts as a misspelled parameter."""


class StreamRequest(msgspec.Struct, frozen=True):
    """A request for a stream, as far as HTTP goes."""

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    credentials: Credentials
    path_parameters: Mapping[str, str] = {}

    def check_query(self) -> None:
        """Reject misspelled query parameters: `symbol` would open a stream of all symbols. Other
        names are ignored, because clients add parameters against caches, and an EventSource that is
        refused gives up for good (decision record 19).

        Raises:
            HttpError: 422.
        """
        known = {name.lower(): name for name in STREAM_PARAMETERS}
        for name in self.query.keys() - STREAM_PARAMETERS:
            lowered = name[:MAX_PARAMETER_CHARACTERS].lower()
            similar = difflib.get_close_matches(lowered, known, 1, MISSPELLING_SIMILARITY)
            if similar:
                message = f"Unknown query parameter; did you mean {known[similar[0]]}?"
                raise HttpError(422, message, path=name[:64])

    @classmethod
    def from_scope(cls, scope: Any) -> "StreamRequest":
        parsed = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        query = {name: values[-1] for name, values in parsed.items()}
        shown = Credentials.from_scope(scope, query)
        headers = {name: values[-1] for name, values in shown.headers.items()}
        path = {name: str(value) for name, value in scope.get("path_params", {}).items()}
        return cls(scope["method"], headers, query, shown, path)

    @property
    def last_event_id(self) -> str | None:
        """Header first, then the two spellings of the query."""
        return (
            self.headers.get("last-event-id")
            or self.query.get("lastEventId")
            or self.query.get("last_event_id")
            or None
        )

    @property
    def is_poll(self) -> bool:
        """Whether a document is asked for, by ``Accept: application/json`` or ``wait``. A client
        that names event streams, as an EventSource does, gets one."""
        accepted = ",".join(self.credentials.headers.get("accept", ())).lower()
        if "text/event-stream" in accepted:
            return False
        return "application/json" in accepted or "wait" in self.query

    @property
    def is_handover(self) -> bool:
        """Whether the client keeps another connection open until this one is reported as live."""
        return self.query.get("handover") == "1"


def resolve_owner(route: StreamRoute, request: StreamRequest, session: Session) -> str:
    """Whose events a stream shows that needs `session`.

    Raises:
        AccountChanged: the stream is meant for another user than the session's.
        HttpError: 403, only an admin may name another user.
    """
    check_expected_user(request.credentials.headers, session)
    wanted = request.query.get("userId")
    if wanted is None or wanted == session.user_id:
        return session.user_id
    if route.parameter is not RouteParameter.USER:
        raise AccountChanged(wanted, session.user_id, "userId")
    if not session.is_admin:
        raise HttpError(403, "Only an admin may read another user's stream", path="userId")
    if not 0 < len(wanted) <= 128:
        raise HttpError(422, "a user id has 1 to 128 characters", path="userId")
    return wanted


def parse_poll(request: StreamRequest) -> LongPoll | None:
    """The long-poll that is asked for; None for a stream. Raises HttpError (422)."""
    if not request.is_poll:
        return None
    text = request.query.get("wait", str(DEFAULT_WAIT_SECONDS))
    if not _WAIT_PATTERN.fullmatch(text) or float(text) > MAX_WAIT_SECONDS:
        message = f"wait is a number of seconds from 0 to {MAX_WAIT_SECONDS}"
        raise HttpError(422, message, path="wait", value=text[:32])
    return LongPoll(wait_seconds=float(text))


def needed_session(
    route: StreamRoute, topics: Collection[Topic], session: Session | None
) -> Session | None:
    """The session that a stream of `topics` depends on and ends with, if it does.

    A public stream shows everybody the same, and outlives the session that it was opened with:
    signing out ends no prices. The exception are admins, who see the users of connections.

    Raises:
        HttpError: 401, it needs a session. If only some of its topics do, the error names them.
    """
    private = [topic.name for topic in topics if topic.access is Access.USER]
    if route.access is Access.USER or private:
        if session is None:
            is_partly_public = route.access is Access.PUBLIC and len(private) < len(topics)
            raise unauthorized(private if is_partly_public else ())
        return session
    return session if session is not None and _shows_users(topics, session) else None


def _shows_users(topics: Iterable[Topic], session: Session) -> bool:
    """Whether topics that anybody may read show more in `session`: an admin sees whose connections
    are counted."""
    return session.is_admin and any(topic.live_value is LiveValue.COUNTS for topic in topics)


def parse_position(
    request: StreamRequest, name: str, *, latest: datetime | None = None
) -> Cursor | datetime | None:
    """The place in the query parameter `name`: an id, or a time in ISO 8601, UTC where it says no
    offset. A time after `latest` counts as `latest`. Raises HttpError (422)."""
    text = request.query.get(name)
    if text is None:
        return None
    with contextlib.suppress(MalformedCursor):
        place = parse_cursor(text, epoch="")
        if isinstance(place, Cursor) and place.epoch:
            return place
    try:
        # A plus sign that nobody escaped is a space by now.
        return parse_time(name, text.replace(" ", "+") if "T" in text else text, latest=latest)
    except InvalidValue as error:
        message = f"{name} is an id, or a time such as 2026-03-02T14:30:00Z"
        if error.reason is not FaultReason.NOT_A_TIME:
            message = f"{name} {error.requirement}"
        raise HttpError(422, message, path=name, value=text[:40]) from None


def resume_id(since: Cursor | datetime) -> str:
    """The event id to resume from. A time becomes an id of the older form, which holds a time."""
    if isinstance(since, datetime):
        return f"{int(since.timestamp() * 1000):013d}-0"
    return str(since)


def parse_symbols(text: str | None) -> frozenset[str] | None:
    """Comma-separated symbols, trimmed; None (all) when there are none.

    Raises:
        HttpError: 422, too many, or one that cannot be a symbol.
    """
    if text is None:
        return None
    found = frozenset(parse_symbol("symbols", part) for part in text.split(",") if part.strip())
    if len(found) > MAX_SYMBOLS:
        raise HttpError(422, f"{len(found)} symbols, at most {MAX_SYMBOLS}", path="symbols")
    return found or None


def parse_symbol(path: str, text: str) -> str:
    """A symbol, trimmed. Raises HttpError (422) if it cannot be one."""
    try:
        return validate_symbol("a symbol", text.strip())
    except InvalidValue as error:
        message = f"{error.field} {error.requirement}"
        raise HttpError(422, message, path=path, value=text[:64]) from None


def parse_max_rate(text: str | None) -> float:
    if text is None:
        return MAX_UPDATES_PER_SECOND
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not MIN_RATE_PER_SECOND <= rate <= MAX_UPDATES_PER_SECOND:
        raise HttpError(
            422,
            f"maxRate is a number from {MIN_RATE_PER_SECOND:g} to {MAX_UPDATES_PER_SECOND:g} "
            "updates a second",
            path="maxRate",
            value=text[:32],
        )
    return rate
