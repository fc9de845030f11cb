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

from services.positions.domain import Key, Traded
from services.positions.ledger import Ledger
from services.positions.valuing import Valuer
from tapewire.events import CODEC, Position
from tapewire.log import EventLog, Known, Recorded, Values, pattern
from tapewire.log.follower import follow

LEASE = "positions"
TRADES = pattern(domain="trades")
CHECKPOINT = "positions"
_MOST_BYTES = 1 << 28
"""What a checkpoint may hold when it is unpacked."""


class _Row(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
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


class Taker:
    """A `tapewire.log.follower.Consumer` of trades."""

    def __init__(self, ledger: Ledger, valuer: Valuer) -> None:
        self._ledger = ledger
        self._valuer = valuer
        valuer.clear()

    def restore(self, state: bytes) -> None:
        for row in _unpacked(state):
            key, known = _known(row)
            self._ledger.remember(key, Known(known, row.sequence))
            self._valuer.changed(key, known.position)

    def save(self) -> bytes:
        """A JSON text: rows, compressed, because all must fit into one message."""
        rows = [
            _row(key, known.state, known.sequence)
            for key, known in self._ledger.open().items()
            if isinstance(known.state, Traded)
        ]
        packed = base64.b64encode(zlib.compress(CODEC.encode(rows), level=1))
        return CODEC.encode(packed.decode())

    async def take(self, events: Sequence[Recorded]) -> None:
        for key, position in (await self._ledger.take(events)).items():
            self._valuer.changed(key, position)

    async def caught_up(self) -> None:
        self._valuer.caught_up(self._load)

    async def _load(self, key: Key) -> Position | None:
        state = (await self._ledger.load(key)).state
        return state.position if isinstance(state, Traded) else None


async def run_positions(
    log: EventLog,
    views: Values,
    valuer: Valuer,
    chance: random.Random | None = None,
    places: dict[str, int] | None = None,
) -> None:
    """Fold trades and value positions until canceled. `places` is told how far the trades are
    taken."""
    make = lambda: Taker(Ledger(log), valuer)  # noqa: E731
    async with asyncio.TaskGroup() as group:
        group.create_task(valuer.run())
        group.create_task(follow(log, views, TRADES, CHECKPOINT, make, chance, places))


def rows(state: bytes) -> list[dict[str, Any]]:
    """What `Taker.save` gave, a dictionary a position. Raises ValueError."""
    return [msgspec.structs.asdict(row) for row in _unpacked(state)]


def _row(key: Key, state: Traded, sequence: int) -> _Row:
    position = state.position
    return _Row(
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


def _known(row: _Row) -> tuple[Key, Traded]:
    position = Position(
        symbol=row.symbol,
        quantity=row.quantity,
        cost_basis=row.cost_basis,
        entry_price=row.entry_price,
        realized_pnl=row.realized_pnl,
        fees=row.fees,
        timestamp=row.timestamp,
    )
    return Key(row.user, row.symbol), Traded(position, row.trade_sequence)


def _unpacked(state: bytes) -> list[_Row]:
    """Raises ValueError."""
    try:
        packed = base64.b64decode(CODEC.decode(state, str), validate=True)
        return CODEC.decode(zlib.decompressobj().decompress(packed, _MOST_BYTES), list[_Row])
    except zlib.error as error:
        raise ValueError(f"no checkpoint of positions: {error}") from error
