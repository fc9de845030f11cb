"""The checkpoint of the runner: the state of active strategies that is not in the log.

Prices are not in the log. Without the best price so far, a trailing stop-loss that another process
takes over would start again from the current price and trigger too late; without its last prices, a
rule would warm up again. The runner saves both to VIEWS once a second, one value a symbol, so they
are at most a second old. The state of the protection is restored in any case. A rule continues from
its resume point only if no price was missed (`can_resume`), because a gap in its window would
mislead it. Start at `RunnerCheckpoint`.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
import structlog

from tapewire.events import CODEC, PriceUpdated
from tapewire.log import LatestValueStore
from tapewire.log.checkpoint import (
    Checkpoint,
    encode_checkpoint,
    read_checkpoint,
    shared_checkpoint_key,
    symbol_checkpoint_key,
)
from tapewire_services.strategies.domain.active_strategies import TrackedStrategy
from tapewire_services.strategies.domain.decision_throttling import PublishedDecision
from tapewire_services.strategies.domain.protection import ProtectionState

CHECKPOINT_NAME = "strategies-marks"
MIN_SAVE_INTERVAL_SECONDS = 1.0
CHECKPOINT_STRATEGIES_PER_SECOND = 2000
"""Strategies that may be saved per second; the interval between two saves grows with more."""
DIGEST_CHARACTERS = 16
MAX_VALUE_BYTES = 900_000
"""Limit of a value; a larger one is saved without resume points. NATS takes a megabyte."""

logger = structlog.get_logger("strategies")


class StrategyResumePoint(msgspec.Struct, frozen=True, rename="camel"):
    """The state of a strategy when the quote of `quoted_at`, and every earlier one, had been
    handled: the strategy itself, its protection, its last published decision, the state of its
    decision-maker as JSON text (None when it has none or cannot export it), and the digest of that
    quote, because several quotes may have one timestamp (None in an old checkpoint)."""

    quoted_at: datetime
    tracked: TrackedStrategy = msgspec.field(name="member")
    protection: ProtectionState = msgspec.field(name="guard")
    last_published: PublishedDecision | None = msgspec.field(name="told")
    decision_maker_state: str | None = msgspec.field(name="memory")
    quote_digest: str | None = None


class StrategyCheckpoint(msgspec.Struct, frozen=True, rename="camel"):
    """`protection` is the newest state; `resume_point` the last point at which every quote had been
    handled."""

    protection: ProtectionState = msgspec.field(default=ProtectionState(), name="guard")
    resume_point: StrategyResumePoint | None = msgspec.field(default=None, name="place")


def can_resume(
    resume_point: StrategyResumePoint, tracked: TrackedStrategy, quote: PriceUpdated
) -> bool:
    """Whether `tracked` can continue from `resume_point` without a gap: it was neither restarted
    nor given another rule since, and `quote` is the last one handled or its direct successor.

    A feed that says which quote a quote `follows` gives each a timestamp of its own. Where the two
    have one timestamp, they may not be neighbours.
    """
    if resume_point.tracked.rule_since != tracked.rule_since:
        return False
    if quote.timestamp == resume_point.quoted_at:
        return is_last_handled(resume_point, quote)
    return quote.follows == resume_point.quoted_at


def is_last_handled(resume_point: StrategyResumePoint, quote: PriceUpdated) -> bool:
    """Whether `quote` is the one that was handled last before the resume point."""
    if quote.timestamp != resume_point.quoted_at:
        return False
    return resume_point.quote_digest in (None, digest_quote(quote))


def digest_quote(quote: PriceUpdated) -> str:
    """A short text that tells `quote` from others with its timestamp, in every process."""
    return hashlib.sha256(CODEC.encode(quote)).hexdigest()[:DIGEST_CHARACTERS]


class RunnerCheckpoint:
    """Loads and saves the checkpoints of strategies in the log of `epoch`, by their subject."""

    def __init__(
        self, checkpoint_store: LatestValueStore, epoch: str, earlier_epochs: Sequence[str] = ()
    ) -> None:
        self._checkpoint_store = checkpoint_store
        self._epoch = epoch
        self._earlier_epochs = earlier_epochs
        self._saved_by_symbol: dict[str, dict[str, StrategyCheckpoint]] = {}
        self._save_lock = asyncio.Lock()

    async def load(self, symbols: Iterable[str]) -> Mapping[str, StrategyCheckpoint]:
        """What was last saved for the strategies of `symbols` in this log. Raises LogError."""
        found: dict[str, StrategyCheckpoint] = {}
        for one in await asyncio.gather(*[self._load_symbol(symbol) for symbol in set(symbols)]):
            found.update(one)
        return found

    async def save(self, checkpoints: Iterable[tuple[str, str, StrategyCheckpoint]]) -> None:
        """Save checkpoints, each with its symbol and the subject of its strategy. Symbols without
        a change are not written. Raises LogError."""
        async with self._save_lock:
            groups = _group_by_symbol(checkpoints)
            for symbol in {*groups, *self._saved_by_symbol}:
                group = groups.get(symbol, {})
                if self._saved_by_symbol.get(symbol) != group:
                    await self._checkpoint_store.put(
                        _checkpoint_key(symbol), self._encode(symbol, group)
                    )
                    self._saved_by_symbol[symbol] = group

    def is_saved(self, checkpoints: Iterable[tuple[str, str, StrategyCheckpoint]]) -> bool:
        """Whether all of `checkpoints` are saved."""
        return all(
            self._saved_by_symbol.get(symbol) == group
            for symbol, group in _group_by_symbol(checkpoints).items()
        )

    def save_interval_seconds(self) -> float:
        """Seconds to wait before the next save."""
        return max(
            MIN_SAVE_INTERVAL_SECONDS,
            sum(map(len, self._saved_by_symbol.values())) / CHECKPOINT_STRATEGIES_PER_SECOND,
        )

    async def _load_symbol(self, symbol: str) -> Mapping[str, StrategyCheckpoint]:
        store = self._checkpoint_store
        checkpoint = await read_checkpoint(store, _checkpoint_key(symbol))
        if checkpoint is None:
            earlier = shared_checkpoint_key(f"{CHECKPOINT_NAME}-{symbol}")
            checkpoint = await read_checkpoint(store, earlier)
        if checkpoint is None or checkpoint.epoch not in (self._epoch, *self._earlier_epochs):
            return {}
        try:
            return CODEC.decode(checkpoint.state, dict[str, StrategyCheckpoint])
        except msgspec.DecodeError as error:
            logger.warning("checkpoint.rejected", symbol=symbol, reason=str(error))
            return {}

    def _encode(self, symbol: str, checkpoints: dict[str, StrategyCheckpoint]) -> bytes:
        data = self._encode_state(checkpoints)
        if len(data) <= MAX_VALUE_BYTES:
            return data
        logger.warning("checkpoint.reduced", symbol=symbol, strategies=len(checkpoints))
        return self._encode_state(
            {subject: StrategyCheckpoint(one.protection) for subject, one in checkpoints.items()}
        )

    def _encode_state(self, checkpoints: dict[str, StrategyCheckpoint]) -> bytes:
        state = msgspec.Raw(CODEC.encode(checkpoints))
        return encode_checkpoint(Checkpoint(epoch=self._epoch, as_of=0, state=state))


def _group_by_symbol(
    checkpoints: Iterable[tuple[str, str, StrategyCheckpoint]],
) -> dict[str, dict[str, StrategyCheckpoint]]:
    """The checkpoints that hold anything."""
    found: defaultdict[str, dict[str, StrategyCheckpoint]] = defaultdict(dict)
    for symbol, subject, checkpoint in checkpoints:
        if checkpoint.resume_point is not None or checkpoint.protection.best_price is not None:
            found[symbol][subject] = checkpoint
    return found


def _checkpoint_key(symbol: str) -> str:
    return symbol_checkpoint_key(CHECKPOINT_NAME, symbol)
