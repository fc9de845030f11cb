"""Who is connected, who wants what, and why a connection ends. No HTTP, no NATS.

The hub hands each event of the tape to the live connections of its owner: the frame is made once a
dialect, and put into each outbox. A connection whose outbox is full leaves live delivery and reads
the log from its own position (`Connection.behind`); `follow` brings it back. A tick looks for idle
connections, overdue writes and sessions that ended.
"""

import enum
from collections.abc import Callable
from datetime import datetime

import msgspec
import structlog

from services.edge.cursor import Cursor
from services.edge.feeds import Feed
from services.edge.frames import CHECKPOINT, KEEPALIVE, RETRY_MS, Encoder, frame
from services.edge.lanes import Outbox
from tapewire.events import Delivery
from tapewire.log import Recorded

QUIET_SECONDS = 300.0
"""A connection without one successful write for so long is closed."""
FAREWELL_SECONDS = 1.5
"""How long a connection that was told to end may take to write its last bytes."""

logger = structlog.get_logger("edge.hub")


class Reason(enum.Enum):
    """Why a connection ended; the value is what logs and counters say."""

    GONE = "gone"
    """The peer left. It comes back by itself, with its last id."""
    SLOW = "slow"
    """It did not take a write in time. It resumes by id when it comes back."""
    EXPIRED = "expired"
    """Its session came to its end: sign in again."""
    REVOKED = "revoked"
    """Its session was revoked: sign in again."""
    DRAIN = "drain"
    """This process stops: connect again, to another one."""
    QUIET = "quiet"
    """Nothing could be written for minutes."""
    FAILED = "failed"
    """A fault of ours; connect again."""


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a connection when it opens."""

    client: str
    feed: Feed
    owner: str | None
    correlation: str
    session: str | None = None
    expires_at: datetime | None = None


class Connection:
    """One open stream.

    `position` is the sequence up to which every event of the owner has been written, put into the
    outbox or found to be none of this feed's; `told` the last sequence that the client got as an
    id. `live` says that the hub feeds the outbox.
    """

    __slots__ = (
        "abort",
        "ended_at",
        "live",
        "opening",
        "outbox",
        "position",
        "reason",
        "told",
        "writing_since",
        "written_at",
    )

    def __init__(
        self, opening: Opening, outbox: Outbox, now: float, abort: Callable[[], None]
    ) -> None:
        self.opening = opening
        self.outbox = outbox
        self.abort = abort
        self.live = False
        self.position = 0
        self.told = 0
        self.written_at = now
        self.writing_since: float | None = None
        self.reason: Reason | None = None
        self.ended_at = 0.0

    @property
    def feed(self) -> Feed:
        return self.opening.feed

    def behind(self) -> None:
        """Leave live delivery: what the outbox holds is written, the rest is read from the log."""
        self.live = False
        self.outbox.nudge()

    def __repr__(self) -> str:
        return f"Connection({self.opening.client} at {self.position}, live={self.live})"


class Hub:
    """All connections of a process."""

    def __init__(
        self, *, keepalive_seconds: float, write_seconds: float, retry_ms: int = RETRY_MS
    ) -> None:
        self._keepalive = keepalive_seconds
        self._write_seconds = write_seconds
        # Ordered: whoever came first is served first, and a simulation plays the same twice.
        self._all: dict[Connection, None] = {}
        self._of_owner: dict[str, dict[Connection, None]] = {}
        self._retry_ms = retry_ms
        self._encoder = Encoder(_unreadable, retry_ms)
        self.epoch = ""
        self.closed: dict[Reason, int] = dict.fromkeys(Reason, 0)

    def __len__(self) -> int:
        return len(self._all)

    def connections(self) -> tuple[Connection, ...]:
        """Everybody, as of now."""
        return tuple(self._all)

    def add(self, connection: Connection) -> None:
        """Watch over `connection` until `remove`."""
        self._all[connection] = None
        if connection.opening.owner is not None:
            self._of_owner.setdefault(connection.opening.owner, {})[connection] = None

    def remove(self, connection: Connection) -> None:
        """Forget `connection`; its reason is counted."""
        self._all.pop(connection, None)
        owner = connection.opening.owner
        if owner is not None and owner in self._of_owner:
            self._of_owner[owner].pop(connection, None)
            if not self._of_owner[owner]:
                del self._of_owner[owner]
        self.closed[connection.reason or Reason.GONE] += 1

    def owners(self) -> int:
        """How many users have a connection here."""
        return len(self._of_owner)

    def encode(self, connection: Connection, recorded: Recorded) -> bytes | None:
        """The frame of `recorded` for `connection`, None when its feed does not show it."""
        feed = connection.feed
        if recorded.place.domain not in feed.domains and recorded.tag not in feed.tags:
            return None
        return self._encoder.encode(recorded, self.epoch, feed.dialect)

    def publish(self, recorded: Recorded) -> None:
        """Give an event of the tape to the live connections of its owner."""
        connections = self._of_owner.get(recorded.place.owner)
        if connections is None:
            return
        for connection in connections:
            if connection.live and recorded.sequence > connection.position:
                self.deliver(connection, recorded)

    def deliver(self, connection: Connection, recorded: Recorded) -> None:
        """Put `recorded` into the outbox of a live connection, or let it fall behind."""
        made = self.encode(connection, recorded)
        if made is not None:
            if not connection.outbox.put(made):
                connection.behind()
                return
            connection.told = recorded.sequence
        connection.position = recorded.sequence

    def restart(self, epoch: str) -> None:
        """The log was made anew as `epoch`: nobody's position can be taken for granted."""
        self.epoch = epoch
        for connection in self.connections():
            if connection.live:
                connection.behind()

    def end(
        self, connection: Connection, reason: Reason, now: float, farewell: bytes = b""
    ) -> None:
        """Let `connection` write what waits and `farewell`, and end."""
        if connection.reason is not None:
            return
        connection.reason = reason
        connection.ended_at = now
        connection.outbox.end(farewell)

    def cut(self, connection: Connection, reason: Reason) -> None:
        """End `connection` at once, whatever it still had to write."""
        if connection.reason is None:
            connection.reason = reason
        connection.abort()

    def tick(self, now: float, wall: datetime) -> None:
        """Look after everybody: idle frames, overdue writes, ended sessions. `now` is loop time in
        seconds, `wall` the time of day."""
        for connection in self.connections():
            self._look_after(connection, now, wall)

    def _look_after(self, connection: Connection, now: float, wall: datetime) -> None:
        since = connection.writing_since
        if connection.reason is not None:
            if now - connection.ended_at > FAREWELL_SECONDS:
                connection.abort()
        elif since is not None and now - since > self._write_seconds:
            self.cut(connection, Reason.SLOW)
        elif now - connection.written_at > QUIET_SECONDS:
            self.cut(connection, Reason.QUIET)
        elif connection.opening.expires_at is not None and wall >= connection.opening.expires_at:
            self.end(connection, Reason.EXPIRED, now, auth_expired(Reason.EXPIRED))
        elif since is None and now - connection.written_at >= self._keepalive:
            connection.outbox.put(self._idle(connection))

    def _idle(self, connection: Connection) -> bytes:
        """A checkpoint when the user's position moved on unseen, so that the client's id stays
        fresh; a comment otherwise."""
        lossless = connection.feed.delivery is Delivery.LOSSLESS
        if lossless and connection.live and connection.position > connection.told:
            connection.told = connection.position
            at = Cursor(self.epoch, connection.position)
            return frame(CHECKPOINT, {}, at, retry_ms=self._retry_ms)
        return KEEPALIVE


def auth_expired(reason: Reason) -> bytes:
    """The last event of a stream whose session ended."""
    return frame("auth:expired", {"reason": reason.value})


def _unreadable(recorded: Recorded, error: Exception) -> None:
    logger.warning("an event cannot be shown", sequence=recorded.sequence, error=str(error))
