"""Why a stream ends, and what its client should do next.

Every `CloseReason` names a `ClientAction`. The last event of a stream, the counters and the browser
client's table (libs/client/packages/client/src/closing.ts, compared by a test) follow from it.
"""

import enum


class ClientAction(enum.Enum):
    """What a client should do after its stream ended."""

    RECONNECT = "reconnect"
    """Connect again with the last event id, after the `retry:` delay of the stream."""
    RECONNECT_LATER = "reconnect-later"
    """Connect again with the last event id, with a delay that grows with every failure."""
    SIGN_IN = "sign-in"
    """Connect again only with a new session."""
    STOP = "stop"
    """Do not connect again."""


class CloseReason(enum.Enum):
    """Why a connection ended. The value appears in logs, counters and final events."""

    client_action: ClientAction

    def __new__(cls, value: str, client_action: ClientAction) -> "CloseReason":
        reason = object.__new__(cls)
        reason._value_ = value
        reason.client_action = client_action
        return reason

    GONE = "gone", ClientAction.RECONNECT
    """The client disconnected."""
    SLOW = "slow", ClientAction.RECONNECT
    """A write did not complete in time."""
    EXPIRED = "expired", ClientAction.SIGN_IN
    """The session expired."""
    REVOKED = "revoked", ClientAction.SIGN_IN
    """The session was revoked."""
    LIMIT = "limit", ClientAction.STOP
    """The user has too many connections, and this one was the oldest. If it came back, it would
    push out the next one."""
    DRAIN = "drain", ClientAction.RECONNECT
    """This process stops; another one takes the connection over."""
    DONE = "done", ClientAction.STOP
    """The client asked for events up to a sequence and received all of them."""
    POLLED = "polled", ClientAction.RECONNECT
    """A long-poll was answered."""
    QUIET = "quiet", ClientAction.RECONNECT
    """Nothing could be written for minutes."""
    FAILED = "failed", ClientAction.RECONNECT_LATER
    """An unexpected error in this process."""
