"""Errors as clients receive them: ``{"error", "message", "statusCode"}``.

Invalid input also has the path of the field at fault and its value. Handlers raise `HttpError`;
`to_http_error` converts every other exception.
"""

import json
import re
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from tapewire.events import CODEC
from tapewire.events.decode_errors import first_unknown_field, split_error_path, value_at
from tapewire.log import CommandRejected, LogError
from tapewire.log.idempotency import KEY_REUSED
from tapewire.log.rejection import BUYING_POWER, JOURNAL_FULL
from tapewire.runtime import Outcome, RequestTimeout
from tapewire.runtime.correlation import CORRELATION_HEADER, ensure_correlation_id
from tapewire_services.edge.auth import (
    AccountChanged,
    AmbiguousSessionCookie,
    VerificationKeysUnavailable,
)
from tapewire_services.edge.cluster.limits import ConnectionLimitReached

RETRY_AFTER_SECONDS = 1
FULL_RETRY_AFTER_SECONDS = 5
"""When to retry at a process that is full."""
ACCOUNT_CHANGED = "account_changed"
"""The `error` of a request that is meant for another user than the session's."""
MAX_ECHOED_VALUE_BYTES = 100
"""An invalid value is part of the error when its JSON is no longer than this."""
MAX_MESSAGE_CHARACTERS = 300
"""A message can quote the input, which can be long."""

logger = structlog.get_logger("edge.http")

_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?")
_REASON_PHRASES = {413: "Content Too Large", 422: "Unprocessable Entity"}
"""Phrases that Python 3.13 changed: clients see the same one with every Python."""
_STATUS_BY_REJECTION_CODE = {
    "not_found": 404,
    "conflict": 409,
    "forbidden": 403,
    "invalid": 422,
    KEY_REUSED: 422,
    JOURNAL_FULL: 503,
    BUYING_POWER: 422,
}


class Problem(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of every error. `error` is the name of the status, `account_changed` (409): the
    request is meant for another user than the session's, or `buying_power` (422): the order could
    exceed the limit of the account. `path` names the field or parameter at fault, `value` is what
    the client sent for it, unless that is long.

    A command that was not answered (503) has an `outcome`: `not_done` (nothing was done, and
    nothing will be), or `unknown`. The same request with `idempotencyKey` is carried out at most
    once. `foundAt` is the path to ask for the result.
    """

    error: str
    message: str
    status_code: int
    path: str | msgspec.UnsetType = msgspec.UNSET
    value: Any = msgspec.UNSET
    outcome: Outcome | msgspec.UnsetType = msgspec.UNSET
    idempotency_key: str | msgspec.UnsetType = msgspec.UNSET
    found_at: str | msgspec.UnsetType = msgspec.UNSET


class UndoneCommand(msgspec.Struct, frozen=True):
    """What a client needs to know of a command that was not answered."""

    outcome: Outcome
    idempotency_key: str | None
    found_at: str | None


class HttpError(Exception):
    """Ends a request with `status`. The client receives `message`, and `error` or else the name of
    the status."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        path: str | None = None,
        value: Any = msgspec.UNSET,
        headers: dict[str, str] | None = None,
        command: UndoneCommand | None = None,
        error: str | None = None,
    ) -> None:
        super().__init__(message)
        self.command = command
        self.error = error
        self.status = status
        self.message = message
        self.path = path
        self.value = value
        self.headers = headers or {}

    def body(self) -> bytes:
        """The response body, JSON."""
        problem = Problem(
            error=self.error or _REASON_PHRASES.get(self.status) or HTTPStatus(self.status).phrase,
            message=self.message[:MAX_MESSAGE_CHARACTERS],
            status_code=self.status,
            path=msgspec.UNSET if self.path is None else self.path,
            value=self.value,
        )
        if self.command is not None:
            problem = msgspec.structs.replace(
                problem,
                outcome=self.command.outcome,
                idempotency_key=self.command.idempotency_key or msgspec.UNSET,
                found_at=self.command.found_at or msgspec.UNSET,
            )
        return CODEC.encode(problem)


def unauthorized(topics: Sequence[str] = ()) -> HttpError:
    """The error of a request without a session, which `topics` need."""
    if not topics:
        return HttpError(401, "No valid session found")
    return HttpError(401, "No valid session found", path="topics", value=list(topics))


def unavailable(
    message: str,
    retry_after_seconds: int = RETRY_AFTER_SECONDS,
    command: UndoneCommand | None = None,
) -> HttpError:
    headers = {"Retry-After": str(retry_after_seconds)}
    return HttpError(503, message, headers=headers, command=command)


def check_query(names: Iterable[str], known: Collection[str]) -> None:
    """Check the names of query parameters. The values may be secrets, and are not shown.

    Raises:
        HttpError: 422, one is unknown, or given twice.
    """
    seen = set[str]()
    for name in names:
        if name not in known:
            there_are = ", ".join(sorted(known)) or "none"
            raise HttpError(422, f"Unknown query parameter; known: {there_are}", path=name[:64])
        if name in seen:
            raise HttpError(422, "The query parameter is given twice", path=name)
        seen.add(name)


def decode_body(data: bytes, body_type: type[msgspec.Struct]) -> Any:
    """`data` decoded as `body_type`.

    Raises:
        HttpError: 400 when it is not JSON; 422 with the path and value of the first field at fault.
    """
    try:
        made = CODEC.decode(data, body_type)
    except msgspec.ValidationError as error:
        message, path = split_error_path(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid_json(error) from None
    else:
        unknown = first_unknown_field(_parse_json(data), made)
        if unknown is None:
            return made
        message, path = f"Object contains unknown field `{unknown.rpartition('.')[2]}`", unknown
    raise HttpError(422, message, path=path, value=_echoed_value(value_at(_parse_json(data), path)))


def require_json_numbers(data: bytes, *paths: str) -> None:
    """Check that the decimals at `paths` have JSON's number syntax, also within strings. Python's
    Decimal accepts ``"NaN"``, ``" 1"`` and digits of other scripts too.

    Raises:
        HttpError: 422, one of them has not.
    """
    content = _parse_json(data)
    for path in paths:
        value = value_at(content, path)
        if isinstance(value, str) and not _JSON_NUMBER.fullmatch(value):
            raise HttpError(422, "Expected a number", path=path, value=_echoed_value(value))


def _parse_json(data: bytes) -> Any:
    """`data` as builtin types, with decimals for numbers. Raises HttpError (400): the typed decoder
    can stop at an invalid field in front of a syntax error."""
    try:
        return json.loads(data, parse_int=Decimal, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise _invalid_json(error) from None


def _invalid_json(error: Exception) -> HttpError:
    why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return HttpError(400, f"the body is not JSON: {why}")


def _echoed_value(value: Any) -> Any:
    """`value`, or UNSET when it is too long for an error."""
    try:
        shown = value is not msgspec.UNSET and len(CODEC.encode(value)) <= MAX_ECHOED_VALUE_BYTES
    except (ValueError, RecursionError):  # a lone surrogate, deep nesting
        shown = False
    return value if shown else msgspec.UNSET


def rejection_to_http_error(rejection: CommandRejected, request: Any = None) -> HttpError:
    """A service's rejection as an error; the value at fault is taken from `request`."""
    value: Any = msgspec.UNSET
    if rejection.path is not None:
        value = _echoed_value(
            value_at(msgspec.to_builtins(request, builtin_types=(Decimal,)), rejection.path)
        )
    status = _STATUS_BY_REJECTION_CODE.get(rejection.code, 422)
    error = BUYING_POWER if rejection.code == BUYING_POWER else None
    return HttpError(status, rejection.message, path=rejection.path, value=value, error=error)


def to_http_error(error: Exception) -> HttpError:
    """`error` as an HttpError; an unexpected one becomes a 500 without details."""
    if isinstance(error, HttpError):
        return error
    if isinstance(error, CommandRejected):
        return rejection_to_http_error(error)
    if isinstance(error, RequestTimeout | LogError):
        return unavailable("The service that owns this is away; try again")
    if isinstance(error, AmbiguousSessionCookie):
        message = f"The request has {error}; delete the cookies of this site and of its parent"
        return HttpError(400, message, path="Cookie", value=error.name)
    if isinstance(error, AccountChanged):
        value = _echoed_value(error.expected)
        return HttpError(409, str(error), path=error.path, value=value, error=ACCOUNT_CHANGED)
    if isinstance(error, VerificationKeysUnavailable):
        return unavailable("The keys of tokens cannot be fetched now; try again")
    if isinstance(error, HTTPException):
        return HttpError(error.status_code, error.detail, headers=dict(error.headers or {}))
    return HttpError(500, "The edge failed; its log has the reason")


def stream_error(error: Exception) -> HttpError:
    """The response to a request for a stream that fails with `error`. An unexpected error is
    logged, and its text is not sent."""
    if isinstance(error, ConnectionLimitReached):
        return unavailable("This process holds all the streams it can", FULL_RETRY_AFTER_SECONDS)
    failure = to_http_error(error)
    if failure.status != 500:
        return failure
    logger.error("stream.open_failed", exc_info=error)
    return HttpError(500, "Failed to establish SSE connection")


def handle_exception(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler: logs and converts every exception of a handler."""
    failure = to_http_error(error)
    cause = error.__cause__ if isinstance(error, HttpError) else error
    if isinstance(cause, RequestTimeout | LogError | VerificationKeysUnavailable):
        logger.warning("request.unanswered", path=request.scope["path"], error=str(cause))
    elif failure.status >= 500 and not isinstance(error, HttpError):
        logger.error("request.failed", path=request.scope["path"], exc_info=error)
    headers = dict(failure.headers)
    if "correlation" not in request.state:
        headers[CORRELATION_HEADER] = ensure_correlation_id(request.headers.get(CORRELATION_HEADER))
    return Response(
        failure.body(),
        status_code=failure.status,
        media_type="application/json",
        headers=headers,
    )
