"""What strategies at work know beyond the log, kept in VIEWS once a second, a value a symbol.

Prices are not in the log. Without the best price since it began, a trailing stop-loss that another
process takes over would begin again from the price then, and trigger too late; without the prices
it looks back on, a rule would warm up again. A mark that is a second old is at most a second's
prices behind: a stop-loss goes on from it all the same (`Mark.guard`), but a rule only where no
price is missing, for a window with a hole in it would mislead it (`Mark.place`, `continues`).
"""

import asyncio
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec
import structlog

from tapewire.events import CODEC, PriceUpdated
from tapewire.log import EVERYBODY, LatestValueStore, encode_token
from tapewire_services.strategies.domain.active_strategies import TrackedStrategy
from tapewire_services.strategies.domain.decision_throttling import PublishedDecision
from tapewire_services.strategies.domain.stop_loss import StopLossState

MIN_SAVE_INTERVAL_SECONDS = 1.0
CHECKPOINT_STRATEGIES_PER_SECOND = 2000
"""Marks that a second between two writes pays for; with more they get rarer."""
MAX_VALUE_BYTES = 900_000
"""Of a value; with more, only the guards are kept. NATS takes a megabyte."""
MAX_DECOMPRESSED_BYTES = 64 << 20
"""Bytes that a value may decompress to."""

logger = structlog.get_logger("strategies.marks")


class StrategyResumePoint(msgspec.Struct, frozen=True, rename="camel"):
    """Where a strategy stood when it had dealt with the quote of `quoted_at`, and all before: the
    strategy as it was then, its stop-loss, the last decision that was told, and what its
    decision-maker had learnt, a text of JSON (None: nothing, or it cannot say)."""

    quoted_at: datetime
    member: TrackedStrategy
    guard: StopLossState
    told: PublishedDecision | None
    memory: str | None


class StrategyCheckpoint(msgspec.Struct, frozen=True, rename="camel"):
    """`guard` is the newest, `place` the last one where all was dealt with."""

    guard: StopLossState = StopLossState()
    place: StrategyResumePoint | None = None


class _SymbolCheckpoint(msgspec.Struct, frozen=True, rename="camel"):
    epoch: str
    marks: dict[str, StrategyCheckpoint]


def can_resume(
    resume_point: StrategyResumePoint, tracked: TrackedStrategy, quote: PriceUpdated
) -> bool:
    """Whether `member` can go on from `place` as if nothing had happened: it was not started or
    given another rule since, and `quote` is the one dealt with last, or the very next."""
    return resume_point.member.begun == tracked.begun and resume_point.quoted_at in (
        quote.timestamp,
        quote.follows,
    )


class RunnerCheckpoint:
    """The marks of log `epoch`, by the subject of their strategy."""

    def __init__(self, checkpoint_store: LatestValueStore, epoch: str) -> None:
        self._checkpoint_store = checkpoint_store
        self._epoch = epoch
        self._saved_by_symbol: dict[str, dict[str, StrategyCheckpoint]] = {}
        self._save_lock = asyncio.Lock()

    async def load(self, symbols: Iterable[str]) -> Mapping[str, StrategyCheckpoint]:
        """What was saved last of strategies in `symbols`, in this log. Raises LogError."""
        marks: dict[str, StrategyCheckpoint] = {}
        for data in await asyncio.gather(
            *[self._checkpoint_store.get(_checkpoint_key(one)) for one in set(symbols)]
        ):
            if data is not None:
                marks.update(self._decode(data))
        return marks

    async def save(self, checkpoints: Iterable[tuple[str, str, StrategyCheckpoint]]) -> None:
        """Keep marks, each with its symbol and the subject of its strategy. What is kept already
        costs nothing. Raises LogError."""
        async with self._save_lock:
            for symbol, kept in _group_by_symbol(checkpoints).items():
                if self._saved_by_symbol.get(symbol) != kept:
                    await self._checkpoint_store.put(
                        _checkpoint_key(symbol), self._encode(symbol, kept)
                    )
                    self._saved_by_symbol[symbol] = kept

    def is_saved(self, checkpoints: Iterable[tuple[str, str, StrategyCheckpoint]]) -> bool:
        """Whether all of them are saved as they are."""
        return all(
            self._saved_by_symbol.get(symbol) == kept
            for symbol, kept in _group_by_symbol(checkpoints).items()
        )

    def save_interval_seconds(self) -> float:
        """Seconds until it is worth saving again."""
        return max(
            MIN_SAVE_INTERVAL_SECONDS,
            sum(map(len, self._saved_by_symbol.values())) / CHECKPOINT_STRATEGIES_PER_SECOND,
        )

    def _decode(self, data: bytes) -> Mapping[str, StrategyCheckpoint]:
        try:
            plain = zlib.decompressobj().decompress(data, MAX_DECOMPRESSED_BYTES)
            found = CODEC.decode(plain, _SymbolCheckpoint)
        except (zlib.error, msgspec.DecodeError) as error:
            logger.warning("passes over marks", error=str(error))
            return {}
        return found.marks if found.epoch == self._epoch else {}

    def _encode(self, symbol: str, checkpoints: dict[str, StrategyCheckpoint]) -> bytes:
        data = zlib.compress(CODEC.encode(_SymbolCheckpoint(self._epoch, checkpoints)), level=1)
        if len(data) <= MAX_VALUE_BYTES:
            return data
        logger.warning("keeps no places: too many", symbol=symbol, strategies=len(checkpoints))
        guards = {subject: StrategyCheckpoint(mark.guard) for subject, mark in checkpoints.items()}
        return zlib.compress(CODEC.encode(_SymbolCheckpoint(self._epoch, guards)), level=1)


def _group_by_symbol(
    checkpoints: Iterable[tuple[str, str, StrategyCheckpoint]],
) -> dict[str, dict[str, StrategyCheckpoint]]:
    """Those that say anything."""
    found: defaultdict[str, dict[str, StrategyCheckpoint]] = defaultdict(dict)
    for symbol, subject, mark in checkpoints:
        if mark.place is not None or mark.guard.best is not None:
            found[symbol][subject] = mark
    return found


def _checkpoint_key(symbol: str) -> str:
    return f"{EVERYBODY}.{encode_token(f'strategies-marks-{symbol}')}"
