"""Applies trades in the order of the log, in the one process that holds the lease.

A catch-up subscription reads all trades, their corrections, and splits. `TradeConsumer` stores what
they make of the positions and keeps the valuer up to date. The checkpoint holds every open position
as the log has it, so the next holder of the lease reads only the trades since. Without a checkpoint
(it may outgrow what the server accepts) all trades are applied again, which changes nothing. Start
at `subscribe_to_trades`.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from tapewire.events import CODEC, Position
from tapewire.log import EventLog, LatestValueStore, RecordedEvent, Versioned, pattern
from tapewire.log.catch_up_subscription import CatchUpSubscription, EventConsumer
from tapewire.log.erasures import split_at_erasures
from tapewire.log.quote_cache import QuoteCache
from tapewire.log.splits import split_of
from tapewire_services.positions.domain.position import PositionKey, TradedState
from tapewire_services.positions.equity_sampler import EquitySampler
from tapewire_services.positions.position_repository import PositionRepository
from tapewire_services.positions.position_valuer import PositionValuer

LEASE = "positions"
TRADES_FILTER = pattern(domain="trades")
CHECKPOINT_NAME = "positions"


def subscribe_to_trades(
    log: EventLog,
    checkpoint_store: LatestValueStore,
    valuation_store: LatestValueStore,
    quote_cache: QuoteCache,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    rng: random.Random | None = None,
    make_sampler: Callable[[], EquitySampler] | None = None,
) -> "CatchUpSubscription[TradeConsumer]":
    """The subscription that applies all trades to positions, values the open ones, and samples the
    users' equity if there is a `make_sampler`. Run it while holding the lease."""

    def make_consumer() -> TradeConsumer:
        repository = PositionRepository(log)
        return TradeConsumer(
            repository,
            PositionValuer(repository, valuation_store, quote_cache, clock, rng),
            None if make_sampler is None else make_sampler(),
        )

    return CatchUpSubscription(
        log,
        checkpoint_store,
        name=CHECKPOINT_NAME,
        filter_=TRADES_FILTER,
        make_consumer=make_consumer,
        rng=rng,
    )


class _PositionRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An open position in the checkpoint, with the sequences of its last trade and last event."""

    user: str
    symbol: str
    quantity: Decimal
    cost_basis: Decimal
    entry_price: Decimal | None
    realized_pnl: Decimal
    fees: Decimal
    timestamp: datetime
    trade_sequence: int
    sequence: int


class TradeConsumer(EventConsumer):
    """Applies trades to positions and keeps the valuer and the sampler up to date."""

    def __init__(
        self,
        repository: PositionRepository,
        valuer: PositionValuer,
        sampler: EquitySampler | None = None,
    ) -> None:
        self._repository = repository
        self._valuer = valuer
        self._sampler = sampler
        self._caught_up = asyncio.Event()

    def restore_state(self, state: bytes) -> None:
        for row in CODEC.decode(state, list[_PositionRow]):
            key, traded = _from_row(row)
            self._repository.cache_position(key, Versioned(traded, row.sequence))
            self._update_position(key, traded.position)

    def serialize_state(self) -> bytes:
        rows = [
            _to_row(key, versioned.state, versioned.sequence)
            for key, versioned in self._repository.open_positions().items()
            if isinstance(versioned.state, TradedState)
        ]
        return CODEC.encode(rows)

    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        for part, erasure in split_at_erasures(events):
            for page in _part_at_splits(part):
                split = split_of(page[0])
                if split is not None:
                    self._valuer.add_split(split)
                for key, position in (await self._repository.apply_trades(page)).items():
                    self._update_position(key, position)
            if erasure is not None:
                self._repository.forget_user(erasure)
                self._valuer.forget_user(erasure)
                if self._sampler is not None:
                    self._sampler.forget_user(erasure)

    async def on_caught_up(self) -> None:
        self._valuer.mark_caught_up()
        self._caught_up.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._valuer.run())
            tasks.create_task(self._sample())

    async def _sample(self) -> None:
        """Sample equity once all positions are known."""
        await self._caught_up.wait()
        if self._sampler is not None:
            await self._sampler.run()

    def _update_position(self, key: PositionKey, position: Position) -> None:
        self._valuer.update_position(key, position)
        if self._sampler is not None:
            self._sampler.update_position(key, position)


def _part_at_splits(events: Sequence[RecordedEvent]) -> Iterator[Sequence[RecordedEvent]]:
    """The events in parts, each split by itself: it concerns the positions as they are then."""
    start = 0
    for index, recorded in enumerate(events):
        if split_of(recorded) is not None:
            if index > start:
                yield events[start:index]
            yield events[index : index + 1]
            start = index + 1
    if start < len(events):
        yield events[start:]


def decode_checkpoint_rows(state: bytes) -> list[dict[str, Any]]:
    """The state of a `TradeConsumer`, one dictionary for each position. Raises ValueError."""
    return [msgspec.structs.asdict(row) for row in CODEC.decode(state, list[_PositionRow])]


def _to_row(key: PositionKey, state: TradedState, sequence: int) -> _PositionRow:
    position = state.position
    return _PositionRow(
        user=key.user,
        symbol=position.symbol,
        quantity=position.quantity,
        cost_basis=position.cost_basis,
        entry_price=position.entry_price,
        realized_pnl=position.realized_pnl,
        fees=position.fees,
        timestamp=position.timestamp,
        trade_sequence=state.trade_sequence,
        sequence=sequence,
    )


def _from_row(row: _PositionRow) -> tuple[PositionKey, TradedState]:
    position = Position(
        symbol=row.symbol,
        quantity=row.quantity,
        cost_basis=row.cost_basis,
        entry_price=row.entry_price,
        realized_pnl=row.realized_pnl,
        fees=row.fees,
        timestamp=row.timestamp,
    )
    return PositionKey(row.user, row.symbol), TradedState(position, row.trade_sequence)
