"""One open stream: its route and owner, its position in the log, and why it ended.

A connection catches up from the log, goes live, may fall behind and catch up again, and closes. It
alone changes this state; the hub, the catch-up loop and the HTTP handler call its methods. Start
reading at `Connection.deliver`.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec
import structlog

from tapewire.log import RecordedEvent
from tapewire_services.edge.delivery.close_reason import CloseReason
from tapewire_services.edge.delivery.connection_info import ConnectionInfo, StreamContent
from tapewire_services.edge.delivery.connection_limits import ConnectionLimits, Overdue
from tapewire_services.edge.delivery.outbox import Outbox
from tapewire_services.edge.delivery.selection import Selection
from tapewire_services.edge.delivery.topics import Interest, LiveValue

PRICE_VALUES = frozenset((LiveValue.PRICES, LiveValue.VALUATIONS, LiveValue.ACCOUNT))
"""Values that mislead when they are old."""

logger = structlog.get_logger("edge.connection")


class Connection:
    """One open stream.

    `position` is the sequence up to which every event of the owner was written, queued, or is not
    shown. `last_sent_sequence` is the client's last event id, `starts_after` that of its snapshot
    or last change. While `is_live`, the hub delivers events to the outbox.

    Times are seconds of the event loop's clock.
    """

    __slots__ = (
        "_abort", "_change_waiters", "_close_reason", "_closed_at", "_id_current_at",
        "_is_draining", "_is_live", "_last_content_at", "_last_heartbeat_at",
        "_last_sent_sequence", "_last_write_at", "_position", "_previous_sent_sequence",
        "_requested_content", "_urgent_events", "_write_started_at", "content", "info",
        "interest", "outbox", "route", "selection", "starts_after",
    )  # fmt: skip

    def __init__(
        self, info: ConnectionInfo, outbox: Outbox, now: float, abort: Callable[[], None]
    ) -> None:
        self.info = info
        self.route = info.route
        self.content = info.content
        self.interest = info.content.interest
        self.selection: Selection | None = info.selection
        self.outbox = outbox
        self._abort = abort
        self._is_live = False
        self._is_draining = False
        self._position = 0
        self.starts_after: int | None = None
        self._last_sent_sequence = 0
        self._last_write_at = self._last_content_at = self._last_heartbeat_at = now
        self._write_started_at: float | None = None
        self._urgent_events: list[RecordedEvent] = []
        """Urgent events that wait in the outbox."""
        self._close_reason: CloseReason | None = None
        self._closed_at = 0.0
        self._id_current_at = now
        self._previous_sent_sequence = 0
        self._requested_content = info.content
        self._change_waiters: list[asyncio.Future[bool]] = []

    @property
    def is_live(self) -> bool:
        return self._is_live

    @property
    def is_draining(self) -> bool:
        """Whether the client knows that this process stops."""
        return self._is_draining

    @property
    def position(self) -> int:
        return self._position

    @property
    def last_sent_sequence(self) -> int:
        return self._last_sent_sequence

    @property
    def close_reason(self) -> CloseReason | None:
        """None while the connection is open."""
        return self._close_reason

    def write_seconds(self, now: float) -> float:
        """How long the write that is under way has lasted; 0 for none."""
        return 0.0 if self._write_started_at is None else now - self._write_started_at

    @property
    def is_id_outdated(self) -> bool:
        """Whether a live client's event id is older than the position."""
        return (
            self._is_live
            and self._position > self._last_sent_sequence
            and self.interest.is_lossless
        )

    def resume_after(self, sequence: int) -> None:
        self._position = sequence
        self._last_sent_sequence = max(self._last_sent_sequence, sequence)
        self.starts_after = sequence if self.starts_after is None else self.starts_after

    def start_at_snapshot(self, sequence: int) -> None:
        """Start after the snapshot of `sequence`."""
        self._position = self._last_sent_sequence = self.starts_after = sequence

    def advance(self, sequence: int) -> None:
        self._position = sequence

    def sent(self, sequence: int) -> None:
        """Record that the client is sent `sequence` as an event id."""
        self._last_sent_sequence = sequence

    @property
    def requested_content(self) -> StreamContent:
        """What the client asked for last; not shown yet while a change is pending."""
        return self._requested_content

    @property
    def has_pending_change(self) -> bool:
        """Whether another content was requested than is shown."""
        return bool(self._change_waiters)

    def request_content(self, content: StreamContent) -> "asyncio.Future[bool]":
        """Ask for `content`, and leave live delivery for the change. The future's result is True
        once the client was sent all of the change, False when the connection ended before."""
        waiter = asyncio.get_running_loop().create_future()
        if self._close_reason is not None:
            waiter.set_result(False)
            return waiter
        self._requested_content = content
        self._change_waiters.append(waiter)
        self.fall_behind()
        return waiter

    def bind_session(self, session_id: str | None, expires_at: datetime, *, is_admin: bool) -> None:
        """Let the stream end with a session."""
        self.info = msgspec.structs.replace(
            self.info, session_id=session_id, expires_at=expires_at, is_admin=is_admin
        )

    def show(self, interest: Interest) -> None:
        """Show `interest` from now on; only `Hub.change_interest` calls this."""
        self.interest = interest

    def content_changed(self, content: StreamContent) -> None:
        """Record that the client was sent all of the change to `content`."""
        self.content, self.starts_after = content, self._position
        if content is self._requested_content:
            self._finish_changes(succeeded=True)

    def observe(self, recorded: RecordedEvent) -> None:
        """Pass the owner's next event to the selection."""
        if self.selection is not None:
            self.selection.observe(recorded)

    def go_live(self) -> None:
        self._is_live = True

    def leave_live(self) -> None:
        self._is_live = False

    def fall_behind(self) -> None:
        """Leave live delivery: the outbox is written, and the rest is read from the log."""
        self._is_live = False
        self.outbox.interrupt()

    def expects(self, sequence: int) -> bool:
        """Whether the live event `sequence` is new to this connection."""
        return self._is_live and sequence > self._position

    def deliver(self, recorded: RecordedEvent, frame: bytes, *, urgent: bool) -> bool:
        """Put the frame of a live event into the outbox. Return False, and fall behind, when it
        does not fit."""
        if urgent:
            self._urgent_events.append(recorded)
        if not self.outbox.put(frame, urgent=urgent):
            if urgent:
                self._urgent_events.pop()
            self.fall_behind()
            return False
        self._position = self._last_sent_sequence = recorded.sequence
        return True

    def write_started(self, now: float) -> None:
        self._write_started_at = now

    def write_finished(self, now: float, *, has_content: bool = True) -> None:
        """Record that a write completed, of more than a keepalive of prices if it
        `has_content`."""
        self._last_write_at = now
        self._last_content_at = now if has_content else self._last_content_at
        self._write_started_at = None

    def heartbeat_sent(self, now: float) -> None:
        self._last_heartbeat_at = now

    def track_id_age(self, now: float) -> None:
        """Observe whether the client's event id is current; the hub's tick calls this."""
        if (
            not self._is_live
            or self._position <= self._last_sent_sequence
            or self._last_sent_sequence != self._previous_sent_sequence
        ):
            self._id_current_at, self._previous_sent_sequence = now, self._last_sent_sequence

    def find_overdue(
        self, now: float, wall_time: datetime, limits: ConnectionLimits
    ) -> Overdue | None:
        """What is overdue at `now` (loop time) and `wall_time`; None when nothing is."""
        if self._close_reason is not None:
            return Overdue.END if now - self._closed_at > limits.close_seconds else None
        started = self._write_started_at
        if started is not None and now - started > limits.write_seconds:
            return Overdue.WRITE
        silent_seconds = now - self._last_write_at
        if silent_seconds > limits.quiet_seconds:
            return Overdue.QUIET
        expires_at = self.info.expires_at
        if expires_at is not None and wall_time >= expires_at:
            return Overdue.SESSION
        if started is not None or self.info.poll is not None:
            return None
        if self.route.family.has_steady_heartbeat:
            if now - self._last_heartbeat_at >= limits.heartbeat_seconds:
                return Overdue.HEARTBEAT
        elif now - self._last_content_at >= limits.keepalive_seconds:
            return Overdue.HEARTBEAT
        if now - self._id_current_at >= limits.keepalive_seconds:
            return Overdue.CHECKPOINT
        is_silent = silent_seconds >= limits.prices_keepalive_seconds
        shows_prices = not PRICE_VALUES.isdisjoint(self.interest.live_values)
        return Overdue.PRICES if is_silent and shows_prices else None

    def pop_urgent_events(self) -> list[RecordedEvent]:
        """Return the urgent events of the chunk that was just taken from the outbox."""
        if not self._urgent_events:
            return self._urgent_events
        events, self._urgent_events = self._urgent_events, []
        return events

    def log_urgent_writes(self, events: Iterable[RecordedEvent]) -> None:
        """Log that urgent events were written.

        The correlation id is given explicitly, because the task that writes is often not the one
        that serves this connection.
        """
        for recorded in events:
            logger.info(
                "connection.urgent_event_written",
                client_id=self.info.client_id,
                correlation_id=self.info.correlation,
                sequence=recorded.sequence,
                event_correlation_id=recorded.metadata.correlation,
            )

    def announce_draining(self, frame: bytes) -> None:
        """Send `frame`, which announces when this process will close the stream."""
        self._is_draining = True
        self.outbox.put(frame, urgent=True)

    def close(self, reason: CloseReason, now: float, farewell: bytes = b"") -> None:
        """Write what waits in the outbox and `farewell`, then end. The first reason stands."""
        if self._close_reason is not None:
            return
        self._is_live = False
        self._close_reason = reason
        self._closed_at = now
        self.outbox.end(farewell)
        self._finish_changes(succeeded=False)

    def abort(self, reason: CloseReason) -> None:
        """End at once and drop what was not written. The first reason stands."""
        self.record_end(reason)
        self._abort()

    def record_end(self, reason: CloseReason) -> None:
        """Record why the stream has ended by itself. The first reason stands."""
        if self._close_reason is None:
            self._close_reason = reason
        self._finish_changes(succeeded=False)

    def _finish_changes(self, *, succeeded: bool) -> None:
        waiters, self._change_waiters = self._change_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(succeeded)

    def __repr__(self) -> str:
        return f"Connection({self.info.client_id} at {self._position}, live={self._is_live})"
