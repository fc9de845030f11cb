"""Runs a handler. Its errors become replies that name the field, its value and the reason."""

import json
import re
from typing import Any

import msgspec
import structlog

from tapewire.events import CODEC
from tapewire.events.decode_errors import split_error_path, value_at
from tapewire.log import (
    BadSubject,
    CommandRejected,
    DeadlineExceeded,
    LogError,
    OutcomeUnknown,
    TooManyConflicts,
    Unavailable,
)
from tapewire.log.request_scope import RequestScope
from tapewire.runtime.requests.messages import (
    COMMAND_HEADER,
    MAX_COMMAND_ID_CHARACTERS,
    Endpoint,
    ErrorReply,
    Outcome,
    RequestContext,
    content_digest,
)

MAX_QUOTED_CHARACTERS = 60
"""Characters of a bad value that a rejection quotes."""
_COMMAND_ID = re.compile(rf"[!-~]{{1,{MAX_COMMAND_ID_CHARACTERS}}}")

logger = structlog.get_logger("tapewire.requests")


async def run_handler(
    verb: str, endpoint: Endpoint[Any], data: bytes, context: RequestContext, scope: RequestScope
) -> msgspec.Struct:
    """The reply of `endpoint` to the request `data`: the handler's, or an `ErrorReply`."""
    try:
        with scope.enter():
            scope.check()
            _check_command_id(context.command_id)
            request = CODEC.decode(data, endpoint.request)
            if context.idempotency_key is not None:
                digest = content_digest(verb, request)
                context = msgspec.structs.replace(context, digest=digest)
            return await endpoint.handler(request, context)
    except CommandRejected as rejection:
        return ErrorReply(code=rejection.code, message=rejection.message, path=rejection.path)
    except msgspec.ValidationError as error:
        return _validation_error(str(error), data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return ErrorReply(code="invalid", message=f"the request is not JSON: {error}")
    except BadSubject as error:
        return ErrorReply(code="invalid", message=str(error))
    except DeadlineExceeded as error:
        logger.info("requests.expired", verb=verb, error=str(error))
        return ErrorReply(code="expired", message=str(error), outcome=_outcome(scope))
    except (Unavailable, OutcomeUnknown, TooManyConflicts) as error:
        logger.warning("requests.unavailable", error=str(error))
        return ErrorReply(code="unavailable", message=str(error), outcome=_outcome(scope))
    except LogError as error:
        logger.warning("requests.append_rejected", error=str(error))
        return ErrorReply(code="invalid", message=str(error))
    except Exception:
        logger.exception("requests.handler_failed")
        message = "the service failed; its log has the reason"
        return ErrorReply(code="internal", message=message, outcome=_outcome(scope))


def truncate(value: Any) -> str:
    """`value` in ASCII, cut to `MAX_QUOTED_CHARACTERS`."""
    text = ascii(value)
    return text if len(text) <= MAX_QUOTED_CHARACTERS else f"{text[:MAX_QUOTED_CHARACTERS]}…"


def _outcome(scope: RequestScope) -> Outcome:
    return Outcome.UNKNOWN if scope.may_have_stored else Outcome.NOT_DONE


def _check_command_id(command_id: str) -> None:
    """Raises CommandRejected: event ids and headers are made from the command id."""
    if not _COMMAND_ID.fullmatch(command_id):
        message = (
            f"{COMMAND_HEADER} must be 1 to {MAX_COMMAND_ID_CHARACTERS} printable ASCII "
            f"characters, not {truncate(command_id)}"
        )
        raise CommandRejected("invalid", message, COMMAND_HEADER)


class _RawNumber(str):
    """A number as it was sent. Showing an integer of a thousand digits costs nothing."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _validation_error(message: str, data: bytes) -> ErrorReply:
    """The field that does not fit, its value, and why."""
    message, path = split_error_path(message)
    try:
        value = value_at(json.loads(data, parse_int=_RawNumber, parse_float=_RawNumber), path)
    except (ValueError, RecursionError):  # a syntax error after the mismatch, or deep nesting
        value = msgspec.UNSET
    if path and value is not msgspec.UNSET:
        message = f"{path} does not fit: {message}, not {truncate(value)}"
    return ErrorReply(code="invalid", message=message, path=path or None)
