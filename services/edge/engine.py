"""The engine of an edge process: everything that streams need, built in the order of the flow.

ingest (log tail, quotes, portfolios, metrics, declared values) → delivery (hub, live values,
snapshots, catch-up). Run `background_tasks` beside it, and wait for `log_tail.ready` before the
first connection.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import Any

import structlog

from tapewire.events import ERASURE_DOMAINS
from tapewire.log import EventLog, LatestValueStore, RecordedEvent
from tapewire.log.erasures import erasure_of
from tapewire.log.last_quotes import read_last_quotes
from tapewire.runtime import Settings, telemetry
from tapewire.runtime.contracts.bars import GetNewestBars, NewestBars
from tapewire.views.account import AccountTerms
from tapewire_services.edge.cluster.admin_test_event import AdminTestEvent
from tapewire_services.edge.cluster.presence import ConnectionTotals, Presence
from tapewire_services.edge.delivery.close_reason import CloseReason
from tapewire_services.edge.delivery.conflation_registry import ConflationRegistry
from tapewire_services.edge.delivery.cursor import Cursor
from tapewire_services.edge.delivery.hub import Hub
from tapewire_services.edge.delivery.live_values import STALE_KEY_PREFIX, LiveValues
from tapewire_services.edge.delivery.snapshots import SnapshotReader
from tapewire_services.edge.delivery.stream_service import StreamService
from tapewire_services.edge.delivery.topics import LiveValue
from tapewire_services.edge.ingest.account_feed import AccountFeed
from tapewire_services.edge.ingest.agent_states import AgentStates
from tapewire_services.edge.ingest.bar_feed import BarFeed
from tapewire_services.edge.ingest.declared_values import DeclaredValueFeed
from tapewire_services.edge.ingest.item_metrics import ItemMetrics
from tapewire_services.edge.ingest.log_tail import LogTail
from tapewire_services.edge.ingest.portfolios import PortfolioTracker
from tapewire_services.edge.ingest.quote_feed import QuoteFeed

COUNTS_POLL_INTERVAL_SECONDS = 0.5
"""How often a change of the connection counts is noticed."""

PRICES_KEEPALIVE_SHARE = 1 / 4
"""Share of the time after which a quote is stale. A stream with prices is silent no longer than
that, so a client whose server stands still finds out before its prices are stale."""

logger = structlog.get_logger("edge.engine")


class Engine:
    """The parts of an edge process. `instance` is its name among the edge processes."""

    def __init__(
        self,
        *,
        instance: str,
        log: EventLog,
        views: LatestValueStore,
        quotes: LatestValueStore,
        user_valuations: Callable[[str], LatestValueStore],
        declared_values: LatestValueStore,
        last_quotes: LatestValueStore | None = None,
        probe: Callable[[], Awaitable[object]] | None = None,
        get_newest_bars: Callable[[GetNewestBars], Awaitable[NewestBars]],
        settings: Settings,
        now: Callable[[], datetime],
        seed: int | None = None,
    ) -> None:
        rng = random.Random(seed)  # noqa: S311 - jitter of retries
        self._clock = asyncio.get_running_loop().time
        self._now = now
        self._limit = settings.max_user_connections
        self._changes = ConflationRegistry(settings.flush_ms / 1000, settings.busy_flush_ms / 1000)
        changed = self._changes.mark_changed

        self.log_tail = LogTail(log, seed=seed)
        self.quote_feed = QuoteFeed(
            quotes,
            partial(changed, LiveValue.PRICES),
            rng,
            on_stale=self._mark_stale,
            on_fresh=self._mark_fresh,
            last_quotes=None if last_quotes is None else partial(read_last_quotes, last_quotes),
            probe=probe,
            stale_seconds=settings.stale_seconds,
        )
        self.declared_values = DeclaredValueFeed(
            declared_values, partial(changed, LiveValue.DECLARED), rng
        )
        self.bar_feed = BarFeed(get_newest_bars, partial(changed, LiveValue.BARS), rng)
        # Subscribed to the log tail before the hub: position events are serialized with the
        # positions after them.
        self.portfolios = PortfolioTracker(
            views=views,
            user_valuations=user_valuations,
            log_tail=self.log_tail,
            quote_feed=self.quote_feed,
            on_change=partial(changed, LiveValue.VALUATIONS),
            on_stale=lambda symbol, owner: changed(
                LiveValue.VALUATIONS, STALE_KEY_PREFIX + symbol, owner, is_urgent=True
            ),
            rng=rng,
        )
        self.accounts = AccountFeed(
            views=views,
            log_tail=self.log_tail,
            portfolios=self.portfolios,
            terms=AccountTerms.from_settings(settings.starting_balance, settings.max_leverage),
            on_change=lambda owner, is_urgent: changed(
                LiveValue.ACCOUNT, owner=owner, is_urgent=is_urgent
            ),
            rng=rng,
        )
        self.hub = Hub(
            keepalive_seconds=settings.keepalive_interval,
            write_seconds=settings.write_seconds,
            quiet_seconds=settings.quiet_seconds,
            # The hub's tick may be late by as much again.
            prices_keepalive_seconds=settings.stale_seconds * PRICES_KEEPALIVE_SHARE / 2,
            retry_ms=settings.retry_ms,
            pricing=self.portfolios,
        )
        self.log_tail.subscribe(
            self._publish_traced if telemetry.is_tracing() else self.hub.publish
        )
        self.log_tail.subscribe_recreated(lambda: self.hub.on_log_recreated(self.log_tail.epoch))
        self.log_tail.subscribe(self._forget_user, domain=ERASURE_DOMAINS[0])
        self.item_metrics = ItemMetrics(
            views=views,
            log_tail=self.log_tail,
            now=now,
            on_change=partial(changed, LiveValue.METRICS),
            rng=rng,
        )
        self.agent_states = AgentStates(
            views=views,
            log_tail=self.log_tail,
            on_change=partial(changed, LiveValue.AGENTS),
            rng=rng,
        )
        self.presence = Presence(instance, self._limit)

        replay_slots = asyncio.Semaphore(settings.replays_at_once)
        self.stream_service = StreamService(
            log=log,
            log_tail=self.log_tail,
            hub=self.hub,
            live_values=LiveValues(
                registry=self._changes,
                quote_feed=self.quote_feed,
                portfolios=self.portfolios,
                accounts=self.accounts,
                get_as_of=self._end_of_log,
                item_metrics=self.item_metrics,
                declared_values=self.declared_values,
                bar_feed=self.bar_feed,
                agent_states=self.agent_states,
                connection_counts=self.presence.totals,
                now=now,
                retry_ms=settings.retry_ms,
            ),
            snapshots=SnapshotReader(
                log=log,
                views=views,
                log_tail=self.log_tail,
                hub=self.hub,
                pricing=self.portfolios,
                now=now,
                replay_slots=replay_slots,
            ),
            replay_slots=replay_slots,
            now=now,
            retry_ms=settings.retry_ms,
            keepalive_ms=round(settings.keepalive_interval * 1000),
            prices_keepalive_ms=round(settings.stale_seconds * PRICES_KEEPALIVE_SHARE * 1000),
            replay_limit=settings.replay_limit,
            rng=rng,
        )

    def background_tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """The coroutines to run beside the engine, by name."""
        return {
            "log_tail": self.log_tail.run(),
            "quotes": self.quote_feed.run(),
            "freshness": self.quote_feed.watch_freshness(),
            "declared_values": self.declared_values.run(),
            "accounts": self.accounts.run(),
            "bars": self.bar_feed.run(),
            "item_metrics": self.item_metrics.run(),
            "agent_states": self.agent_states.run(),
            "connection_counts": self._watch_connection_counts(),
        }

    def totals(self) -> ConnectionTotals:
        """The connections of all edge processes."""
        return self.presence.totals()

    def broadcast_test_event(self, event: AdminTestEvent) -> None:
        """Send a test event to every connection of this process."""
        self.hub.broadcast("test", event, event.timestamp)

    def close_session(self, session_id: str) -> None:
        """Close the streams of a session that is gone: it was revoked, or has expired."""
        now, wall_time = self._clock(), self._now()
        for connection in self.hub.connections():
            if connection.info.session_id == session_id:
                expires_at = connection.info.expires_at
                has_expired = expires_at is not None and wall_time >= expires_at
                reason = CloseReason.EXPIRED if has_expired else CloseReason.REVOKED
                self.hub.close_session(connection, reason, now, wall_time)

    def open_session_ids(self) -> list[str]:
        """The sessions that have a stream on this process."""
        session_ids = (connection.info.session_id for connection in self.hub.connections())
        return [session_id for session_id in session_ids if session_id is not None]

    def close_over_limit(self, client_id: str) -> None:
        """Close the user's oldest connection because the user exceeds the limit."""
        connection = self.hub.find_by_client(client_id)
        if connection is None:
            return
        # The correlation id of the current task may be that of the connection that just opened.
        logger.warning(
            "connection.limit_exceeded",
            client_id=client_id,
            correlation_id=connection.info.correlation,
            limit=self._limit,
        )
        self.hub.close_over_limit(connection, self._limit, self._clock(), self._now())

    def _forget_user(self, recorded: RecordedEvent) -> None:
        """After an erasure, end the streams of the user, with all that is followed for them."""
        erasure = erasure_of(recorded)
        if erasure is None:
            return
        self.log_tail.forget_user(erasure)
        self.declared_values.forget_user(erasure)
        for connection in self.hub.connections():
            owner = connection.info.owner
            if owner is not None and erasure.concerns(owner):
                self.hub.close_session(connection, CloseReason.REVOKED, self._clock(), self._now())

    def _publish_traced(self, recorded: RecordedEvent) -> None:
        """Publish with one span for all receivers of an event, in the trace of its cause.

        The span covers the writes to idle outboxes; the others follow within a flush window.
        """
        if recorded.metadata.traceparent is None:
            self.hub.publish(recorded)
            return
        attributes = {"tapewire.sequence": recorded.sequence, "tapewire.subject": recorded.subject}
        with telemetry.span(
            "fan out", parent=recorded.metadata.traceparent, attributes=attributes
        ) as span:
            receivers = self.hub.publish(recorded)
            if span is not None:
                span.set_attribute("tapewire.receivers", receivers)

    def _end_of_log(self) -> str:
        """The event id of the end of the log tail."""
        return str(Cursor(self.log_tail.epoch, self.log_tail.last_sequence))

    def _mark_stale(self, symbol: str) -> None:
        self._changes.mark_changed(LiveValue.PRICES, symbol, is_urgent=True)
        self.portfolios.mark_stale(symbol)
        self.accounts.mark_stale(symbol)

    def _mark_fresh(self, symbol: str) -> None:
        self._changes.mark_changed(LiveValue.PRICES, symbol)
        self.portfolios.mark_fresh(symbol)

    async def _watch_connection_counts(self) -> None:
        version = self.presence.version
        while True:
            await asyncio.sleep(COUNTS_POLL_INTERVAL_SECONDS)
            if self.presence.version != version:
                version = self.presence.version
                self._changes.mark_changed(LiveValue.COUNTS)
