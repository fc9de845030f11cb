"""One open stream: what is known of it, where it is, and why it ends."""

import enum
from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec
import structlog

from services.edge.feeds import Feed, Interest
from services.edge.lanes import Outbox
from services.edge.selection import Selection
from tapewire.log import Recorded

logger = structlog.get_logger("edge.connection")


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


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a connection when it opens. `user` is who is connected, `owner` whose events
    are shown; `selection` narrows them. `until` ends the stream at a place of the log. `succeeds`:
    the client has another connection, and leaves that one when this one is said to be live."""

    client: str
    feed: Feed
    owner: str | None
    correlation: str
    interest: Interest
    user: str | None = None
    admin: bool = False
    session: str | None = None
    expires_at: datetime | None = None
    selection: Selection | None = None
    until: int | None = None
    succeeds: bool = False


class Connection:
    """One open stream.

    `position` is the sequence up to which every event of the owner has been written, put into the
    outbox or found to be none of this feed's; `told` the last sequence that the client got as an
    id. `live` says that the hub feeds the outbox.
    """

    __slots__ = (
        "_fresh_at",
        "_told_then",
        "abort",
        "beaten_at",
        "ended_at",
        "leaves",
        "live",
        "opening",
        "outbox",
        "position",
        "reason",
        "told",
        "urgent",
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
        self.leaves = False
        """Whether the client was told that this process stops."""
        self.position = 0
        self.told = 0
        self.written_at = self.beaten_at = now
        self.urgent: list[Recorded] = []
        """What must not wait, in the outbox."""
        self.writing_since: float | None = None
        self.reason: Reason | None = None
        self.ended_at = 0.0
        self._fresh_at = now
        self._told_then = 0

    @property
    def feed(self) -> Feed:
        return self.opening.feed

    @property
    def interest(self) -> Interest:
        return self.opening.interest

    def behind(self) -> None:
        """Leave live delivery: what the outbox holds is written, the rest is read from the log."""
        self.live = False
        self.outbox.nudge()

    def stale_seconds(self, now: float) -> float:
        """How long the client's id has stood still behind the position; to be asked regularly."""
        if not self.live or self.position <= self.told or self.told != self._told_then:
            self._fresh_at, self._told_then = now, self.told
        return now - self._fresh_at

    def take_urgent(self) -> list[Recorded]:
        """What of that which was just taken from the outbox must not wait."""
        taken, self.urgent = self.urgent, []
        return taken

    def log_urgent(self, written: Iterable[Recorded]) -> None:
        """Tell of what must not wait that it was written: by whichever task, often not the one
        that serves this connection, whose correlation id would be on the line by itself."""
        for recorded in written:
            logger.info(
                "an urgent event was written",
                client=self.opening.client,
                correlation=self.opening.correlation,
                sequence=recorded.sequence,
                event_correlation=recorded.meta.correlation,
            )

    def __repr__(self) -> str:
        return f"Connection({self.opening.client} at {self.position}, live={self.live})"
