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


class _Dropped(NamedTuple):
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
        self._dropped: dict[str, _Dropped] = {}
        self._realized_pnl = self._fees = Decimal(0)
        self._unknown_fee_count = 0

    @property
    def realized_pnl(self) -> Decimal:
        """The exact profit in dollars of all trades of the user, after fees."""
        return normalize(self._realized_pnl)

    @property
    def fees(self) -> Decimal | None:
        """The exact fees in dollars of all trades of the user, rebates taken off. None if a
        checkpoint of an earlier version has dropped some (`tapewire journal rebuild` mends that).
        """
        return None if self._unknown_fee_count else normalize(self._fees)

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
        fees: dict[str, Decimal] | msgspec.UnsetType = {
            symbol: one.fees for symbol, one in self._dropped.items() if one.fees
        }
        if self._unknown_fee_count or not forgotten:
            fees = msgspec.UNSET
        return CODEC.encode(_State(self.positions(), forgotten, fees))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        state, view = CODEC.decode(data, _State), cls()
        fees = None if state.forgotten_fees is msgspec.UNSET else state.forgotten_fees
        for symbol, realized_pnl in state.forgotten.items():
            fee = None if fees is None else fees.get(symbol, Decimal(0))
            view._drop(symbol, _Dropped(realized_pnl, fee))
        for position in state.positions:
            view._upsert(position)
        return view

    @staticmethod
    def is_of_earlier_version(state: Mapping[str, Any]) -> bool:
        """Whether a checkpoint's state lacks what a fold of the log would have."""
        return bool(state.get("forgotten")) and "forgottenFees" not in state

    def _upsert(self, position: Position) -> None:
        self._change_count += 1
        self._remove(position.symbol)
        entry = (self._change_count, position)
        (self._open if position.quantity else self._closed)[position.symbol] = entry
        self._add(position.realized_pnl, position.fees)
        if len(self._closed) > MAX_CLOSED_POSITIONS:
            oldest = self._closed[next(iter(self._closed))][1]
            self._remove(oldest.symbol)
            self._drop(oldest.symbol, _Dropped(oldest.realized_pnl, oldest.fees))

    def _drop(self, symbol: str, dropped: _Dropped) -> None:
        self._dropped[symbol] = dropped
        self._unknown_fee_count += dropped.fees is None
        self._add(dropped.realized_pnl, dropped.fees or Decimal(0))

    def _remove(self, symbol: str) -> None:
        """Take what is known of `symbol` out of the view and its totals."""
        known = self._open.pop(symbol, None) or self._closed.pop(symbol, None)
        if known is not None:
            self._add(known[1].realized_pnl.copy_negate(), known[1].fees.copy_negate())
            return
        dropped = self._dropped.pop(symbol, None)
        if dropped is not None:
            self._unknown_fee_count -= dropped.fees is None
            fees = dropped.fees or Decimal(0)
            self._add(dropped.realized_pnl.copy_negate(), fees.copy_negate())

    def _add(self, realized_pnl: Decimal, fees: Decimal) -> None:
        self._realized_pnl = WIDE_CONTEXT.add(self._realized_pnl, realized_pnl)
        self._fees = WIDE_CONTEXT.add(self._fees, fees)


def _change_number(entry: tuple[int, Position]) -> int:
    return entry[0]


def _round_money(value: Decimal) -> Decimal:
    return round_half_even(value, MONEY_PLACES)
