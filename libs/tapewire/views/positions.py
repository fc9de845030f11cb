"""A user's positions: all that are open, and those that closed last; and what they are worth.

Every event carries the position as it is afterwards, so the fold keeps the newest of each symbol
and forgets the oldest closed one beyond `CLOSED_KEPT`, but for what it gained: `realized_pnl` is
the total over every symbol ever traded.
"""

from decimal import Decimal
from typing import ClassVar, Self

import msgspec

from tapewire.decimals import WIDE_CONTEXT, normalize, round_half_even
from tapewire.events import CODEC, Event, Position, PositionEvent

MAX_CLOSED_POSITIONS = 200
"""Closed positions that a view still shows."""
MONEY_PLACES = 6
"""Decimal places of a valuation. Nothing is computed from a valuation."""


class PositionValuation(msgspec.Struct, frozen=True):
    """Dollars: what a position would bring now (`value`, below 0 for what it would cost to buy back
    a short one), and what that would gain. Rounded to six places."""

    value: Decimal
    unrealized_pnl: Decimal


def value_position(position: Position, price: Decimal) -> PositionValuation:
    """What `position` is worth at `price` dollars a share."""
    value = WIDE_CONTEXT.multiply(position.quantity, price)
    return PositionValuation(
        _round_money(value), _round_money(WIDE_CONTEXT.subtract(value, position.cost_basis))
    )


def sum_exact(amounts: list[Decimal]) -> Decimal:
    """The exact sum, in its plainest digits."""
    summed = Decimal(0)
    for amount in amounts:
        summed = WIDE_CONTEXT.add(summed, amount)
    return normalize(summed)


class _State(msgspec.Struct, frozen=True, rename="camel"):
    positions: list[Position]
    forgotten: dict[str, Decimal]


class PositionsView:
    """The fold. `PositionsView()` has seen no event."""

    domain: ClassVar[str] = "positions"

    def __init__(self) -> None:
        self._change_count = 0
        self._open: dict[str, tuple[int, Position]] = {}
        self._closed: dict[str, tuple[int, Position]] = {}
        self._evicted_realized_pnl: dict[str, Decimal] = {}

    @property
    def realized_pnl(self) -> Decimal:
        """Dollars gained by all trades of the user, fees taken off. Exact."""
        shown = [position.realized_pnl for position in self.positions()]
        return sum_exact([*shown, *self._evicted_realized_pnl.values()])

    def apply(self, event: Event) -> None:
        """Fold one event of the user's positions, in the order of the log."""
        if isinstance(event, PositionEvent):
            self._upsert(event.position)

    def position(self, symbol: str) -> Position | None:
        """The position in `symbol`, None when there never was one or it is forgotten."""
        found = self._open.get(symbol) or self._closed.get(symbol)
        return found[1] if found is not None else None

    def positions(self) -> list[Position]:
        """Open and recently closed ones by the place of their last change in the log: the one
        changed most recently is last."""
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
