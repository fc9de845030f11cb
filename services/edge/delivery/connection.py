"""One open stream: its route and owner, its position in the log, and why it ended.

A connection catches up from the log, goes live, may fall behind and catch up again, and closes. It
alone changes this state; the hub, the catch-up loop and the HTTP handler call its methods. Start
reading at `Connection.deliver`.
"""

import enum
from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec
import structlog

from tapewire.log import RecordedEvent
from tapewire_services.edge.delivery.close_reason import CloseReason
from tapewire_services.edge.delivery.connection_info import ConnectionInfo
from tapewire_services.edge.delivery.outbox import Outbox
from tapewire_services.edge.delivery.selection import Selection
from tapewire_services.edge.delivery.stream_routes import Interest, StreamRoute

logger = structlog.get_logger("edge.connection")


class ConnectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long things may take, in seconds: the end after `close`, a write, a stream without any
    write, and a stream that is idle. A steady heartbeat is sent every `heartbeat_seconds`."""

    close_seconds: float
    write_seconds: float
    quiet_seconds: float
    keepalive_seconds: float
    heartbeat_seconds: float


class Overdue(enum.Enum):
    """What a connection is late with; see `Connection.find_overdue`."""

    END = "end"
    WRITE = "write"
    QUIET = "quiet"
    SESSION = "session"
    HEARTBEAT = "heartbeat"
    CHECKPOINT = "checkpoint"


class Connection:
    """One open stream.

    `position` is the sequence up to which every event of the owner was written, put into the
    outbox, or is not shown by this route. `last_sent_sequence` is the last one that the client
    received as an event id. While `is_live`, the hub delivers events to the outbox.

    Times are seconds of the event loop's clock.
    """

    __slots__ = (
        "_abort",
        "_close_reason",
        "_closed_at",
        "_id_current_at",
        "_is_draining",
        "_is_live",
        "_last_heartbeat_at",
        "_last_sent_sequence",
        "_last_write_at",
        "_position",
        "_previous_sent_sequence",
        "_urgent_events",
        "_write_started_at",
        "info",
        "interest",
        "outbox",
        "route",
        "selection",
    )

    def __init__(
        self, info: ConnectionInfo, outbox: Outbox, now: float, abort: Callable[[], None]
    ) -> None:
        self.info = info
        self.route: StreamRoute = info.route
        self.interest: Interest = info.interest
        self.selection: Selection | None = info.selection
        self.outbox = outbox
        self._abort = abort
        self._is_live = False
        self._is_draining = False
        self._position = 0
        self._last_sent_sequence = 0
        self._last_write_at = self._last_heartbeat_at = now
        self._write_started_at: float | None = None
        self._urgent_events: list[RecordedEvent] = []
        """Urgent events that wait in the outbox."""
        self._close_reason: CloseReason | None = None
        self._closed_at = 0.0
        self._id_current_at = now
        self._previous_sent_sequence = 0

    @property
    def is_live(self) -> bool:
        return self._is_live

    @property
    def is_draining(self) -> bool:
        """Whether the client was notified that this process stops."""
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

    @property
    def is_id_outdated(self) -> bool:
        """Whether a live client's event id is older than the position."""
        return (
            self._is_live
            and self._position > self._last_sent_sequence
            and self.interest.is_lossless
        )

    def resume_after(self, sequence: int) -> None:
        """Start after `sequence`, which the client has."""
        self._position = sequence
        self._last_sent_sequence = max(self._last_sent_sequence, sequence)

    def start_at_snapshot(self, sequence: int) -> None:
        """Start after a snapshot whose event id is `sequence`."""
        self._position = self._last_sent_sequence = sequence

    def advance(self, sequence: int) -> None:
        """Move the position to `sequence`."""
        self._position = sequence

    def sent(self, sequence: int) -> None:
        """Record that the client is sent `sequence` as an event id."""
        self._last_sent_sequence = sequence

    def observe(self, recorded: RecordedEvent) -> None:
        """Pass the owner's next event to the selection."""
        if self.selection is not None:
            self.selection.observe(recorded)

    def go_live(self) -> None:
        """Accept live events from the hub."""
        self._is_live = True

    def leave_live(self) -> None:
        """Accept no live events; the outbox keeps what it has."""
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
        """Record that a write began."""
        self._write_started_at = now

    def write_finished(self, now: float) -> None:
        """Record that a write completed."""
        self._last_write_at = now
        self._write_started_at = None

    def heartbeat_sent(self, now: float) -> None:
        """Record that an idle frame was put into the outbox."""
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
        idle_seconds = now - self._last_write_at
        if idle_seconds > limits.quiet_seconds:
            return Overdue.QUIET
        expires_at = self.info.expires_at
        if expires_at is not None and wall_time >= expires_at:
            return Overdue.SESSION
        if started is not None or self.info.poll is not None:
            return None
        if self.route.family.has_steady_heartbeat:
            if now - self._last_heartbeat_at >= limits.heartbeat_seconds:
                return Overdue.HEARTBEAT
        elif idle_seconds >= limits.keepalive_seconds:
            return Overdue.HEARTBEAT
        is_id_overdue = now - self._id_current_at >= limits.keepalive_seconds
        return Overdue.CHECKPOINT if is_id_overdue else None

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
        """Send `frame`, which announces when this process will close the stream. A client too slow
        to receive it is closed all the same."""
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

    def abort(self, reason: CloseReason) -> None:
        """End at once and drop what was not written. The first reason stands."""
        self.record_end(reason)
        self._abort()

    def record_end(self, reason: CloseReason) -> None:
        """Record why the stream has ended by itself. The first reason stands."""
        if self._close_reason is None:
            self._close_reason = reason

    def __repr__(self) -> str:
        return f"Connection({self.info.client_id} at {self._position}, live={self._is_live})"
