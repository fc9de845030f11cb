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

from services.edge.connection import Reason
from services.edge.frames import retry
from services.edge.http.streams import Streams
from services.edge.hub import Hub

MOST_NOTICE_SECONDS = 5.0
"""How long before its closing a stream is told: a new connection that is refused at first can be
tried for again a few times."""
NOTICE_SHARE = 0.5
"""At most this part of the drain is notice; the telling is spread over the rest."""
LOOK_SECONDS = 0.1
"""How soon it is noticed that somebody came late, or that nobody is left."""
BACK_WITHIN_MS = (200, 2000)
"""The spread of the `retry:` that drained clients are given."""

T = TypeVar("T")

logger = structlog.get_logger("edge.drain")


class Listeners(Protocol):
    """What accepts connections."""

    def close_listeners(self) -> None:
        """Accept no more; streams and answers under way stay."""

    async def shutdown(self) -> None:
        """Return when the last connection is gone."""


class Turn(Enum):
    """What is to be done with a stream."""

    TELL = "tell"
    CLOSE = "close"


class Departures(Generic[T]):
    """When each of a crowd is told and closed, in a drain of `seconds` that begins at `now`."""

    def __init__(
        self, crowd: Iterable[T], seconds: float, now: float, chance: random.Random
    ) -> None:
        self.notice = min(MOST_NOTICE_SECONDS, seconds * NOTICE_SHARE)
        """Seconds from telling to closing."""
        self._end = now + seconds
        self._closing: dict[T, float] = {}
        self._telling: dict[T, float] = {}
        shuffled = [*crowd]
        chance.shuffle(shuffled)
        spread = seconds - self.notice
        for place, one in enumerate(shuffled):
            # Each has a stretch of the drain, and a moment somewhere within it.
            told = now + spread * (place + chance.random()) / len(shuffled)
            self._telling[one] = told
            self._closing[one] = told + self.notice

    def keep(self, present: Iterable[T], now: float) -> None:
        """Forget who left; who came late is told at once."""
        here = dict.fromkeys(present)
        for one in [one for one in self._closing if one not in here]:
            del self._closing[one]
            self._telling.pop(one, None)
        for one in [one for one in here if one not in self._closing]:
            self._telling[one] = now
            self._closing[one] = max(now, min(now + self.notice, self._end))

    def due(self, now: float) -> Iterator[tuple[T, Turn, float]]:
        """Whose turn it is, each turn once, with the seconds until it is closed. Nobody is told
        who is closed at once."""
        for one in [one for one, at in self._telling.items() if at <= now]:
            del self._telling[one]
            if self._closing[one] > now:
                yield one, Turn.TELL, self._closing[one] - now
        for one in [one for one, at in self._closing.items() if at <= now]:
            yield one, Turn.CLOSE, 0.0
            self._closing[one] = float("inf")

    def rest(self, now: float) -> float | None:
        """Seconds until the next turn; None when there is none left."""
        first = min([*self._telling.values(), *self._closing.values()], default=float("inf"))
        return None if first == float("inf") else max(first - now, 0.0)


async def drain(
    listeners: Listeners, streams: Streams, hub: Hub, seconds: float, now: Callable[[], datetime]
) -> None:
    """Take nothing new, send everybody away over `seconds`, and wait for the rest."""
    clock = asyncio.get_running_loop().time
    streams.draining = True
    listeners.close_listeners()
    crowd = hub.connections()
    logger.info("drains", connections=len(crowd), seconds=seconds)
    chance = random.Random(random.getrandbits(64))  # noqa: S311 - it spreads clients
    departures = Departures(crowd, seconds, clock(), chance)
    # First the other processes: none may count a stream and its successor as two of a user.
    await streams.tell_of_leaving()
    while hub.connections():
        departures.keep(hub.connections(), clock())
        for connection, turn, left in departures.due(clock()):
            if turn is Turn.TELL:
                hub.tell_of_leaving(connection, left, now())
            else:
                hub.end(connection, Reason.DRAIN, clock(), retry(chance.randint(*BACK_WITHIN_MS)))
        rest = departures.rest(clock())
        if rest is None:
            break
        await asyncio.sleep(min(rest, LOOK_SECONDS))
    await listeners.shutdown()
