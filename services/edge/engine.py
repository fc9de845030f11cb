"""What an edge process serves streams with, put together: over any log and values, without sockets.

`__main__` gives it NATS; the simulation gives it memory. Spawn what `work` names, and wait for
`tape.ready` before anybody connects.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

import structlog

from services.edge.connection import Reason
from services.edge.feeds import Lane
from services.edge.follow import (
    Along,
    Board,
    Counts,
    Followers,
    Portfolios,
    Snapshots,
    Tally,
    Tape,
    ValueBoard,
)
from services.edge.frames import AuthExpired, Limited
from services.edge.hub import Hub
from services.edge.roster import Totals
from tapewire.log import EventLog, Recorded, Values
from tapewire.runtime import Settings, telemetry

logger = structlog.get_logger("edge.engine")


class Engine:
    """The parts, each under its name."""

    def __init__(
        self,
        *,
        log: EventLog,
        views: Values,
        market: Values,
        valuations: Callable[[str], Values],
        own_values: Values,
        settings: Settings,
        now: Callable[[], datetime],
        seed: int | None = None,
    ) -> None:
        window, retry_ms = settings.flush_ms / 1000, settings.retry_ms
        chance = random.Random(seed)  # noqa: S311 - it spreads retries
        self._clock = asyncio.get_running_loop().time
        self._now = now
        self.totals: Callable[[], Totals] = self._own_totals
        """Of all processes; until somebody knows better, of this one."""
        replays = asyncio.Semaphore(settings.replays_at_once)
        self.tape = Tape(log, self._happened, self._restarted, seed=seed)
        self.board = Board(market, window, settings.busy_flush_ms / 1000, retry_ms=retry_ms)
        self.values = ValueBoard(own_values, window, retry_ms=retry_ms)
        self.portfolios = Portfolios(
            log=log,
            views=views,
            valuations=valuations,
            tape=self.tape,
            board=self.board,
            now=now,
            window_seconds=window,
            chance=chance,
            retry_ms=retry_ms,
        )
        self.tally = Tally(
            log=log,
            views=views,
            tape=self.tape,
            now=now,
            on_change=lambda: self.counts.changed(Lane.METRICS),
            chance=chance,
        )
        self.counts = Counts(
            totals=lambda: self.totals(),
            metrics=self.tally.metrics,
            now=now,
            window_seconds=window,
            retry_ms=retry_ms,
        )
        self.hub = Hub(
            keepalive_seconds=settings.keepalive_interval,
            write_seconds=settings.write_seconds,
            quiet_seconds=settings.quiet_seconds,
            retry_ms=retry_ms,
            scene=self.portfolios,
        )
        self.followers = Followers(
            log=log,
            tape=self.tape,
            hub=self.hub,
            along=Along(
                board=self.board,
                portfolios=self.portfolios,
                counts=self.counts,
                values=self.values,
                now=now,
            ),
            snapshots=Snapshots(
                log=log,
                views=views,
                tape=self.tape,
                hub=self.hub,
                scene=self.portfolios,
                now=now,
                replays=replays,
            ),
            replays=replays,
            now=now,
            retry_ms=retry_ms,
            keepalive_ms=round(settings.keepalive_interval * 1000),
            replay_limit=settings.replay_limit,
        )

    def work(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What is to run beside, by name."""
        return {
            "tape": self.tape.run(),
            "board": self.board.run(),
            "values": self.values.run(),
            "tally": self.tally.run(),
        }

    def revoked(self, session: str) -> None:
        """A session was revoked: its streams end."""
        for connection in self.hub.connections():
            if connection.opening.session == session:
                told = AuthExpired(Reason.REVOKED.value)
                farewell = self.hub.words(connection, "auth:expired", told, self._now())
                self.hub.end(connection, Reason.REVOKED, self._clock(), farewell)

    def sessions(self) -> list[str]:
        """Those that have a stream here."""
        openings = (connection.opening for connection in self.hub.connections())
        return [opening.session for opening in openings if opening.session is not None]

    def crowded(self, client: str, most: int) -> None:
        """A user has more than `most` connections, and this one is the oldest: it ends."""
        connection = self.hub.of_client(client)
        if connection is None:
            return
        # Of this connection, and not of the newer one whose opening may be the work in hand.
        logger.warning(
            "closes the oldest connection of a user",
            client=client,
            correlation=connection.opening.correlation,
            most=most,
        )
        told = Limited(Reason.LIMIT.value, most)
        farewell = self.hub.words(connection, "connection:limit", told, self._now())
        self.hub.end(connection, Reason.LIMIT, self._clock(), farewell)

    def _happened(self, recorded: Recorded) -> None:
        self.portfolios.take(recorded)  # first: position events are told with what is held then
        if telemetry.tracing() and recorded.meta.traceparent is not None:
            self._publish_traced(recorded)
        else:
            self.hub.publish(recorded)
        self.tally.take(recorded)

    def _publish_traced(self, recorded: Recorded) -> None:
        """One span for all readers of an event, in the trace of what caused it: to the writes of
        those whose outbox was at rest; the others' follow within a flush window."""
        attributes = {"tapewire.sequence": recorded.sequence, "tapewire.subject": recorded.subject}
        with telemetry.span(
            "fan out", parent=recorded.meta.traceparent, attributes=attributes
        ) as span:
            given = self.hub.publish(recorded)
            if span is not None:
                span.set_attribute("tapewire.receivers", given)

    def _restarted(self) -> None:
        self.portfolios.restart()
        self.tally.restart()
        self.hub.restart(self.tape.epoch)

    def _own_totals(self) -> Totals:
        per_user: dict[str, int] = {}
        for connection in self.hub.connections():
            if connection.opening.user is not None:
                user = connection.opening.user
                per_user[user] = per_user.get(user, 0) + 1
        return Totals(len(self.hub), len(per_user), per_user)
