"""Eyes on the prices: judges every quote in every process, and triggers rules in one.

`see` and the market keep the judge up to date everywhere; what it hits is remembered until the log
says that the rule was triggered. The holder of the lease (`work`) has that said, so whoever takes
over says what its predecessor could not, and misses no price between. `keep` saves the past of
prices that rules on moves look back on, for processes that start later (`recall`).
"""

import asyncio
import random
from datetime import datetime

import msgspec
import structlog

from tapewire.events import CODEC
from tapewire.log import EVERYBODY, LatestValueStore, LogError, encode_token
from tapewire.log.backoff import Backoff, new_rng
from tapewire.log.quote_cache import QuoteCache
from tapewire_services.alerts.domain.armed_rules import ArmedRule
from tapewire_services.alerts.domain.price_rule_evaluator import PriceRuleEvaluator, PriceRuleHit
from tapewire_services.alerts.domain.rolling_extremes import ExtremesSnapshot
from tapewire_services.alerts.rule_trigger import RuleTrigger, TriggerCause

SAVE_INTERVAL_SECONDS = 5.0
"""What the memory of moves loses when all processes die, at the most."""

logger = structlog.get_logger("alerts.watching")


class PriceMonitor:
    """One process's judge of prices."""

    def __init__(
        self,
        quote_cache: QuoteCache,
        checkpoint_store: LatestValueStore,
        rule_trigger: RuleTrigger,
        rng: random.Random | None = None,
    ) -> None:
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
        """Judge what is quoted, and every quote to come."""
        self._quote_cache.add_listener(self._on_quote)
        for symbol in self._quote_cache.symbols():
            self._on_quote(symbol)

    def on_rule_changed(self, rule_id: str, armed: ArmedRule | None) -> None:
        """The log has news of a rule."""
        self._pending_hits.pop(rule_id, None)
        if armed is None:
            self._evaluator.disarm(rule_id)
        else:
            self._record_hits(self._evaluator.arm(armed))

    def on_percent_move_symbols(self, symbols: set[str]) -> None:
        """Rules, armed or not, look back on the past of `symbols`."""
        self._percent_move_symbols = symbols
        self._symbols_changed.set()

    def on_reset(self) -> None:
        """What the log said is void."""
        self._pending_hits.clear()
        self._evaluator.disarm_all()

    @property
    def pending_count(self) -> int:
        """Rules that were hit, of which the log does not say yet that they were triggered; and
        symbols whose past is not known yet."""
        return len(self._pending_hits) + len(self._percent_move_symbols - self._restored_symbols)

    def last_quote_times(self) -> dict[str, datetime]:
        """The time of the last quote that was judged, by symbol."""
        return self._evaluator.last_quote_times()

    async def save_extremes(self) -> None:
        """Keep what there was of prices now: only what was recalled before, so that a short memory
        never replaces a long one. Raises LogError."""
        async with self._save_lock:
            for symbol in self._percent_move_symbols & self._restored_symbols:
                data = CODEC.encode(self._evaluator.extremes_of(symbol).snapshot())
                if self._saved_extremes.get(symbol) != data:
                    await self._checkpoint_store.put(_extremes_key(symbol), data)
                    self._saved_extremes[symbol] = data

    async def run(self) -> None:
        """Trigger what was hit, and keep the past, until canceled: one process does."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._trigger_pending_hits())
            group.create_task(self._save_periodically())

    async def restore_extremes(self) -> None:
        """Learn the past that was kept, of each symbol that rules look back on, until canceled."""
        patience = Backoff(self._rng)
        while True:
            self._symbols_changed.clear()
            try:
                for symbol in self._percent_move_symbols - self._restored_symbols:
                    await self._load_extremes(symbol)
            except LogError as error:
                logger.warning("cannot recall prices", error=str(error))
                await patience.wait()
            else:
                patience.reset()
                await self._symbols_changed.wait()

    def _on_quote(self, symbol: str) -> None:
        quote = self._quote_cache.quote(symbol)
        if quote is not None:
            self._record_hits(self._evaluator.on_quote(quote))

    def _record_hits(self, hits: list[PriceRuleHit]) -> None:
        for hit in hits:
            self._pending_hits[hit.armed.rule.rule_id] = hit
        if hits:
            self._hit_recorded.set()

    async def _trigger_pending_hits(self) -> None:
        patience = Backoff(self._rng)
        while True:
            self._hit_recorded.clear()
            done = await asyncio.gather(
                *[self._trigger_hit(hit) for hit in [*self._pending_hits.values()]]
            )
            if not all(done):
                await patience.wait()
            else:
                patience.reset()
                if not self._pending_hits:
                    await self._hit_recorded.wait()

    async def _trigger_hit(self, hit: PriceRuleHit) -> bool:
        """Whether the log has it."""
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
            logger.warning("cannot trigger a rule now", rule=armed.rule.rule_id, error=str(error))
            return False
        if self._pending_hits.get(armed.rule.rule_id) is hit:
            del self._pending_hits[armed.rule.rule_id]
        return True

    async def _load_extremes(self, symbol: str) -> None:
        data = await self._checkpoint_store.get(_extremes_key(symbol))
        self._restored_symbols.add(symbol)
        if data is None:
            return
        try:
            self._record_hits(
                self._evaluator.merge_extremes(symbol, CODEC.decode(data, ExtremesSnapshot))
            )
        except (msgspec.DecodeError, ArithmeticError) as error:
            logger.warning("passes over the past", symbol=symbol, error=str(error))

    async def _save_periodically(self) -> None:
        while True:
            await asyncio.sleep(SAVE_INTERVAL_SECONDS)
            try:
                await self.save_extremes()
            except LogError as error:
                logger.warning("cannot keep the past", error=str(error))


def _extremes_key(symbol: str) -> str:
    return f"{EVERYBODY}.{encode_token(f'moves-{symbol}')}"
