"""Taking trades in the order of the log: the work of the lease. Start at `run_positions`.

The follower gives pages of trades; the ledger stores what they make of the positions, the valuer is
told. What is checkpointed is every open position as it stands in the log, so that the next holder
of the lease begins with those and takes again only the trades since. A checkpoint only saves time:
without one (it may have grown larger than the server takes) all trades are taken again, and change
nothing.
"""

import asyncio
import base64
import random
import zlib
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tapewire.events import CODEC, Position
from tapewire.log import EventLog, LatestValueStore, RecordedEvent, Versioned, pattern
from tapewire.log.catch_up_subscription import CatchUpSubscription, EventConsumer
from tapewire_services.positions.domain.position import PositionKey, TradedState
from tapewire_services.positions.position_repository import PositionRepository
from tapewire_services.positions.position_valuer import PositionValuer

LEASE = "positions"
TRADES_FILTER = pattern(domain="trades")
CHECKPOINT_NAME = "positions"
_MAX_DECOMPRESSED_BYTES = 1 << 28
"""What a checkpoint may hold when it is unpacked."""


class _PositionRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An open position in the checkpoint, and where its last trade and its last event stand."""

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
    """Applies trades to positions and keeps the valuer up to date."""

    def __init__(self, repository: PositionRepository, valuer: PositionValuer) -> None:
        self._repository = repository
        self._valuer = valuer
        valuer.clear()

    def restore_state(self, state: bytes) -> None:
        for row in _decode_rows(state):
            key, known = _from_row(row)
            self._repository.cache_position(key, Versioned(known, row.sequence))
            self._valuer.update_position(key, known.position)

    def serialize_state(self) -> bytes:
        """A JSON text: rows, compressed, because all must fit into one message."""
        rows = [
            _to_row(key, known.state, known.sequence)
            for key, known in self._repository.open_positions().items()
            if isinstance(known.state, TradedState)
        ]
        packed = base64.b64encode(zlib.compress(CODEC.encode(rows), level=1))
        return CODEC.encode(packed.decode())

    async def handle(self, events: Sequence[RecordedEvent]) -> None:
        for key, position in (await self._repository.apply_trades(events)).items():
            self._valuer.update_position(key, position)

    async def on_caught_up(self) -> None:
        self._valuer.mark_caught_up(self._load_position)

    async def _load_position(self, key: PositionKey) -> Position | None:
        state = (await self._repository.load_position(key)).state
        return state.position if isinstance(state, TradedState) else None


def subscribe_to_trades(
    log: EventLog,
    checkpoint_store: LatestValueStore,
    valuer: PositionValuer,
    rng: random.Random | None = None,
) -> CatchUpSubscription:
    """The subscription that folds all trades into positions."""
    return CatchUpSubscription(
        log,
        checkpoint_store,
        name=CHECKPOINT_NAME,
        filter_=TRADES_FILTER,
        make_consumer=lambda: TradeConsumer(PositionRepository(log), valuer),
        rng=rng,
    )


async def run_positions(trades: CatchUpSubscription, valuer: PositionValuer) -> None:
    """Fold trades and value positions until cancelled."""
    async with asyncio.TaskGroup() as group:
        group.create_task(valuer.run())
        group.create_task(trades.run())


def decode_checkpoint_rows(state: bytes) -> list[dict[str, Any]]:
    """What `Taker.save` gave, a dictionary a position. Raises ValueError."""
    return [msgspec.structs.asdict(row) for row in _decode_rows(state)]


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


def _decode_rows(state: bytes) -> list[_PositionRow]:
    """Raises ValueError."""
    try:
        packed = base64.b64decode(CODEC.decode(state, str), validate=True)
        return CODEC.decode(
            zlib.decompressobj().decompress(packed, _MAX_DECOMPRESSED_BYTES), list[_PositionRow]
        )
    except zlib.error as error:
        raise ValueError(f"no checkpoint of positions: {error}") from error
