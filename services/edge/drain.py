"""Stops a process without interrupting its clients.

The process accepts no new connections. Then each stream is notified, at a time of its own, when it
will be closed. A client that understands this opens its next connection, to another process, before
it leaves this one; any other client is closed at that time and reconnects after a `retry:` of its
own. Announcements and closings are spread over the drain, which ends early when no stream is left.

`DrainSchedule` decides when each client is notified and closed. It is pure: the time is an
argument. Start reading at `drain`.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from enum import Enum
from typing import Generic, Protocol, TypeVar

import structlog

from tapewire_services.edge.delivery.close_reason import CloseReason
from tapewire_services.edge.delivery.frames import render_retry
from tapewire_services.edge.delivery.hub import Hub
from tapewire_services.edge.http.streams import StreamHandler

MAX_NOTICE_SECONDS = 5.0
"""How long before its closing a stream is notified: long enough to retry a new connection that is
refused at first."""
NOTICE_SHARE = 0.5
"""Largest part of the drain that is notice; announcements are spread over the rest."""
POLL_INTERVAL_SECONDS = 0.1
"""How often late and departed connections are noticed."""
RECONNECT_DELAY_RANGE_MS = (200, 2000)
"""Range of the `retry:` that closed clients are given."""

T = TypeVar("T")

logger = structlog.get_logger("edge.drain")


class Listeners(Protocol):
    """The server's listening sockets."""

    def close_listeners(self) -> None:
        """Stop accepting connections; serve the open ones."""

    async def shutdown(self) -> None:
        """Return when the last connection is closed."""


class DrainAction(Enum):
    """What to do with a stream."""

    ANNOUNCE = "announce"
    CLOSE = "close"


class DrainSchedule(Generic[T]):
    """When each of `clients` is notified and closed, in a drain that starts at `now`. Seconds."""

    def __init__(
        self, clients: Iterable[T], drain_seconds: float, now: float, rng: random.Random
    ) -> None:
        self.notice_seconds = min(MAX_NOTICE_SECONDS, drain_seconds * NOTICE_SHARE)
        """Seconds from the announcement to the closing."""
        self._ends_at = now + drain_seconds
        self._close_at: dict[T, float] = {}
        self._announce_at: dict[T, float] = {}
        shuffled = [*clients]
        rng.shuffle(shuffled)
        spread = drain_seconds - self.notice_seconds
        for index, client in enumerate(shuffled):
            # Each client has an equal part of the drain, and a random time within it.
            announce_at = now + spread * (index + rng.random()) / len(shuffled)
            self._announce_at[client] = announce_at
            self._close_at[client] = announce_at + self.notice_seconds

    def update_clients(self, present: Iterable[T], now: float) -> None:
        """Drop clients that left, and announce to late ones at once."""
        remaining = dict.fromkeys(present)
        for client in [client for client in self._close_at if client not in remaining]:
            del self._close_at[client]
            self._announce_at.pop(client, None)
        for client in [client for client in remaining if client not in self._close_at]:
            self._announce_at[client] = now
            self._close_at[client] = max(now, min(now + self.notice_seconds, self._ends_at))

    def pop_due_actions(self, now: float) -> Iterator[tuple[T, DrainAction, float]]:
        """Yield each action that is due, once, with the seconds until the client is closed. A
        client that is closed at once gets no announcement."""
        for client in [client for client, at in self._announce_at.items() if at <= now]:
            del self._announce_at[client]
            if self._close_at[client] > now:
                yield client, DrainAction.ANNOUNCE, self._close_at[client] - now
        for client in [client for client, at in self._close_at.items() if at <= now]:
            yield client, DrainAction.CLOSE, 0.0
            self._close_at[client] = float("inf")

    def seconds_until_next(self, now: float) -> float | None:
        """Seconds until the next action; None when there is none left."""
        first = min([*self._announce_at.values(), *self._close_at.values()], default=float("inf"))
        return None if first == float("inf") else max(first - now, 0.0)


async def drain(
    listeners: Listeners,
    streams: StreamHandler,
    hub: Hub,
    drain_seconds: float,
    now: Callable[[], datetime],
) -> None:
    """Accept nothing new, close all streams within `drain_seconds`, and wait for the rest."""
    clock = asyncio.get_running_loop().time
    streams.start_draining()
    listeners.close_listeners()
    connections = hub.connections()
    logger.info("drain.started", connections=len(connections), seconds=drain_seconds)
    rng = random.Random(random.getrandbits(64))  # noqa: S311 - spreads clients
    schedule = DrainSchedule(connections, drain_seconds, clock(), rng)
    # Other processes are notified first: a stream and its successor must not count as two of a
    # user.
    await streams.announce_departure()
    while hub.connections():
        schedule.update_clients(hub.connections(), clock())
        for connection, action, seconds_left in schedule.pop_due_actions(clock()):
            if action is DrainAction.ANNOUNCE:
                hub.announce_draining(connection, seconds_left, now())
            else:
                retry = render_retry(rng.randint(*RECONNECT_DELAY_RANGE_MS))
                connection.close(CloseReason.DRAIN, clock(), retry)
        wait_seconds = schedule.seconds_until_next(clock())
        if wait_seconds is None:
            break
        await asyncio.sleep(min(wait_seconds, POLL_INTERVAL_SECONDS))
    await listeners.shutdown()
