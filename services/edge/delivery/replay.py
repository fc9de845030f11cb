"""Reads the log for one connection: several subject filters, merged in log order.

A user's own events and shared events match different filters, and each filter is read separately.
Together they are complete up to a horizon, the lowest sequence that any of them is complete to;
events beyond it are not passed on. Start reading at `ReplayReader.read_page`.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from tapewire.log import EVERYBODY, EventLog, Page, RecordedEvent, pattern
from tapewire_services.edge.delivery.connection import Connection

REPLAY_PAGE_EVENTS = 256
REPLAY_PAGE_BYTES = 256 << 10
"""Size of a page, which is about what a replaying connection holds in memory."""


class ReplayPage(msgspec.Struct, frozen=True):
    """All events of the filters after a sequence and up to `horizon`, in order.

    `horizon` is that sequence itself when a replica lags. `epoch` and `first_sequence` are those of
    the log after the read.
    """

    events: Sequence[RecordedEvent]
    horizon: int
    epoch: str
    first_sequence: int


class ReplayReader:
    """Reads the events of `filters`. `replay_slots` bounds the concurrent reads of a process."""

    def __init__(
        self, log: EventLog, filters: Sequence[str], replay_slots: asyncio.Semaphore
    ) -> None:
        self._log = log
        self._filters = filters
        self._replay_slots = replay_slots

    async def last_sequences(self) -> list[int]:
        """Ask the leader for the last sequence of each filter. Raises Unavailable."""
        return [await self._log.last_sequence(filter_) for filter_ in self._filters]

    async def count_events_after(self, after: int) -> int:
        """Count the events after `after`. Raises Unavailable."""
        pages = [await self._log.page(filter_, after=after, limit=1) for filter_ in self._filters]
        return sum(len(page.events) + page.remaining for page in pages)

    async def read_page(
        self, after: int, up_to_sequence: int, last_sequences: Sequence[int]
    ) -> ReplayPage:
        """Read what follows `after`, at most up to `up_to_sequence`.

        `last_sequences` were requested after `up_to_sequence` was stored. Raises Unavailable.
        """
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
        complete = sorted((one for one in events if one.sequence <= horizon), key=_sequence)
        return ReplayPage(complete, horizon, bounds.epoch, bounds.first)


def followed_owners(connection: Connection) -> list[str]:
    """The owners whose events a connection is shown."""
    owner, interest = connection.info.owner, connection.interest
    own = [owner] if owner is not None else []
    return [*own, EVERYBODY] if interest.shared_domains else own


def subject_filters(connection: Connection) -> list[str]:
    """The filters of a connection: all events of its owner, because a position refers to all of
    them, and the shared events of its topics."""
    owner, interest = connection.info.owner, connection.interest
    shows_own = bool(interest.own_domains or connection.route.declared_event_tags)
    own = [pattern(owner=owner)] if owner is not None and shows_own else []
    shared = [pattern(owner=EVERYBODY, domain=one) for one in sorted(interest.shared_domains)]
    return [*own, *shared]


def _complete_up_to(page: Page, after: int, up_to_sequence: int, last_sequence: int) -> int:
    """The sequence up to which a page has every event of its filter."""
    end = page.events[-1].sequence if page.events else after
    return up_to_sequence if end >= min(up_to_sequence, last_sequence) else end


def _sequence(recorded: RecordedEvent) -> int:
    return recorded.sequence
