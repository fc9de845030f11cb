"""A user's open positions, the most recently closed ones, and their valuation.

Every event carries the position after it. The view retains the newest state of each symbol and
drops the oldest closed one beyond `MAX_CLOSED_POSITIONS`, except for its profit and fees:
`realized_pnl` and `fees` are totals over all symbols that the user ever traded.
"""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple, Self

import msgspec

from tapewire.decimals import WIDE_CONTEXT, normalize, round_half_even
from tapewire.events import CODEC, Event, Position, PositionEvent

MAX_CLOSED_POSITIONS = 200
"""Closed positions that the view retains."""
MONEY_PLACES = 6
"""Decimal places of a valuation. Nothing is computed from a valuation."""


class PositionValuation(msgspec.Struct, frozen=True):
    """Dollars: what the position is worth (`value`, negative for the cost of buying back a short
    position), and the unrealized profit. Rounded to six places."""

    value: Decimal
    unrealized_pnl: Decimal


def value_position(position: Position, price: Decimal) -> PositionValuation:
    """The valuation of `position` at `price` dollars a share."""
    value = WIDE_CONTEXT.multiply(position.quantity, price)
    return PositionValuation(
        _round_money(value), _round_money(WIDE_CONTEXT.subtract(value, position.cost_basis))
    )


def sum_exact(amounts: list[Decimal]) -> Decimal:
    """The exact sum, without trailing zeros."""
    summed = Decimal(0)
    for amount in amounts:
        summed = WIDE_CONTEXT.add(summed, amount)
    return normalize(summed)


class _State(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`forgotten` has the profits of the dropped positions, and `forgotten_fees` their fees, where
    there were any. Checkpoints of earlier versions have no fees."""

    positions: list[Position]
    forgotten: dict[str, Decimal]
    forgotten_fees: dict[str, Decimal] | msgspec.UnsetType = msgspec.UNSET


class _DroppedPosition(NamedTuple):
    """What is left of a closed position. `fees` is None if an earlier version has dropped it."""

    realized_pnl: Decimal
    fees: Decimal | None


class PositionsView:
    """The positions of one user."""

    domain: ClassVar[str] = "positions"

    def __init__(self) -> None:
        self._change_count = 0
        self._open: dict[str, tuple[int, Position]] = {}
        self._closed: dict[str, tuple[int, Position]] = {}
        self._dropped: dict[str, _DroppedPosition] = {}
        self._totals: tuple[Decimal, Decimal | None] | None = None
        """Profit and fees of all positions; None after a change."""

    @property
    def realized_pnl(self) -> Decimal:
        """The exact profit in dollars of all trades of the user, after fees."""
        return self._sum_up()[0]

    @property
    def fees(self) -> Decimal | None:
        """The exact fees in dollars of all trades of the user, rebates taken off. None if a
        checkpoint of an earlier version has dropped some (`tapewire journal rebuild` mends that).
        """
        return self._sum_up()[1]

    def apply(self, event: Event) -> None:
        """Apply one event of the user's positions."""
        if isinstance(event, PositionEvent):
            self._upsert(event.position)

    def position(self, symbol: str) -> Position | None:
        """The position in `symbol`; None if there never was one, or the view has dropped it."""
        found = self._open.get(symbol) or self._closed.get(symbol)
        return found[1] if found is not None else None

    def positions(self) -> list[Position]:
        """Open and recently closed positions, the most recently changed last."""
        return [
            position
            for _, position in sorted(
                [*self._closed.values(), *self._open.values()], key=_change_number
            )
        ]

    def open_positions(self) -> Collection[Position]:
        """The open positions, in no particular order."""
        return [position for _, position in self._open.values()]

    def encode(self) -> bytes:
        forgotten = {symbol: one.realized_pnl for symbol, one in self._dropped.items()}
        fees: dict[str, Decimal] | msgspec.UnsetType = msgspec.UNSET
        if forgotten and all(one.fees is not None for one in self._dropped.values()):
            fees = {symbol: one.fees for symbol, one in self._dropped.items() if one.fees}
        return CODEC.encode(_State(self.positions(), forgotten, fees))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        state, view = CODEC.decode(data, _State), cls()
        fees = None if state.forgotten_fees is msgspec.UNSET else state.forgotten_fees
        for symbol, realized_pnl in state.forgotten.items():
            fee = None if fees is None else fees.get(symbol, Decimal(0))
            view._dropped[symbol] = _DroppedPosition(realized_pnl, fee)
        for position in state.positions:
            view._upsert(position)
        return view

    @staticmethod
    def is_of_earlier_version(state: Mapping[str, Any]) -> bool:
        """Whether a checkpoint's state lacks what a fold of the log would have."""
        return bool(state.get("forgotten")) and "forgottenFees" not in state

    def _upsert(self, position: Position) -> None:
        self._change_count += 1
        self._totals = None
        for known in (self._open, self._closed, self._dropped):
            known.pop(position.symbol, None)
        if position.quantity:
            self._open[position.symbol] = (self._change_count, position)
            return
        self._closed[position.symbol] = (self._change_count, position)
        if len(self._closed) > MAX_CLOSED_POSITIONS:
            oldest = self._closed.pop(next(iter(self._closed)))[1]
            self._dropped[oldest.symbol] = _DroppedPosition(oldest.realized_pnl, oldest.fees)

    def _sum_up(self) -> tuple[Decimal, Decimal | None]:
        """Profit and fees of all positions."""
        if self._totals is None:
            every = [one for known in (self._open, self._closed) for _, one in known.values()]
            dropped = self._dropped.values()
            gained = [*(one.realized_pnl for one in every), *(one.realized_pnl for one in dropped)]
            paid = [one.fees for one in dropped if one.fees is not None]
            are_known = len(paid) == len(dropped)
            fees = sum_exact([*(one.fees for one in every), *paid]) if are_known else None
            self._totals = sum_exact(gained), fees
        return self._totals


def _change_number(entry: tuple[int, Position]) -> int:
    return entry[0]


def _round_money(value: Decimal) -> Decimal:
    return round_half_even(value, MONEY_PLACES)
