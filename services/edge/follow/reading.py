"""Reading the log for one connection: several filters, merged in the order of the log.

A user's own events and those that everybody may see are behind different filters, and each is read
for itself. What was read of all of them together is known only up to a horizon, the least that any
one is known to be complete to; nothing beyond it is passed on.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from services.edge.connection import Connection
from tapewire.log import EVERYBODY, EventLog, Page, Recorded, pattern

READ_EVENTS = 256
READ_BYTES = 256 << 10
"""A page of a replay, and so about what a replaying connection holds in memory."""


class Stretch(msgspec.Struct, frozen=True):
    """All events of the filters after a place and up to `horizon`, in order; `horizon` is that
    place itself when a replica lags. `epoch` and `first` are the log's after it was read."""

    events: Sequence[Recorded]
    horizon: int
    epoch: str
    first: int


class Reader:
    """Reads what `filters` take, `replays` at a time in all."""

    def __init__(self, log: EventLog, filters: Sequence[str], replays: asyncio.Semaphore) -> None:
        self._log = log
        self._filters = filters
        self._replays = replays

    async def lasts(self) -> list[int]:
        """The last sequence of each filter, from the leader. Raises Unavailable."""
        return [await self._log.last(filter_) for filter_ in self._filters]

    async def behind(self, after: int) -> int:
        """How many events come after `after`. Raises Unavailable."""
        pages = [await self._log.page(one, after=after, limit=1) for one in self._filters]
        return sum(len(page.events) + page.left for page in pages)

    async def stretch(self, after: int, upto: int, lasts: Sequence[int]) -> Stretch:
        """What comes after `after`, up to `upto` at the most. `lasts` were asked for when `upto`
        had been stored. Raises Unavailable."""
        horizon, events = upto, []
        async with self._replays:
            for filter_, last in zip(self._filters, lasts, strict=True):
                if last <= after:
                    continue
                page = await self._log.page(
                    filter_, after=after, limit=READ_EVENTS, max_bytes=READ_BYTES
                )
                horizon = min(horizon, _complete(page, after, upto, last))
                events += page.events
            bounds = await self._log.bounds()
        found = sorted((one for one in events if one.sequence <= horizon), key=_sequence)
        return Stretch(found, horizon, bounds.epoch, bounds.first)


def owners(connection: Connection) -> list[str]:
    """Whose events a connection is shown."""
    owner, interest = connection.opening.owner, connection.interest
    own = [owner] if owner is not None else []
    return [*own, EVERYBODY] if interest.shared else own


def filters(connection: Connection) -> list[str]:
    """Everything of the owner, whatever the topics, so that a position is one of the owner's; and
    of everybody's events those that are shown."""
    opening = connection.opening
    own = opening.owner is not None and bool(connection.interest.own or opening.feed.tags)
    shared = [pattern(owner=EVERYBODY, domain=one) for one in sorted(connection.interest.shared)]
    return [*([pattern(owner=opening.owner)] if own else []), *shared]


def _complete(page: Page, after: int, upto: int, last: int) -> int:
    """Up to where a page is known to hold everything of its filter."""
    end = page.events[-1].sequence if page.events else after
    return upto if end >= min(upto, last) else end


def _sequence(recorded: Recorded) -> int:
    return recorded.sequence
