"""The metrics of all analysed items: folded from the tape, beginning with the view at its head."""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime

import structlog

from services.edge.dialects.dashboard import MetricsTold, metrics_view
from services.edge.follow.tape import Tape
from tapewire.log import EVERYBODY, EventLog, LogError, Recorded, Values
from tapewire.log.patience import Patience
from tapewire.log.views import fold, load
from tapewire.views import MetricsView

AGAIN_SECONDS = 60.0
"""How often metrics are told although no item came: what is recent changes with the time."""

logger = structlog.get_logger("edge.tally")


class Tally:
    """Run it by `run`; tell it of every event by `take`. `on_change` hears of newer metrics."""

    def __init__(
        self,
        *,
        log: EventLog,
        views: Values,
        tape: Tape,
        now: Callable[[], datetime],
        on_change: Callable[[], None],
        chance: random.Random,
    ) -> None:
        self._log = log
        self._views = views
        self._tape = tape
        self._now = now
        self._on_change = on_change
        self._chance = chance
        self._view: MetricsView | None = None
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Know the metrics until cancelled; the log being made anew is told by `restart`."""
        await self._tape.ready.wait()
        while True:
            self._wanted.clear()
            if self._view is None:
                await self._begin()
            self._on_change()
            try:
                async with asyncio.timeout(AGAIN_SECONDS):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    def metrics(self) -> MetricsTold | None:
        """As of now, None while they are not known."""
        return None if self._view is None else metrics_view(self._view.metrics(self._now()))

    def take(self, recorded: Recorded) -> None:
        """The tape's next event."""
        place = recorded.place
        if place.owner == EVERYBODY and place.domain == MetricsView.domain and self._view:
            fold(self._view, recorded)
            self._on_change()

    def restart(self) -> None:
        """The log was made anew: what was folded is void."""
        self._view = None
        self._wanted.set()

    async def _begin(self) -> None:
        patience = Patience(self._chance)
        while True:
            bounds = self._tape.bounds
            try:
                view, _ = await load(self._log, self._views, MetricsView, EVERYBODY, bounds=bounds)
            except LogError as error:
                logger.info("cannot count items now", error=str(error))
                await patience.wait()
                continue
            if self._tape.epoch == bounds.epoch and self._tape.covers(bounds.last):
                break
        # In one step with what follows: the tape tells of everything later by `take`.
        for recorded in self._tape.since((EVERYBODY,), bounds.last):
            if recorded.place.domain == MetricsView.domain:
                fold(view, recorded)
        self._view = view
