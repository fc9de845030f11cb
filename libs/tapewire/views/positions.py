"""A user's positions: all that are open, and those that closed last; and what they are worth.

Every event carries the position as it is afterwards, so the fold keeps the newest of each symbol
and forgets the oldest closed one beyond `CLOSED_KEPT`, but for what it gained: `realized_pnl` is
the total over every symbol ever traded.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import ClassVar, Self

import msgspec

from tapewire.events import CODEC, Event, Position, PositionEvent

CLOSED_KEPT = 200
"""Closed positions that a view still shows."""
MONEY_PLACES = Decimal("0.000001")
"""What is worked out from a price is for people, and rounded to this."""

_WIDE = Context(prec=120, rounding=ROUND_HALF_EVEN)


class Worth(msgspec.Struct, frozen=True):
    """Dollars: what a position would bring now (`value`, below 0 for what it would cost to buy back
    a short one), and what that would gain. Rounded to six places."""

    value: Decimal
    unrealized_pnl: Decimal


def worth(position: Position, price: Decimal) -> Worth:
    """What `position` is worth at `price` dollars a share."""
    value = _WIDE.multiply(position.quantity, price)
    return Worth(_money(value), _money(_WIDE.subtract(value, position.cost_basis)))


def total(amounts: list[Decimal]) -> Decimal:
    """The exact sum, in its plainest digits."""
    summed = Decimal(0)
    for amount in amounts:
        summed = _WIDE.add(summed, amount)
    return _plain(summed)


class _State(msgspec.Struct, frozen=True, rename="camel"):
    positions: list[Position]
    forgotten: dict[str, Decimal]


class PositionsView:
    """The fold. `PositionsView()` has seen no event."""

    domain: ClassVar[str] = "positions"

    def __init__(self) -> None:
        self._changes = 0
        self._open: dict[str, tuple[int, Position]] = {}
        self._closed: dict[str, tuple[int, Position]] = {}
        self._forgotten: dict[str, Decimal] = {}

    @property
    def realized_pnl(self) -> Decimal:
        """Dollars gained by all trades of the user, fees taken off. Exact."""
        shown = [position.realized_pnl for position in self.positions()]
        return total([*shown, *self._forgotten.values()])

    def apply(self, event: Event) -> None:
        """Fold one event of the user's positions, in the order of the log."""
        if isinstance(event, PositionEvent):
            self._keep(event.position)

    def position(self, symbol: str) -> Position | None:
        """The position in `symbol`, None when there never was one or it is forgotten."""
        found = self._open.get(symbol) or self._closed.get(symbol)
        return found[1] if found is not None else None

    def positions(self) -> list[Position]:
        """Open and recently closed ones by the place of their last change in the log: the one
        changed most recently is last."""
        return [
            position
            for _, position in sorted([*self._closed.values(), *self._open.values()], key=_at)
        ]

    def encode(self) -> bytes:
        return CODEC.encode(_State(self.positions(), self._forgotten))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        state, view = CODEC.decode(data, _State), cls()
        view._forgotten = dict(state.forgotten)
        for position in state.positions:
            view._keep(position)
        return view

    def _keep(self, position: Position) -> None:
        self._changes += 1
        for known in (self._open, self._closed, self._forgotten):
            known.pop(position.symbol, None)
        if position.quantity:
            self._open[position.symbol] = (self._changes, position)
            return
        self._closed[position.symbol] = (self._changes, position)
        if len(self._closed) > CLOSED_KEPT:
            oldest = next(iter(self._closed))
            self._forgotten[oldest] = self._closed.pop(oldest)[1].realized_pnl


def _at(kept: tuple[int, Position]) -> int:
    return kept[0]


def _money(value: Decimal) -> Decimal:
    return _plain(value.quantize(MONEY_PLACES, context=_WIDE))


def _plain(value: Decimal) -> Decimal:
    """Without trailing zeros, without an exponent above 0, and never -0."""
    if not value:
        return Decimal(0)
    normal = value.normalize(_WIDE)
    whole = int(normal.as_tuple().exponent) > 0
    return normal.quantize(Decimal(1), context=_WIDE) if whole else normal
