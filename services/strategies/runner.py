"""The runner: works all active strategies, in the one process that holds its lease.

It follows the strategies' events, to know the active strategies, and all order events, from which
`OrderEventConsumer` updates strategies with the outcomes of their orders; both from checkpoints in
VIEWS. The next holder of the lease rebuilds everything: commands that were begun are finished under
the same ids, so nothing happens twice; stop-losses continue from their checkpoints, and so do
decision-makers that missed no price. Start at `StrategiesRunner`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

import structlog

from tapewire.events import SplitExecuted, Undecodable, UnknownType
from tapewire.log import BadSubject, LatestValueStore, LogError, RecordedEvent, pattern
from tapewire.log.backoff import retry
from tapewire.log.catch_up_subscription import CatchUpSubscription, EventConsumer
from tapewire.log.erasures import erasure_of
from tapewire.log.quote_cache import QuoteCache
from tapewire.log.splits import split_of
from tapewire.runtime.progress import ProgressReporter
from tapewire_services.strategies.command_execution import WorkerDependencies
from tapewire_services.strategies.domain.active_strategies import ActiveStrategies, TrackedStrategy
from tapewire_services.strategies.order_event_consumer import OrderEventConsumer
from tapewire_services.strategies.runner_checkpoint import (
    MIN_SAVE_INTERVAL_SECONDS,
    RunnerCheckpoint,
    StrategyCheckpoint,
)
from tapewire_services.strategies.worker_pool import WorkerPool

LEASE_NAME = "strategies-runner"
FILLS_CHECKPOINT_NAME = "strategies-fills"
SAVE_PAUSE_RATIO = 20.0
"""Pause before the next save, as a multiple of the time that capturing took: wide windows take
long to copy."""

logger = structlog.get_logger("strategies")

STRATEGIES_FILTER, ORDERS_FILTER = pattern(domain="strategies"), pattern(domain="orders")


class StrategiesRunner:
    """Works all active strategies. `run` it while holding the lease."""

    def __init__(
        self,
        dependencies: WorkerDependencies,
        checkpoint_store: LatestValueStore,
        quote_cache: QuoteCache,
    ) -> None:
        self._strategy_events = CatchUpSubscription(
            dependencies.log,
            checkpoint_store,
            name=LEASE_NAME,
            filter_=STRATEGIES_FILTER,
            make_consumer=lambda: _StrategyEventConsumer(
                dependencies, checkpoint_store, WorkerPool(dependencies, quote_cache)
            ),
            rng=dependencies.rng,
        )
        self._order_events = CatchUpSubscription(
            dependencies.log,
            checkpoint_store,
            name=FILLS_CHECKPOINT_NAME,
            filter_=ORDERS_FILTER,
            make_consumer=lambda: OrderEventConsumer(
                dependencies.command_handler, dependencies.log
            ),
            rng=dependencies.rng,
        )
        self.progress = ProgressReporter(
            [self._strategy_events, self._order_events],
            flush=lambda: self._strategy_events.consumer.save_checkpoints(),
            pending_count=lambda: self._strategy_events.consumer.pending_count(),
            quote_times=lambda: self._strategy_events.consumer.handled_quote_times(),
        )

    def active_strategies(self) -> list[TrackedStrategy]:
        """All active strategies. Raises Unavailable before they are known."""
        return self._strategy_events.consumer.active_strategies()

    async def run(self) -> None:
        """Work all active strategies until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._strategy_events.run())
            group.create_task(self._order_events.run())


class _StrategyEventConsumer(EventConsumer):
    """Consumes the strategies' events; starts workers once it has caught up with the log.

    The future `_checkpoint` is resolved when the workers are started. `save_checkpoints` and
    `pending_count` may be called from then on.
    """

    def __init__(
        self,
        dependencies: WorkerDependencies,
        checkpoint_store: LatestValueStore,
        worker_pool: WorkerPool,
    ) -> None:
        self._dependencies = dependencies
        self._checkpoint_store = checkpoint_store
        self._worker_pool = worker_pool
        self._active_strategies = ActiveStrategies()
        self._checkpoint: asyncio.Future[RunnerCheckpoint] = (
            asyncio.get_running_loop().create_future()
        )

    async def run(self) -> None:
        """Save checkpoints periodically; stop the workers at the end."""
        try:
            await self._save_periodically(await self._checkpoint)
        finally:
            await self._worker_pool.close()

    async def _save_periodically(self, checkpoint: RunnerCheckpoint) -> None:
        clock, seconds = asyncio.get_running_loop().time, MIN_SAVE_INTERVAL_SECONDS
        while True:
            await asyncio.sleep(seconds)
            began = clock()
            known, took = self._worker_pool.capture_checkpoints(), clock() - began
            try:
                await checkpoint.save(known)
            except LogError as error:
                logger.warning("checkpoint.save_failed", error=str(error))
            seconds = max(checkpoint.save_interval_seconds(), took * SAVE_PAUSE_RATIO)

    async def save_checkpoints(self) -> None:
        """Save what the log does not hold of the strategies. Raises LogError."""
        await self._checkpoint.result().save(self._worker_pool.capture_checkpoints())

    def active_strategies(self) -> list[TrackedStrategy]:
        """The active strategies as of the last event."""
        return self._active_strategies.get_all()

    def pending_count(self) -> int:
        """Busy workers, and one more if a checkpoint is not saved."""
        is_saved = self._checkpoint.result().is_saved(self._worker_pool.capture_checkpoints())
        return self._worker_pool.busy_count + (not is_saved)

    def handled_quote_times(self) -> Mapping[str, datetime]:
        """The time of the newest quote that the workers have handled, by symbol."""
        return self._worker_pool.handled_quote_times()

    def restore_state(self, state: bytes) -> None:
        self._active_strategies = ActiveStrategies.decode(state)

    def serialize_state(self) -> bytes:
        return self._active_strategies.encode()

    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        for recorded in events:
            erasure = erasure_of(recorded)
            if erasure is not None:
                self._active_strategies.forget_user(erasure)
                self._worker_pool.forget_user(erasure)
                continue
            split = split_of(recorded)
            if split is not None:
                self._begin_split(split)
                continue
            try:
                tracked = self._active_strategies.apply(recorded)
            except (UnknownType, Undecodable, BadSubject) as error:
                logger.error("event.skipped", sequence=recorded.sequence, error=str(error))
                continue
            if tracked is not None and self._checkpoint.done():
                self._worker_pool.update(tracked)

    def _begin_split(self, split: SplitExecuted) -> None:
        marked = self._active_strategies.begin_split(split)
        if self._checkpoint.done():
            self._worker_pool.add_split(split)
            for tracked in marked:
                self._worker_pool.update(tracked)

    async def on_caught_up(self) -> None:
        """Start the workers of all active strategies, with their checkpoints."""
        symbols = {tracked.strategy.symbol for tracked in self._active_strategies.get_all()}

        async def load() -> tuple[RunnerCheckpoint, Mapping[str, StrategyCheckpoint]]:
            bounds = await self._dependencies.log.bounds()
            checkpoint = RunnerCheckpoint(
                self._checkpoint_store, bounds.epoch, [epoch for epoch, _ in bounds.earlier]
            )
            return checkpoint, await checkpoint.load(symbols)

        checkpoint, found = await retry(
            load, self._dependencies.rng, logger, "checkpoint.load_failed"
        )
        for tracked in self._active_strategies.get_all():
            self._worker_pool.update(tracked, found.get(str(tracked.subject)))
        self._checkpoint.set_result(checkpoint)
        logger.info("runner.started", strategies=len(self._active_strategies.get_all()))
