"""The runner: works all active strategies, in the one process that holds its lease.

It follows the strategies' events, which say which strategies are active, and all order events, from
which `OrderEventConsumer` tells strategies what became of their orders; both from checkpoints in
VIEWS. The next holder of the lease rebuilds everything: commands that were begun are finished under
the same ids, so nothing happens twice; stop-losses continue from their checkpoints, and so do
decision-makers that missed no price. Start at `run_strategies`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from tapewire.events import Undecodable, UnknownType
from tapewire.log import BadSubject, LatestValueStore, LogError, RecordedEvent, Unavailable, pattern
from tapewire.log.backoff import Backoff
from tapewire.log.follower import follow
from tapewire.log.quote_cache import QuoteCache
from tapewire.runtime.contracts.progress import Progress
from tapewire_services.strategies.command_execution import WorkerDependencies
from tapewire_services.strategies.domain.active_strategies import ActiveStrategies
from tapewire_services.strategies.order_event_consumer import OrderEventConsumer
from tapewire_services.strategies.progress import StrategiesRunner
from tapewire_services.strategies.runner_checkpoint import RunnerCheckpoint, StrategyCheckpoint
from tapewire_services.strategies.worker_pool import WorkerPool

LEASE_NAME = "strategies-runner"
FILLS_CHECKPOINT_NAME = "strategies-fills"
SAVE_PAUSE_RATIO = 20.0
"""Pause before the next save, as a multiple of the time that capturing took: wide windows take
long to copy."""

logger = structlog.get_logger("strategies")

STRATEGIES_FILTER, ORDERS_FILTER = pattern(domain="strategies"), pattern(domain="orders")


async def run_strategies(
    dependencies: WorkerDependencies,
    checkpoint_store: LatestValueStore,
    quote_cache: QuoteCache,
    on_runner_started: Callable[[StrategiesRunner], None] = lambda _runner: None,
) -> None:
    """Work all active strategies until canceled. `on_runner_started` receives the runner."""
    log, rng = dependencies.log, dependencies.rng
    pool = WorkerPool(dependencies, quote_cache)
    runner = _Runner(dependencies, checkpoint_store, pool)
    on_runner_started(runner)
    places, make_fills = (
        runner.last_handled_sequences,
        lambda: OrderEventConsumer(dependencies.command_handler),
    )
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(
                follow(
                    log,
                    checkpoint_store,
                    STRATEGIES_FILTER,
                    LEASE_NAME,
                    runner.make_consumer,
                    rng,
                    places,
                )
            )
            group.create_task(
                follow(
                    log,
                    checkpoint_store,
                    ORDERS_FILTER,
                    FILLS_CHECKPOINT_NAME,
                    make_fills,
                    rng,
                    places,
                )
            )
            group.create_task(runner.save_checkpoints())
    finally:
        await pool.close()


class _Runner:
    """Follows the strategies' events and saves checkpoints."""

    def __init__(
        self,
        dependencies: WorkerDependencies,
        checkpoint_store: LatestValueStore,
        worker_pool: WorkerPool,
    ) -> None:
        self._dependencies = dependencies
        self._checkpoint_store = checkpoint_store
        self._worker_pool = worker_pool
        self._consumer: _StrategyEventConsumer | None = None
        self.last_handled_sequences: dict[str, int] = {}

    def make_consumer(self) -> "_StrategyEventConsumer":
        """Start from the beginning: no strategy is active until the log says so."""
        self._worker_pool.stop_all()
        self._consumer = _StrategyEventConsumer(
            self._dependencies, self._checkpoint_store, self._worker_pool
        )
        return self._consumer

    async def get_progress(self) -> Progress:
        """How far the runner has come. The checkpoints are saved before they are reported."""
        checkpoint = None if self._consumer is None else self._consumer.checkpoint
        if (
            checkpoint is None
            or not {STRATEGIES_FILTER, ORDERS_FILTER} <= self.last_handled_sequences.keys()
        ):
            raise Unavailable("the runner is still reading the strategies")
        await checkpoint.save(self._worker_pool.capture_checkpoints())
        unkept = not checkpoint.is_saved(self._worker_pool.capture_checkpoints())
        return Progress(
            busy=self._worker_pool.busy_count + unkept,
            taken=dict(self.last_handled_sequences),
            quotes=self._worker_pool.handled_quote_times(),
        )

    async def save_checkpoints(self) -> None:
        """Save checkpoints periodically until canceled."""
        checkpoint, clock, took = (
            RunnerCheckpoint(self._checkpoint_store, ""),
            asyncio.get_running_loop().time,
            0.0,
        )
        while True:
            await asyncio.sleep(max(checkpoint.save_interval_seconds(), took * SAVE_PAUSE_RATIO))
            if self._consumer is None or self._consumer.checkpoint is None:
                continue
            checkpoint, began = self._consumer.checkpoint, clock()
            known, took = self._worker_pool.capture_checkpoints(), clock() - began
            try:
                await checkpoint.save(known)
            except LogError as error:
                logger.warning("checkpoint.save_failed", error=str(error))


class _StrategyEventConsumer:
    """Consumes the strategies' events; starts workers once it has caught up with the log."""

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
        self.checkpoint: RunnerCheckpoint | None = None

    def restore_state(self, state: bytes) -> None:
        self._active_strategies = ActiveStrategies.decode(state)

    def serialize_state(self) -> bytes:
        return self._active_strategies.encode()

    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        for recorded in events:
            try:
                tracked = self._active_strategies.apply(recorded)
            except (UnknownType, Undecodable, BadSubject) as error:
                logger.error("event.skipped", sequence=recorded.sequence, error=str(error))
                continue
            if tracked is not None and self.checkpoint is not None:
                self._worker_pool.update(tracked)

    async def on_caught_up(self) -> None:
        """Start the workers of all active strategies, with their checkpoints."""
        backoff = Backoff(self._dependencies.rng)
        symbols = {tracked.strategy.symbol for tracked in self._active_strategies.get_all()}
        while True:
            try:
                checkpoint = RunnerCheckpoint(
                    self._checkpoint_store, (await self._dependencies.log.bounds()).epoch
                )
                found: Mapping[str, StrategyCheckpoint] = await checkpoint.load(symbols)
            except LogError as error:
                logger.warning("checkpoint.load_failed", error=str(error))
                await backoff.wait()
            else:
                break
        self.checkpoint = checkpoint
        for tracked in self._active_strategies.get_all():
            self._worker_pool.update(tracked, found.get(str(tracked.subject)))
        logger.info("runner.started", strategies=len(self._active_strategies.get_all()))
