"""What `tapewire top` shows: the figures of one moment, and the rates since the last one."""

from datetime import datetime

import msgspec

from tapewire.events import AgentStatusChanged
from tapewire.log.failed_event_store import FailedEvent
from tapewire.log.jetstream.journal_growth import JournalGrowth
from tapewire.log.jetstream.journal_record import JournalExtent


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """How far the subscriptions of a service are behind the log.

    `behind` has, by filter, the sequences between the last event that was handled and the last one
    that there is: 0 when all is handled, and at least the number of events that are not. `busy`
    counts the work under way.
    """

    busy: int
    behind: dict[str, int]

    @property
    def most_behind(self) -> int:
        """That of the subscription that is behind most."""
        return max(self.behind.values(), default=0)


class PlayedFeed(msgspec.Struct, frozen=True, kw_only=True):
    """The feed as the process that plays it states it."""

    name: str
    symbol_count: int
    has_ended: bool
    fault_count: int


class EdgeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one process of the edge. `everywhere` counts the connections of all processes.

    `closed` counts the streams that ended, by reason. `users` is None without an admin's session.
    """

    connections: int
    live: int
    everywhere: int
    user_count: int
    outbox_bytes: int
    repairs: int
    closed: dict[str, int]
    streams: dict[str, int]
    users: dict[str, int] | None


class Sample(msgspec.Struct, kw_only=True):
    """The figures of one moment. None: not known yet, or not any more."""

    taken_at: datetime
    agents: list[AgentStatusChanged] = []
    hold_reasons: list[str] = []
    lags: dict[str, Lag] = {}
    extent: JournalExtent | None = None
    growth: JournalGrowth | None = None
    quoted_at: datetime | None = None
    feed: PlayedFeed | None = None
    parked: list[FailedEvent] = []
    edge: EdgeFigures | None = None
    events_per_second: float | None = None
    orders_per_second: float | None = None
    quotes_per_second: float | None = None
    nats_problem: str | None = None
    edge_problem: str | None = None
    answered_at: datetime | None = None
    """When NATS last answered."""
