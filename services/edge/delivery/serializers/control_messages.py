"""Events about a stream itself: its resets, its end, the draining of a process.

Names and payloads are here; each `ApiFamily` writes them in its own convention (`control_message`).
"""

import msgspec

from tapewire.payloads.control import (
    AuthExpiredPayload,
    ConnectionLimitPayload,
    ReplayCompletePayload,
    StreamDrainingPayload,
    StreamResetPayload,
    StreamUpdatedPayload,
)
from tapewire_services.edge.delivery.close_reason import ClientAction, CloseReason
from tapewire_services.edge.delivery.serializers.serializer import SseMessage

ControlMessage = tuple[str, msgspec.Struct]
"""The name of a control event, and its payload."""

CHECKPOINT: SseMessage = ("checkpoint", {})
"""An event without content, whose id keeps the client's last event id current."""

RESET_EVENT = "stream:reset"


def stream_updated_message(
    topics: list[str], symbols: list[str] | None, max_rate: float, *, unknown: list[str]
) -> ControlMessage:
    """The content of the stream was changed."""
    payload = StreamUpdatedPayload(
        topics=topics, symbols=symbols, max_rate=max_rate, unknown=unknown or msgspec.UNSET
    )
    return "stream:updated", payload


def reset_message(payload: StreamResetPayload) -> ControlMessage:
    return RESET_EVENT, payload


def draining_message(seconds: float) -> ControlMessage:
    """The connection will be closed in `seconds`."""
    return "stream:draining", StreamDrainingPayload(closes_in_ms=round(seconds * 1000))


def replay_complete_message(until_id: str) -> ControlMessage:
    """All events up to `until_id` were sent."""
    return "replay:complete", ReplayCompletePayload(until_id=until_id)


def session_ended_message(reason: CloseReason) -> ControlMessage:
    """The session expired or was revoked. The client must sign in again.

    Raises:
        ValueError: `reason` asks for another action.
    """
    if reason.client_action is not ClientAction.SIGN_IN:
        raise ValueError(f"{reason} does not end a session")
    return "auth:expired", AuthExpiredPayload(reason.value)


def connection_limit_message(limit: int) -> ControlMessage:
    """The user has more than `limit` connections. The client must not reconnect."""
    return "connection:limit", ConnectionLimitPayload(CloseReason.LIMIT.value, limit)


FINAL_EVENTS = {
    session_ended_message(CloseReason.EXPIRED)[0]: ClientAction.SIGN_IN,
    connection_limit_message(0)[0]: ClientAction.STOP,
}
"""What the client does after the last event of a stream, by its name. Without one of these, it
reconnects. libs/client/packages/client/src/closing.ts has the same table."""
