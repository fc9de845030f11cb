"""How requests end, and what a client does then: try again, or stop for good."""

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tapewire.sse.errors import (
    AnotherUserSignedIn,
    SignedOut,
    StreamEnded,
    StreamLimitReached,
    StreamRejected,
)
from tapewire.sse.protocol.delays import parse_retry_after

EVENT_STREAM = "text/event-stream"
JSON_DOCUMENT = "application/json"
RETRYABLE_STATUSES = frozenset({408, 425, 429})
"""The client errors (4xx) after which the same request may succeed later."""
ACCOUNT_CHANGED = "account_changed"


@dataclass(frozen=True, slots=True)
class EndedCleanly:
    """The server ended the response."""


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Something on the way, such as a proxy, holds the stream back."""


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """There was no response, or a temporary error. `retry_after_seconds` is 0 unless the server
    asks for a delay."""

    reason: str
    retry_after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RefusedForGood:
    """Trying again would not help. `error` is None after a replay that is complete."""

    error: StreamEnded | None


RequestOutcome = EndedCleanly | HeldBack | RequestFailed | RefusedForGood


class FinalAction(enum.Enum):
    """What a client does after a final event."""

    SIGN_IN = "sign-in"
    STOP = "stop"


FINAL_EVENTS: Mapping[str, FinalAction] = {
    "auth:expired": FinalAction.SIGN_IN,
    "connection:limit": FinalAction.STOP,
}
"""By the name of the last event of a stream. After a stream without one of these, a client connects
again. The server has the same table (`FINAL_EVENTS`, control_messages.py); a test compares them."""
REPLAY_COMPLETE = "replay:complete"
"""The last event of a replay with an end."""


def is_wanted(status: int, content_type: str, wanted_type: str) -> bool:
    """Whether a response is what was asked for."""
    return status == 200 and content_type.lower().startswith(wanted_type)


def classify_response(
    status: int, headers: Mapping[str, str], body: bytes, now: datetime
) -> RequestFailed | RefusedForGood:
    """Return the outcome of a response that is not what was asked for."""
    if status == 204:
        return RefusedForGood(None)
    details = _decode_object(body)
    error = _text_of(details, "error") or f"Status {status}"
    message = _text_of(details, "message") or error
    if status == 401:
        return RefusedForGood(SignedOut(message))
    if status == 409 and error == ACCOUNT_CHANGED:
        return RefusedForGood(AnotherUserSignedIn(message))
    if 300 <= status < 500 and status not in RETRYABLE_STATUSES:
        path = details.get("path")
        if status < 400:
            message = f"the answer is a redirect to {headers.get('location', 'nowhere')}"
        return RefusedForGood(
            StreamRejected(
                status,
                error,
                message,
                path=path if isinstance(path, str) else None,
                value=details.get("value"),
            )
        )
    reason = f"{status} {message}"
    if status < 300:
        reason = f"the answer is {headers.get('content-type') or 'empty'}, no stream"
    return RequestFailed(reason, parse_retry_after(headers.get("retry-after"), now))


def error_after(event_type: str, data: Any) -> StreamEnded | None:
    """Return the error that ends a stream after the event, None if it is no final one."""
    action = FINAL_EVENTS.get(event_type)
    if action is None:
        return None
    if action is FinalAction.SIGN_IN:
        return SignedOut("the session has ended")
    # Reconnecting would close another connection of this user, which would reconnect in turn.
    limit = data.get("limit") if isinstance(data, dict) else None
    return StreamLimitReached(limit if isinstance(limit, int) else None)


def _decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; empty for anything else, such as the page of a proxy."""
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _text_of(details: Mapping[str, Any], name: str) -> str:
    found = details.get(name)
    return found if isinstance(found, str) else ""
