"""The metrics of all analysed items, folded from the log.

The view is loaded at the end of the log and kept current by the log tail's events. Start reading at
`ItemMetrics.run`.
"""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime

import structlog

from tapewire.events import Metrics
from tapewire.log import EVERYBODY, LatestValueStore, RecordedEvent
from tapewire.log.backoff import retry
from tapewire.log.view_checkpoints import apply_event
from tapewire.views import MetricsView
from tapewire_services.edge.ingest.log_tail import LogTail

REFRESH_INTERVAL_SECONDS = 60.0
"""How often metrics change although no item arrives: rates of the last hour depend on the time."""

logger = structlog.get_logger("edge.item_metrics")


class ItemMetrics:
    """Run it with `run`. `on_change` is called when the metrics changed."""

    def __init__(
        self,
        *,
        views: LatestValueStore,
        log_tail: LogTail,
        now: Callable[[], datetime],
        on_change: Callable[[], None],
        rng: random.Random,
    ) -> None:
        self._views = views
        self._log_tail = log_tail
        self._now = now
        self._on_change = on_change
        self._rng = rng
        self._view: MetricsView | None = None
        self._reload_requested = asyncio.Event()
        log_tail.subscribe(self._apply, domain=MetricsView.domain)
        log_tail.subscribe_recreated(self._on_log_recreated)

    async def run(self) -> None:
        """Load the view, again whenever the log was recreated, until cancelled."""
        await self._log_tail.ready.wait()
        while True:
            self._reload_requested.clear()
            if self._view is None:
                self._view = await retry(
                    lambda: self._log_tail.load_view(self._views, MetricsView, EVERYBODY),
                    self._rng,
                    logger,
                    "item_metrics.load_failed",
                )
            self._on_change()
            try:
                async with asyncio.timeout(REFRESH_INTERVAL_SECONDS):
                    await self._reload_requested.wait()
            except TimeoutError:
                continue

    def current(self) -> Metrics | None:
        """The metrics as of now; None until they are loaded."""
        return None if self._view is None else self._view.metrics(self._now())

    def _apply(self, recorded: RecordedEvent) -> None:
        if self._view is not None and recorded.event_subject.owner == EVERYBODY:
            apply_event(self._view, recorded)
            self._on_change()

    def _on_log_recreated(self) -> None:
        self._view = None
        self._reload_requested.set()
