"""The errors that end a stream for good. Everything else is tried again.

A stream that the caller closes, and a replay that is complete, end without an error.
"""

from typing import Any


class StreamEnded(Exception):
    """A stream has ended, and connecting again would not help.

    `last_event_id` is the id to resume from, "" for none.
    """

    last_event_id: str = ""


class SignedOut(StreamEnded):
    """The stream needs a session or token, or its one has ended (401, `auth:expired`)."""


class AnotherUserSignedIn(SignedOut):
    """The session is of another user than the one that the stream is meant for (409)."""


class StreamLimitReached(StreamEnded):
    """The user has opened more streams than allowed, and this one was the oldest. `limit` is how
    many are allowed, None if the server did not say it."""

    def __init__(self, limit: int | None) -> None:
        super().__init__("the user has more streams open than allowed; this was the oldest")
        self.limit = limit


class StreamRejected(StreamEnded):
    """The server refuses the stream (403, 404, 422, …).

    `status_code`, `error`, `message`, `path` and `value` are those of the response. `path` names
    the parameter that is wrong, if it is one.
    """

    def __init__(
        self,
        status_code: int,
        error: str,
        message: str,
        *,
        path: str | None = None,
        value: Any = None,
    ) -> None:
        super().__init__(f"{status_code} {message}")
        self.status_code = status_code
        self.error = error
        self.message = message
        self.path = path
        self.value = value
