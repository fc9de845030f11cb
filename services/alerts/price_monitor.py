"""Evaluates quotes against the armed price rules, and triggers the rules that they hit.

Every process evaluates the quotes of the symbols that rules watch, and decodes no others. A hit
stays pending until its rule is triggered in the log. The holder of the lease (`run`) triggers the
rules of pending hits, so a process that takes over triggers what its predecessor could not, and no
price in between is missed. Percent-move rules look back on the prices since their symbol was first
watched, by the times at which quotes arrived (`tapewire.log.arrival_time`). `save_extremes` stores
these prices, and `restore_extremes` loads them in a process that starts later.
"""

import asyncio
import random

import msgspec
import structlog

from tapewire.events import CODEC, SplitExecuted
from tapewire.log import LatestValueStore, LogError
from tapewire.log.arrival_time import ArrivalTime, steady_time
from tapewire.log.backoff import Backoff, new_rng
from tapewire.log.checkpoint import (
    read_checkpoint,
    shared_checkpoint_key,
    symbol_checkpoint_key,
    write_checkpoint,
)
from tapewire.log.quote_cache import QuoteCache
from tapewire_services.alerts.domain.armed_rules import ArmedRule
from tapewire_services.alerts.domain.price_rule_evaluator import PriceRuleEvaluator, PriceRuleHit
from tapewire_services.alerts.domain.rolling_extremes import ExtremesSnapshot
from tapewire_services.alerts.rule_trigger import RuleTrigger, TriggerCause

EXTREMES_CHECKPOINT_NAME = "moves"
SAVE_INTERVAL_SECONDS = 5.0
"""Time between two saves: the past prices that are lost at most when all processes die."""

logger = structlog.get_logger("alerts")


class PriceMonitor:
    """Evaluates quotes in one process; an `ArmedRuleObserver`."""

    def __init__(
        self,
        quote_cache: QuoteCache,
        checkpoint_store: LatestValueStore,
        rule_trigger: RuleTrigger,
        rng: random.Random | None = None,
        *,
        arrival_time: ArrivalTime | None = None,
    ) -> None:
        self._arrival_time = arrival_time or steady_time()
        self._quote_cache = quote_cache
        self._checkpoint_store = checkpoint_store
        self._rule_trigger = rule_trigger
        self._rng = rng or new_rng()
        self._evaluator = PriceRuleEvaluator()
        self._pending_hits: dict[str, PriceRuleHit] = {}
        self._hit_recorded = asyncio.Event()
        self._percent_move_symbols: set[str] = set()
        self._restored_symbols: set[str] = set()
        self._symbols_changed = asyncio.Event()
        self._saved_extremes: dict[str, bytes] = {}
        self._save_lock = asyncio.Lock()

    def start(self) -> None:
        """Evaluate every quote of a watched symbol from now on."""
        self._quote_cache.add_listener(self._on_quote)

    def on_rule_changed(self, rule_id: str, armed: ArmedRule | None) -> None:
        """Watch for `armed`, or no longer for the rule."""
        self._pending_hits.pop(rule_id, None)
        if armed is None:
            self._evaluator.disarm(rule_id)
        else:
            if armed.rule.symbol is not None and not self._watches(armed.rule.symbol):
                self._evaluate_newest(armed.rule.symbol)
            self._record_hits(self._evaluator.arm(armed))

    def on_percent_move_symbols(self, symbols: set[str]) -> None:
        """Set the symbols whose past prices percent-move rules, armed or not, look back on."""
        for symbol in symbols:
            if not self._watches(symbol):
                self._evaluate_newest(symbol)
        self._percent_move_symbols = symbols
        self._symbols_changed.set()

    def on_split(self, split: SplitExecuted) -> None:
        """Hold back the quote of the symbol, and forget its past prices."""
        self._quote_cache.add_split(split)
        self._evaluator.forget_prices(split.symbol)

    def on_reset(self) -> None:
        """Remove all rules and hits; the rules are read again."""
        self._pending_hits.clear()
        self._evaluator.disarm_all()

    @property
    def pending_count(self) -> int:
        """Hits whose rules are not triggered in the log yet, and symbols whose past prices are not
        loaded yet."""
        return len(self._pending_hits) + len(self._percent_move_symbols - self._restored_symbols)

    async def save_extremes(self) -> None:
        """Store the past prices of symbols whose stored ones were loaded before. Others would
        replace a longer past by a shorter one. Raises LogError."""
        async with self._save_lock:
            for symbol in self._percent_move_symbols & self._restored_symbols:
                state = CODEC.encode(self._evaluator.extremes_of(symbol).snapshot())
                if self._saved_extremes.get(symbol) != state:
                    key = _extremes_key(symbol)
                    await write_checkpoint(
                        self._checkpoint_store, key, epoch="", as_of=0, state=state
                    )
                    self._saved_extremes[symbol] = state

    async def run(self) -> None:
        """Trigger the rules of pending hits and save past prices until canceled; in one process."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._trigger_pending_hits())
            group.create_task(self._save_periodically())

    async def restore_extremes(self) -> None:
        """Load the stored past prices of each symbol that rules look back on, until canceled."""
        backoff = Backoff(self._rng)
        while True:
            self._symbols_changed.clear()
            try:
                for symbol in self._percent_move_symbols - self._restored_symbols:
                    await self._load_extremes(symbol)
            except LogError as error:
                logger.warning("extremes.load_failed", error=str(error))
                await backoff.wait()
            else:
                backoff.reset()
                await self._symbols_changed.wait()

    def _on_quote(self, symbol: str) -> None:
        if self._watches(symbol):
            self._evaluate_newest(symbol)

    def _watches(self, symbol: str) -> bool:
        return symbol in self._percent_move_symbols or self._evaluator.watches(symbol)

    def _evaluate_newest(self, symbol: str) -> None:
        quote = self._quote_cache.quote(symbol)
        if quote is not None:
            self._record_hits(self._evaluator.on_quote(quote, self._arrival_time(quote)))

    def _record_hits(self, hits: list[PriceRuleHit]) -> None:
        for hit in hits:
            self._pending_hits[hit.armed.rule.rule_id] = hit
        if hits:
            self._hit_recorded.set()

    async def _trigger_pending_hits(self) -> None:
        backoff = Backoff(self._rng)
        while True:
            self._hit_recorded.clear()
            results = await asyncio.gather(
                *[self._trigger_hit(hit) for hit in [*self._pending_hits.values()]]
            )
            if not all(results):
                await backoff.wait()
            else:
                backoff.reset()
                if not self._pending_hits:
                    await self._hit_recorded.wait()

    async def _trigger_hit(self, hit: PriceRuleHit) -> bool:
        """Trigger the rule of a hit. Return whether the log has stored it."""
        armed = hit.armed
        cause = TriggerCause(
            id=armed.arming,
            at=hit.at,
            symbol=armed.rule.symbol,
            message=hit.message,
            correlation=armed.correlation,
        )
        try:
            await self._rule_trigger.trigger(armed, cause)
        except LogError as error:
            logger.warning("rule.trigger_failed", rule_id=armed.rule.rule_id, error=str(error))
            return False
        if self._pending_hits.get(armed.rule.rule_id) is hit:
            del self._pending_hits[armed.rule.rule_id]
        return True

    async def _load_extremes(self, symbol: str) -> None:
        store = self._checkpoint_store
        checkpoint = await read_checkpoint(store, _extremes_key(symbol))
        if checkpoint is None:
            earlier = shared_checkpoint_key(f"{EXTREMES_CHECKPOINT_NAME}-{symbol}")
            checkpoint = await read_checkpoint(store, earlier)
        self._restored_symbols.add(symbol)
        if checkpoint is None:
            return
        try:
            snapshot = CODEC.decode(checkpoint.state, ExtremesSnapshot)
            self._record_hits(self._evaluator.merge_extremes(symbol, snapshot))
        except (msgspec.DecodeError, ArithmeticError) as error:
            logger.warning("extremes.rejected", symbol=symbol, reason=str(error))

    async def _save_periodically(self) -> None:
        while True:
            await asyncio.sleep(SAVE_INTERVAL_SECONDS)
            try:
                await self.save_extremes()
            except LogError as error:
                logger.warning("extremes.save_failed", error=str(error))


def _extremes_key(symbol: str) -> str:
    return symbol_checkpoint_key(EXTREMES_CHECKPOINT_NAME, symbol)
