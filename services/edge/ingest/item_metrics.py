"""The metrics of all analysed items: folded from the tape, beginning with the view at its head."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime

import structlog

from tapewire.log import EVERYBODY, EventLog, LatestValueStore, LogError, RecordedEvent
from tapewire.log.backoff import Backoff
from tapewire.log.view_checkpoints import apply_event, load
from tapewire.views import MetricsView
from tapewire_services.edge.delivery.serializers.dashboard import MetricsPayload, metrics_view
from tapewire_services.edge.ingest.log_tail import LogTail

REFRESH_INTERVAL_SECONDS = 60.0
"""How often metrics are told although no item came: what is recent changes with the time."""

logger = structlog.get_logger("edge.tally")


class ItemMetrics:
    """Run it by `run`; tell it of every event by `take`. `on_change` hears of newer metrics."""

    def __init__(
        self,
        *,
        log: EventLog,
        views: LatestValueStore,
        log_tail: LogTail,
        now: Callable[[], datetime],
        on_change: Callable[[], None],
        rng: random.Random,
    ) -> None:
        self._log = log
        self._views = views
        self._log_tail = log_tail
        self._now = now
        self._on_change = on_change
        self._rng = rng
        self._view: MetricsView | None = None
        self._refresh_requested = asyncio.Event()

    async def run(self) -> None:
        """Know the metrics until cancelled; the log being made anew is told by `restart`."""
        await self._log_tail.ready.wait()
        while True:
            self._refresh_requested.clear()
            if self._view is None:
                await self._load_view()
            self._on_change()
            try:
                async with asyncio.timeout(REFRESH_INTERVAL_SECONDS):
                    await self._refresh_requested.wait()
            except TimeoutError:
                continue

    def current_payload(self) -> MetricsPayload | None:
        """As of now, None while they are not known."""
        return None if self._view is None else metrics_view(self._view.metrics(self._now()))

    def apply(self, recorded: RecordedEvent) -> None:
        """The tape's next event."""
        place = recorded.event_subject
        if place.owner == EVERYBODY and place.domain == MetricsView.domain and self._view:
            apply_event(self._view, recorded)
            self._on_change()

    def on_log_recreated(self) -> None:
        """The log was made anew: what was folded is void."""
        self._view = None
        self._refresh_requested.set()

    async def _load_view(self) -> None:
        patience = Backoff(self._rng)
        while True:
            bounds = self._log_tail.bounds
            try:
                view, _ = await load(self._log, self._views, MetricsView, EVERYBODY, bounds=bounds)
            except LogError as error:
                logger.info("cannot count items now", error=str(error))
                await patience.wait()
                continue
            if self._log_tail.epoch == bounds.epoch and self._log_tail.covers(bounds.last):
                break
        # In one step with what follows: the tape tells of everything later by `take`.
        for recorded in self._log_tail.events_after((EVERYBODY,), bounds.last):
            if recorded.event_subject.domain == MetricsView.domain:
                apply_event(view, recorded)
        self._view = view
