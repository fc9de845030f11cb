"""The workers of the active strategies, and the delivery of quotes to those of each symbol."""

import asyncio
from collections import defaultdict
from datetime import datetime

import structlog

from tapewire.decimals import abbreviate
from tapewire.events import PriceUpdated, SplitExecuted, UserErased
from tapewire.log.quote_cache import QuoteCache
from tapewire.values import is_price
from tapewire_services.strategies.command_execution import WorkerDependencies
from tapewire_services.strategies.domain.active_strategies import TrackedStrategy
from tapewire_services.strategies.runner_checkpoint import StrategyCheckpoint
from tapewire_services.strategies.worker import StrategyWorker

logger = structlog.get_logger("strategies")


class WorkerPool:
    """Workers by the subject of their strategy."""

    def __init__(self, dependencies: WorkerDependencies, quote_cache: QuoteCache) -> None:
        self._dependencies = dependencies
        self._quote_cache = quote_cache
        self._workers: dict[str, tuple[StrategyWorker, list[asyncio.Task[None]]]] = {}
        self._subjects_by_symbol: defaultdict[str, set[str]] = defaultdict(set)
        self._stopping_tasks: set[asyncio.Task[None]] = set()
        self._remove_listener = quote_cache.add_listener(self._on_quote)

    async def close(self) -> None:
        """Stop all workers and wait until they have ended."""
        self._remove_listener()
        self.stop_all()
        await asyncio.gather(*self._stopping_tasks, return_exceptions=True)

    def stop_all(self) -> None:
        """Stop all workers."""
        for key in list(self._workers):
            self._stop_worker(key)

    def capture_checkpoints(self) -> list[tuple[str, str, StrategyCheckpoint]]:
        """What the log does not hold of each strategy: its symbol, subject and checkpoint."""
        return [
            (worker.tracked.strategy.symbol, key, worker.capture_checkpoint())
            for key, (worker, _) in self._workers.items()
        ]

    @property
    def busy_count(self) -> int:
        """Workers with work in progress or due now."""
        return sum(worker.is_busy for worker, _ in self._workers.values())

    def handled_quote_times(self) -> dict[str, datetime]:
        """The time of the newest quote, by symbol: workers receive a quote as it is cached."""
        return {
            symbol: quote.timestamp
            for symbol in self._quote_cache.symbols()
            if (quote := self._tradable_quote(symbol)) is not None
        }

    def update(
        self, tracked: TrackedStrategy, checkpoint: StrategyCheckpoint | None = None
    ) -> None:
        """Take over the newest version of a strategy: start its worker when it is active, stop it
        when it is not. `checkpoint` is for a worker that starts."""
        key = str(tracked.subject)
        if key not in self._workers:
            if tracked.is_active:
                self._start_worker(key, tracked, checkpoint)
            return
        worker, _ = self._workers[key]
        was_waiting = worker.tracked.pending_split is not None
        worker.update(tracked)
        if not worker.tracked.is_active:
            self._stop_worker(key)
        elif was_waiting and worker.tracked.pending_split is None:
            quote = self._tradable_quote(tracked.strategy.symbol)
            if quote is not None:
                worker.on_quote(quote)

    def forget_user(self, erasure: UserErased) -> None:
        """Stop the workers of the erased user, whatever later events they know: these events are
        removed, and may never be read."""
        erased_users = erasure.find_users(one.tracked.user for one, _ in self._workers.values())
        for key, (worker, _) in [*self._workers.items()]:
            if worker.tracked.user in erased_users:
                self._stop_worker(key)

    def add_split(self, split: SplitExecuted) -> None:
        """Hold back quotes of the symbol until there is one of the new shares."""
        self._quote_cache.add_split(split)
        for key in self._subjects_by_symbol.get(split.symbol, ()):
            self._workers[key][0].split_count = split.number

    def _start_worker(
        self, key: str, tracked: TrackedStrategy, checkpoint: StrategyCheckpoint | None
    ) -> None:
        worker = StrategyWorker(self._dependencies, tracked, checkpoint)
        worker.split_count = self._quote_cache.split_count(tracked.strategy.symbol)
        self._workers[key] = (worker, worker.start())
        self._subjects_by_symbol[tracked.strategy.symbol].add(key)
        quote = self._tradable_quote(tracked.strategy.symbol)
        if quote is not None:
            worker.on_quote(quote)

    def _stop_worker(self, key: str) -> None:
        worker, tasks = self._workers.pop(key)
        symbol = worker.tracked.strategy.symbol
        self._subjects_by_symbol[symbol].discard(key)
        if not self._subjects_by_symbol[symbol]:
            del self._subjects_by_symbol[symbol]
        for task in tasks:
            self._stopping_tasks.add(task)
            task.add_done_callback(self._stopping_tasks.discard)
            task.cancel()

    def _on_quote(self, symbol: str) -> None:
        keys = self._subjects_by_symbol.get(symbol)
        quote = self._tradable_quote(symbol) if keys else None
        if keys and quote is not None:
            for key in keys:
                self._workers[key][0].on_quote(quote)

    def _tradable_quote(self, symbol: str) -> PriceUpdated | None:
        """The newest quote, unless its price is out of bounds."""
        quote = self._quote_cache.quote(symbol)
        if quote is not None and not is_price(quote.price):
            logger.warning("quote.rejected", symbol=symbol, price=abbreviate(quote.price))
            return None
        return quote
