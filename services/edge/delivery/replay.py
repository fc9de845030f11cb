"""Reading the log for one connection: several filters, merged in the order of the log.

A user's own events and those that everybody may see are behind different filters, and each is read
for itself. What was read of all of them together is known only up to a horizon, the least that any
one is known to be complete to; nothing beyond it is passed on.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from tapewire.log import EVERYBODY, EventLog, Page, RecordedEvent, pattern
from tapewire_services.edge.delivery.connection import Connection

REPLAY_PAGE_EVENTS = 256
REPLAY_PAGE_BYTES = 256 << 10
"""A page of a replay, and so about what a replaying connection holds in memory."""


class ReplayPage(msgspec.Struct, frozen=True):
    """All events of the filters after a place and up to `horizon`, in order; `horizon` is that
    place itself when a replica lags. `epoch` and `first` are the log's after it was read."""

    events: Sequence[RecordedEvent]
    horizon: int
    epoch: str
    first_sequence: int


class ReplayReader:
    """Reads what `filters` take, `replays` at a time in all."""

    def __init__(
        self, log: EventLog, filters: Sequence[str], replay_slots: asyncio.Semaphore
    ) -> None:
        self._log = log
        self._filters = filters
        self._replay_slots = replay_slots

    async def last_sequences(self) -> list[int]:
        """The last sequence of each filter, from the leader. Raises Unavailable."""
        return [await self._log.last_sequence(filter_) for filter_ in self._filters]

    async def count_events_after(self, after: int) -> int:
        """How many events come after `after`. Raises Unavailable."""
        pages = [await self._log.page(one, after=after, limit=1) for one in self._filters]
        return sum(len(page.events) + page.remaining for page in pages)

    async def read_page(
        self, after: int, up_to_sequence: int, last_sequences: Sequence[int]
    ) -> ReplayPage:
        """What comes after `after`, up to `upto` at the most. `lasts` were asked for when `upto`
        had been stored. Raises Unavailable."""
        horizon, events = up_to_sequence, []
        async with self._replay_slots:
            for filter_, last in zip(self._filters, last_sequences, strict=True):
                if last <= after:
                    continue
                page = await self._log.page(
                    filter_, after=after, limit=REPLAY_PAGE_EVENTS, max_bytes=REPLAY_PAGE_BYTES
                )
                horizon = min(horizon, _complete_up_to(page, after, up_to_sequence, last))
                events += page.events
            bounds = await self._log.bounds()
        found = sorted((one for one in events if one.sequence <= horizon), key=_sequence)
        return ReplayPage(found, horizon, bounds.epoch, bounds.first)


def followed_owners(connection: Connection) -> list[str]:
    """Whose events a connection is shown."""
    owner, interest = connection.info.owner, connection.interest
    own = [owner] if owner is not None else []
    return [*own, EVERYBODY] if interest.shared_domains else own


def subject_filters(connection: Connection) -> list[str]:
    """Everything of the owner, whatever the topics, so that a position is one of the owner's; and
    of everybody's events those that are shown."""
    opening = connection.info
    own = opening.owner is not None and bool(
        connection.interest.own_domains or opening.route.declared_event_tags
    )
    shared = [
        pattern(owner=EVERYBODY, domain=one) for one in sorted(connection.interest.shared_domains)
    ]
    return [*([pattern(owner=opening.owner)] if own else []), *shared]


def _complete_up_to(page: Page, after: int, up_to_sequence: int, last_sequence: int) -> int:
    """Up to where a page is known to hold everything of its filter."""
    end = page.events[-1].sequence if page.events else after
    return up_to_sequence if end >= min(up_to_sequence, last_sequence) else end


def _sequence(recorded: RecordedEvent) -> int:
    return recorded.sequence
