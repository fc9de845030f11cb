"""One open stream: what is known of it, where it is, and why it ends."""

import enum
from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec
import structlog

from tapewire.log import RecordedEvent
from tapewire_services.edge.delivery.outbox import Outbox
from tapewire_services.edge.delivery.selection import Selection
from tapewire_services.edge.delivery.stream_routes import Interest, StreamRoute

logger = structlog.get_logger("edge.connection")


class CloseReason(enum.Enum):
    """Why a connection ended; the value is what logs and counters say."""

    GONE = "gone"
    """The peer left. It comes back by itself, with its last id."""
    SLOW = "slow"
    """It did not take a write in time. It resumes by id when it comes back."""
    EXPIRED = "expired"
    """Its session came to its end: sign in again."""
    REVOKED = "revoked"
    """Its session was revoked: sign in again."""
    LIMIT = "limit"
    """Its user has too many connections, and it was the oldest. Not to be opened again."""
    DRAIN = "drain"
    """This process stops: connect again, to another one. Some leave as soon as they are told."""
    DONE = "done"
    """It asked for the past up to a place, and has all of it."""
    QUIET = "quiet"
    """Nothing could be written for minutes."""
    FAILED = "failed"
    """A fault of ours; connect again."""


class ConnectionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a connection when it opens. `user` is who is connected, `owner` whose events
    are shown; `selection` narrows them. `until` ends the stream at a place of the log. `succeeds`:
    the client has another connection, and leaves that one when this one is said to be live."""

    client_id: str
    route: StreamRoute
    owner: str | None
    correlation: str
    interest: Interest
    user_id: str | None = None
    is_admin: bool = False
    session_id: str | None = None
    expires_at: datetime | None = None
    selection: Selection | None = None
    until_sequence: int | None = None
    is_handover: bool = False


class Connection:
    """One open stream.

    `position` is the sequence up to which every event of the owner has been written, put into the
    outbox or found to be none of this feed's; `told` the last sequence that the client got as an
    id. `live` says that the hub feeds the outbox.
    """

    __slots__ = (
        "_id_current_at",
        "_previous_sent_sequence",
        "abort",
        "close_reason",
        "ended_at",
        "info",
        "is_draining",
        "is_live",
        "last_heartbeat_at",
        "last_sent_sequence",
        "last_write_at",
        "outbox",
        "position",
        "urgent_events",
        "write_started_at",
    )

    def __init__(
        self, info: ConnectionInfo, outbox: Outbox, now: float, abort: Callable[[], None]
    ) -> None:
        self.info = info
        self.outbox = outbox
        self.abort = abort
        self.is_live = False
        self.is_draining = False
        """Whether the client was told that this process stops."""
        self.position = 0
        self.last_sent_sequence = 0
        self.last_write_at = self.last_heartbeat_at = now
        self.urgent_events: list[RecordedEvent] = []
        """What must not wait, in the outbox."""
        self.write_started_at: float | None = None
        self.close_reason: CloseReason | None = None
        self.ended_at = 0.0
        self._id_current_at = now
        self._previous_sent_sequence = 0

    @property
    def route(self) -> StreamRoute:
        return self.info.route

    @property
    def interest(self) -> Interest:
        return self.info.interest

    def fall_behind(self) -> None:
        """Leave live delivery: what the outbox holds is written, the rest is read from the log."""
        self.is_live = False
        self.outbox.interrupt()

    def id_stale_seconds(self, now: float) -> float:
        """How long the client's id has stood still behind the position; to be asked regularly."""
        if (
            not self.is_live
            or self.position <= self.last_sent_sequence
            or self.last_sent_sequence != self._previous_sent_sequence
        ):
            self._id_current_at, self._previous_sent_sequence = now, self.last_sent_sequence
        return now - self._id_current_at

    def pop_urgent_events(self) -> list[RecordedEvent]:
        """What of that which was just taken from the outbox must not wait."""
        taken, self.urgent_events = self.urgent_events, []
        return taken

    def log_urgent_writes(self, events: Iterable[RecordedEvent]) -> None:
        """Tell of what must not wait that it was written: by whichever task, often not the one
        that serves this connection, whose correlation id would be on the line by itself."""
        for recorded in events:
            logger.info(
                "an urgent event was written",
                client=self.info.client_id,
                correlation=self.info.correlation,
                sequence=recorded.sequence,
                event_correlation=recorded.metadata.correlation,
            )

    def __repr__(self) -> str:
        return f"Connection({self.info.client_id} at {self.position}, live={self.is_live})"
