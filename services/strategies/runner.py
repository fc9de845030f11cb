"""The runner, in one process of all: has every strategy that is at work worked.

It follows the strategies' events, which say who is at work, and all orders' events, from which
`Fills` tells strategies what became of theirs; each from a checkpoint in VIEWS. The next holder of
the lease rebuilds all that: what was begun is finished under the same names, so nothing is done
twice; stop-losses go on from their marks, and so do decision-makers where no price was missed.
Start at `run_strategies`, the work of the lease.
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
from tapewire_services.strategies.command_executor import WorkerDependencies
from tapewire_services.strategies.domain.active_strategies import ActiveStrategies
from tapewire_services.strategies.order_event_consumer import OrderEventConsumer
from tapewire_services.strategies.progress import StrategiesRunner
from tapewire_services.strategies.runner_checkpoint import RunnerCheckpoint, StrategyCheckpoint
from tapewire_services.strategies.worker_pool import WorkerPool

LEASE_NAME = "strategies-runner"
FILLS_CHECKPOINT_NAME = "strategies-fills"
SAVE_PAUSE_RATIO = 20.0
"""Seconds without a look at the marks for each that a look takes: wide windows are long to copy."""

logger = structlog.get_logger("strategies.runner")


STRATEGIES_FILTER, ORDERS_FILTER = pattern(domain="strategies"), pattern(domain="orders")


async def run_strategies(
    dependencies: WorkerDependencies,
    checkpoint_store: LatestValueStore,
    quote_cache: QuoteCache,
    on_runner_started: Callable[[StrategiesRunner], None] = lambda _runner: None,
) -> None:
    """Work all strategies until canceled. `begins` hears of the runner."""
    log, chance = dependencies.log, dependencies.rng
    floor = WorkerPool(dependencies, quote_cache)
    runner = _Runner(dependencies, checkpoint_store, floor)
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
                    chance,
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
                    chance,
                    places,
                )
            )
            group.create_task(runner.save_checkpoints())
    finally:
        await floor.close()


class _Runner:
    """Gives the follower a crew, a new one whenever the log was made anew."""

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
        """Everything from the start: nobody is at work until the log says so."""
        self._worker_pool.stop_all()
        self._consumer = _StrategyEventConsumer(
            self._dependencies, self._checkpoint_store, self._worker_pool
        )
        return self._consumer

    async def get_progress(self) -> Progress:
        """How far it is; what that says is dealt with is kept before it is said."""
        marks = None if self._consumer is None else self._consumer.checkpoint
        if (
            marks is None
            or not {STRATEGIES_FILTER, ORDERS_FILTER} <= self.last_handled_sequences.keys()
        ):
            raise Unavailable("the runner is still reading what there is to work")
        await marks.save(self._worker_pool.make_checkpoints())
        unkept = not marks.is_saved(self._worker_pool.make_checkpoints())
        return Progress(
            busy=self._worker_pool.busy_count + unkept,
            taken=dict(self.last_handled_sequences),
            quotes=self._worker_pool.handled_quote_times(),
        )

    async def save_checkpoints(self) -> None:
        """Save what is known beyond the log, until canceled."""
        marks, clock, took = (
            RunnerCheckpoint(self._checkpoint_store, ""),
            asyncio.get_running_loop().time,
            0.0,
        )
        while True:
            await asyncio.sleep(max(marks.save_interval_seconds(), took * SAVE_PAUSE_RATIO))
            if self._consumer is None or self._consumer.checkpoint is None:
                continue
            marks, began = self._consumer.checkpoint, clock()
            known, took = self._worker_pool.make_checkpoints(), clock() - began
            try:
                await marks.save(known)
            except LogError as error:
                logger.warning("cannot keep the marks", error=str(error))


class _StrategyEventConsumer:
    """The consumer of the strategies' events: has worked who is at work, once all is known."""

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
                member = self._active_strategies.apply(recorded)
            except (UnknownType, Undecodable, BadSubject) as error:
                logger.error("passes over an event", sequence=recorded.sequence, error=str(error))
                continue
            if member is not None and self.checkpoint is not None:
                self._worker_pool.update(member)

    async def on_caught_up(self) -> None:
        """Everybody to work, with what was known beyond the log."""
        patience = Backoff(self._dependencies.rng)
        symbols = {member.strategy.symbol for member in self._active_strategies.get_all()}
        while True:
            try:
                marks = RunnerCheckpoint(
                    self._checkpoint_store, (await self._dependencies.log.bounds()).epoch
                )
                found: Mapping[str, StrategyCheckpoint] = await marks.load(symbols)
            except LogError as error:
                logger.warning("cannot read the marks", error=str(error))
                await patience.wait()
            else:
                break
        self.checkpoint = marks
        for member in self._active_strategies.get_all():
            self._worker_pool.update(member, found.get(str(member.subject)))
        logger.info("works", strategies=len(self._active_strategies.get_all()))
