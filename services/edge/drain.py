"""The end of a process that its clients hardly notice.

Nothing new is taken; then each stream is told, at a moment of its own, that it will be closed and
when. A client that understands opens its next connection, to another process, before it leaves this
one; any other is closed at that time and comes back by a `retry:` of its own. Telling and closing
are spread over the drain, and it is over as soon as nobody is left.

`Departures` says whose turn it is: pure, times come in. Start reading at `drain`.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from enum import Enum
from typing import Generic, Protocol, TypeVar

import structlog

from tapewire_services.edge.delivery.connection import CloseReason
from tapewire_services.edge.delivery.frames import render_retry
from tapewire_services.edge.delivery.hub import Hub
from tapewire_services.edge.http.streams import StreamHandler

MAX_NOTICE_SECONDS = 5.0
"""How long before its closing a stream is told: a new connection that is refused at first can be
tried for again a few times."""
NOTICE_SHARE = 0.5
"""At most this part of the drain is notice; the telling is spread over the rest."""
POLL_INTERVAL_SECONDS = 0.1
"""How soon it is noticed that somebody came late, or that nobody is left."""
RECONNECT_DELAY_RANGE_MS = (200, 2000)
"""The spread of the `retry:` that drained clients are given."""

T = TypeVar("T")

logger = structlog.get_logger("edge.drain")


class Listeners(Protocol):
    """What accepts connections."""

    def close_listeners(self) -> None:
        """Accept no more; streams and answers under way stay."""

    async def shutdown(self) -> None:
        """Return when the last connection is gone."""


class DrainAction(Enum):
    """What is to be done with a stream."""

    ANNOUNCE = "tell"
    CLOSE = "close"


class DrainSchedule(Generic[T]):
    """When each of a crowd is told and closed, in a drain of `seconds` that begins at `now`."""

    def __init__(
        self, clients: Iterable[T], drain_seconds: float, now: float, rng: random.Random
    ) -> None:
        self.notice_seconds = min(MAX_NOTICE_SECONDS, drain_seconds * NOTICE_SHARE)
        """Seconds from telling to closing."""
        self._ends_at = now + drain_seconds
        self._close_at: dict[T, float] = {}
        self._announce_at: dict[T, float] = {}
        shuffled = [*clients]
        rng.shuffle(shuffled)
        spread = drain_seconds - self.notice_seconds
        for place, one in enumerate(shuffled):
            # Each has a stretch of the drain, and a moment somewhere within it.
            told = now + spread * (place + rng.random()) / len(shuffled)
            self._announce_at[one] = told
            self._close_at[one] = told + self.notice_seconds

    def update_clients(self, present: Iterable[T], now: float) -> None:
        """Forget who left; who came late is told at once."""
        here = dict.fromkeys(present)
        for one in [one for one in self._close_at if one not in here]:
            del self._close_at[one]
            self._announce_at.pop(one, None)
        for one in [one for one in here if one not in self._close_at]:
            self._announce_at[one] = now
            self._close_at[one] = max(now, min(now + self.notice_seconds, self._ends_at))

    def due_actions(self, now: float) -> Iterator[tuple[T, DrainAction, float]]:
        """Whose turn it is, each turn once, with the seconds until it is closed. Nobody is told
        who is closed at once."""
        for one in [one for one, at in self._announce_at.items() if at <= now]:
            del self._announce_at[one]
            if self._close_at[one] > now:
                yield one, DrainAction.ANNOUNCE, self._close_at[one] - now
        for one in [one for one, at in self._close_at.items() if at <= now]:
            yield one, DrainAction.CLOSE, 0.0
            self._close_at[one] = float("inf")

    def seconds_until_next(self, now: float) -> float | None:
        """Seconds until the next turn; None when there is none left."""
        first = min([*self._announce_at.values(), *self._close_at.values()], default=float("inf"))
        return None if first == float("inf") else max(first - now, 0.0)


async def drain(
    listeners: Listeners,
    streams: StreamHandler,
    hub: Hub,
    drain_seconds: float,
    now: Callable[[], datetime],
) -> None:
    """Take nothing new, send everybody away over `seconds`, and wait for the rest."""
    clock = asyncio.get_running_loop().time
    streams.is_draining = True
    listeners.close_listeners()
    crowd = hub.connections()
    logger.info("drains", connections=len(crowd), seconds=drain_seconds)
    chance = random.Random(random.getrandbits(64))  # noqa: S311 - it spreads clients
    departures = DrainSchedule(crowd, drain_seconds, clock(), chance)
    # First the other processes: none may count a stream and its successor as two of a user.
    await streams.announce_departure()
    while hub.connections():
        departures.update_clients(hub.connections(), clock())
        for connection, turn, left in departures.due_actions(clock()):
            if turn is DrainAction.ANNOUNCE:
                hub.announce_draining(connection, left, now())
            else:
                hub.end(
                    connection,
                    CloseReason.DRAIN,
                    clock(),
                    render_retry(chance.randint(*RECONNECT_DELAY_RANGE_MS)),
                )
        rest = departures.seconds_until_next(clock())
        if rest is None:
            break
        await asyncio.sleep(min(rest, POLL_INTERVAL_SECONDS))
    await listeners.shutdown()
