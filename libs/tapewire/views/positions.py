"""A user's open positions, the most recently closed ones, and their valuation.

Every event carries the position after it. The view retains the newest state of each symbol and
drops the oldest closed one beyond `MAX_CLOSED_POSITIONS`, except for its profit: `realized_pnl` is
the total over all symbols that the user ever traded.
"""

from decimal import Decimal
from typing import ClassVar, Self

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


class _State(msgspec.Struct, frozen=True, rename="camel"):
    positions: list[Position]
    forgotten: dict[str, Decimal]


class PositionsView:
    """The positions of one user."""

    domain: ClassVar[str] = "positions"

    def __init__(self) -> None:
        self._change_count = 0
        self._open: dict[str, tuple[int, Position]] = {}
        self._closed: dict[str, tuple[int, Position]] = {}
        self._evicted_realized_pnl: dict[str, Decimal] = {}

    @property
    def realized_pnl(self) -> Decimal:
        """The exact profit in dollars of all trades of the user, after fees."""
        shown = [position.realized_pnl for position in self.positions()]
        return sum_exact([*shown, *self._evicted_realized_pnl.values()])

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

    def encode(self) -> bytes:
        return CODEC.encode(_State(self.positions(), self._evicted_realized_pnl))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        state, view = CODEC.decode(data, _State), cls()
        view._evicted_realized_pnl = dict(state.forgotten)
        for position in state.positions:
            view._upsert(position)
        return view

    def _upsert(self, position: Position) -> None:
        self._change_count += 1
        for known in (self._open, self._closed, self._evicted_realized_pnl):
            known.pop(position.symbol, None)
        if position.quantity:
            self._open[position.symbol] = (self._change_count, position)
            return
        self._closed[position.symbol] = (self._change_count, position)
        if len(self._closed) > MAX_CLOSED_POSITIONS:
            oldest = next(iter(self._closed))
            self._evicted_realized_pnl[oldest] = self._closed.pop(oldest)[1].realized_pnl


def _change_number(entry: tuple[int, Position]) -> int:
    return entry[0]


def _round_money(value: Decimal) -> Decimal:
    return round_half_even(value, MONEY_PLACES)
