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

from tapewire.log import EventLog, LatestValueStore, RecordedEvent
from tapewire.runtime import Settings, telemetry
from tapewire_services.edge.cluster.presence import ConnectionTotals
from tapewire_services.edge.delivery.catch_up import CatchUpSubscriptions
from tapewire_services.edge.delivery.connection import CloseReason
from tapewire_services.edge.delivery.frames import AuthExpiredPayload, ConnectionLimitPayload
from tapewire_services.edge.delivery.hub import Hub
from tapewire_services.edge.delivery.live_value_sources import LiveValueSources
from tapewire_services.edge.delivery.snapshots import SnapshotReader
from tapewire_services.edge.delivery.stream_routes import LiveValue
from tapewire_services.edge.ingest.declared_values import DeclaredValueFeed
from tapewire_services.edge.ingest.global_values import GlobalValueFeed
from tapewire_services.edge.ingest.item_metrics import ItemMetrics
from tapewire_services.edge.ingest.log_tail import LogTail
from tapewire_services.edge.ingest.portfolios import PortfolioTracker
from tapewire_services.edge.ingest.quote_feed import QuoteFeed

logger = structlog.get_logger("edge.engine")


class Engine:
    """The parts, each under its name."""

    def __init__(
        self,
        *,
        log: EventLog,
        views: LatestValueStore,
        quotes: LatestValueStore,
        user_valuations: Callable[[str], LatestValueStore],
        declared_values: LatestValueStore,
        settings: Settings,
        now: Callable[[], datetime],
        seed: int | None = None,
    ) -> None:
        window, retry_ms = settings.flush_ms / 1000, settings.retry_ms
        chance = random.Random(seed)  # noqa: S311 - it spreads retries
        self._clock = asyncio.get_running_loop().time
        self._now = now
        self.totals: Callable[[], ConnectionTotals] = self._local_totals
        """Of all processes; until somebody knows better, of this one."""
        replays = asyncio.Semaphore(settings.replays_at_once)
        self.log_tail = LogTail(log, self._on_event, self._on_log_recreated, seed=seed)
        self.quote_feed = QuoteFeed(
            quotes, window, settings.busy_flush_ms / 1000, retry_ms=retry_ms
        )
        self.declared_values = DeclaredValueFeed(declared_values, window, retry_ms=retry_ms)
        self.portfolios = PortfolioTracker(
            log=log,
            views=views,
            user_valuations=user_valuations,
            log_tail=self.log_tail,
            quote_feed=self.quote_feed,
            now=now,
            window_seconds=window,
            rng=chance,
            retry_ms=retry_ms,
        )
        self.item_metrics = ItemMetrics(
            log=log,
            views=views,
            log_tail=self.log_tail,
            now=now,
            on_change=lambda: self.global_values.mark_changed(LiveValue.METRICS),
            rng=chance,
        )
        self.global_values = GlobalValueFeed(
            connection_totals=lambda: self.totals(),
            item_metrics=self.item_metrics.current_payload,
            now=now,
            window_seconds=window,
            retry_ms=retry_ms,
        )
        self.hub = Hub(
            keepalive_seconds=settings.keepalive_interval,
            write_seconds=settings.write_seconds,
            quiet_seconds=settings.quiet_seconds,
            retry_ms=retry_ms,
            pricing=self.portfolios,
        )
        self.catch_up_subscriptions = CatchUpSubscriptions(
            log=log,
            log_tail=self.log_tail,
            hub=self.hub,
            live_values=LiveValueSources(
                quote_feed=self.quote_feed,
                portfolios=self.portfolios,
                global_values=self.global_values,
                declared_values=self.declared_values,
                now=now,
            ),
            snapshots=SnapshotReader(
                log=log,
                views=views,
                log_tail=self.log_tail,
                hub=self.hub,
                pricing=self.portfolios,
                now=now,
                replay_slots=replays,
            ),
            replay_slots=replays,
            now=now,
            retry_ms=retry_ms,
            keepalive_ms=round(settings.keepalive_interval * 1000),
            replay_limit=settings.replay_limit,
        )

    def background_tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What is to run beside, by name."""
        return {
            "tape": self.log_tail.run(),
            "board": self.quote_feed.run(),
            "values": self.declared_values.run(),
            "tally": self.item_metrics.run(),
        }

    def close_session(self, session_id: str) -> None:
        """A session was revoked: its streams end."""
        for connection in self.hub.connections():
            if connection.info.session_id == session_id:
                told = AuthExpiredPayload(CloseReason.REVOKED.value)
                farewell = self.hub.render_control_frame(
                    connection, "auth:expired", told, self._now()
                )
                self.hub.end(connection, CloseReason.REVOKED, self._clock(), farewell)

    def open_session_ids(self) -> list[str]:
        """Those that have a stream here."""
        openings = (connection.info for connection in self.hub.connections())
        return [opening.session_id for opening in openings if opening.session_id is not None]

    def close_over_limit(self, client_id: str, limit: int) -> None:
        """A user has more than `most` connections, and this one is the oldest: it ends."""
        connection = self.hub.find_by_client(client_id)
        if connection is None:
            return
        # Of this connection, and not of the newer one whose opening may be the work in hand.
        logger.warning(
            "closes the oldest connection of a user",
            client=client_id,
            correlation=connection.info.correlation,
            most=limit,
        )
        told = ConnectionLimitPayload(CloseReason.LIMIT.value, limit)
        farewell = self.hub.render_control_frame(connection, "connection:limit", told, self._now())
        self.hub.end(connection, CloseReason.LIMIT, self._clock(), farewell)

    def _on_event(self, recorded: RecordedEvent) -> None:
        self.portfolios.apply(recorded)  # first: position events are told with what is held then
        if telemetry.is_tracing() and recorded.metadata.traceparent is not None:
            self._publish_traced(recorded)
        else:
            self.hub.publish(recorded)
        self.item_metrics.apply(recorded)

    def _publish_traced(self, recorded: RecordedEvent) -> None:
        """One span for all readers of an event, in the trace of what caused it: to the writes of
        those whose outbox was at rest; the others' follow within a flush window."""
        attributes = {"tapewire.sequence": recorded.sequence, "tapewire.subject": recorded.subject}
        with telemetry.span(
            "fan out", parent=recorded.metadata.traceparent, attributes=attributes
        ) as span:
            given = self.hub.publish(recorded)
            if span is not None:
                span.set_attribute("tapewire.receivers", given)

    def _on_log_recreated(self) -> None:
        self.portfolios.on_log_recreated()
        self.item_metrics.on_log_recreated()
        self.hub.on_log_recreated(self.log_tail.epoch)

    def _local_totals(self) -> ConnectionTotals:
        per_user: dict[str, int] = {}
        for connection in self.hub.connections():
            if connection.info.user_id is not None:
                user = connection.info.user_id
                per_user[user] = per_user.get(user, 0) + 1
        return ConnectionTotals(len(self.hub), len(per_user), per_user)
