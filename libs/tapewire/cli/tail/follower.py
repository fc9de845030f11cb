"""Follows a stream with `tapewire.sync.stream`, and reports its states in words.

Everything that may pass is retried by the stream itself. What does not is an error of the command.
"""

from collections.abc import Callable
from typing import Any

from tapewire.cli.errors import CliError
from tapewire.cli.tail.session import EXIT_REFUSED, EdgeSession
from tapewire.sse import (
    SignedOut,
    StreamEnded,
    StreamEvent,
    StreamLimitReached,
    StreamRejected,
    StreamState,
)
from tapewire.sse.sync_stream import stream


def follow(
    url: str,
    session: EdgeSession,
    *,
    on_event: Callable[[StreamEvent], None],
    on_status: Callable[[str], None],
    **options: Any,
) -> None:
    """Pass the events of the stream at `url` to `on_event`, until a replay is complete.

    Args:
        on_status: Called with a line of text when the state changes, in another thread.
        options: Further arguments of `tapewire.stream`.

    Raises:
        CliError: Connecting again would not help.
    """
    reporter = StatusReporter(on_status)
    try:
        with stream(
            url, headers=session.header_source, on_state=reporter.report, **options
        ) as events:
            for event in events:
                on_event(event)
    except StreamEnded as error:
        raise describe_end(error, url, session) from error


def describe_end(error: StreamEnded, url: str, session: EdgeSession) -> CliError:
    """Return the error of the command for the end of the stream at `url`."""
    if isinstance(error, SignedOut):
        return session.build_unauthorized_error(url, error)
    if isinstance(error, StreamLimitReached):
        allowed = "" if error.limit is None else f" ({error.limit} are allowed)"
        return CliError(
            f"the user has opened more streams than allowed{allowed}, and this one was the oldest;"
            " close another one",
            EXIT_REFUSED,
        )
    if isinstance(error, StreamRejected) and error.status_code == 404:
        return CliError(f"there is no stream {url}: {error}", EXIT_REFUSED)
    return CliError(f"refused: {error}", EXIT_REFUSED)


class StatusReporter:
    """Passes each change of the stream's state that a person wants to know to `on_status`."""

    def __init__(self, on_status: Callable[[str], None]) -> None:
        self._on_status = on_status
        self._reported = StreamState("live")

    def report(self, state: StreamState) -> None:
        """Compare `state` with the one that was reported last."""
        if state.name not in ("live", "reconnecting"):
            return
        text = describe_change(self._reported, state)
        self._reported = state
        if text:
            self._on_status(text)


def describe_change(before: StreamState, after: StreamState) -> str:
    """Return what has changed, "" for nothing that matters. Both are live or reconnecting."""
    if after.name == "reconnecting":
        resuming = f" from {after.last_event_id}" if after.last_event_id else ""
        return f"{after.reason}; connecting again{resuming} in {after.retry_in_seconds:.1f} s"
    changes = []
    if before.name == "reconnecting":
        changes.append("connected again")
    if after.is_polling and not before.is_polling:
        changes.append("something on the way holds the stream back: polling")
    elif before.is_polling and not after.is_polling:
        changes.append("the stream is no longer held back")
    if after.is_silent and not before.is_silent:
        changes.append("nothing received for seconds: the prices may be old")
    elif before.is_silent and not after.is_silent and before.name == "live":
        changes.append("the stream is no longer silent")
    return "; ".join(changes)
