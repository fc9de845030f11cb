"""A position: what one user holds in one symbol, and what each trade makes of it. Pure.

Every event carries the position as it is afterwards, so the last one is the whole state. Start
reading at `decide`; `POSITIONS` is the decider.

The books balance to the last digit. What is held is kept as what was paid for it (`cost_basis`,
signed as the quantity is), never as an average. A trade that takes a part away takes its share of
the cost, rounded to `COST_PLACES`; the rest stays, and the last share takes all that is left. So
``realized_pnl - cost_basis`` is what was received less what was paid, with no digit lost, and the
rounding only moves a trifle from one closing trade to a later one (a holding of 10^-9 shares may
see its average off by 10^-9 dollars; one of a share, by 10^-18).

Trades come in the order of the log, each with its sequence there; one that was taken before changes
nothing, because a position remembers the sequence of its last.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from services.positions.exact import EXACT, WIDE, Unusable, bounded, plain, rounded, show
from tapewire.events import (
    Event,
    Position,
    PositionChanged,
    PositionClosed,
    PositionEvent,
    PositionOpened,
    Side,
    TradeExecuted,
)
from tapewire.log import Decider, Happening, Refusal, Subject

DOMAIN = "positions"
MOST = Decimal(10**12)
"""Shares, dollars a share, dollars of fee: what one trade may have at the most."""
QTY_PLACES = 9
PRICE_PLACES = 12
FEE_PLACES = 12
COST_PLACES = 18
ENTRY_PLACES = 6
"""Of the average price, which is for people; nothing is computed from it."""
ID_LENGTH = 64
"""Characters of a symbol."""
NOTHING = Decimal(0)


class Key(NamedTuple):
    """Whose position, and in what."""

    user: str
    symbol: str

    @property
    def subject(self) -> Subject:
        return Subject(self.user, DOMAIN, self.symbol)


class TakeTrade(msgspec.Struct, frozen=True, kw_only=True):
    """`user` traded; the trade stands at `sequence` of the log. `id` is the trade's event id. Made
    by `taking`, which sees to it that a position can be made of the trade's numbers."""

    id: str
    user: str
    sequence: int
    trade: TradeExecuted


class Untraded(msgspec.Struct, frozen=True):
    """No trade yet."""


class Traded(msgspec.Struct, frozen=True):
    """The position after the trade at `trade_sequence`; its quantity is 0 when it is closed."""

    position: Position
    trade_sequence: int


State = Untraded | Traded


class Lot(NamedTuple):
    """Shares and what they cost, both below 0 when sold."""

    quantity: Decimal
    cost: Decimal


def decide(state: State, command: TakeTrade) -> Sequence[Happening]:
    """What the trade makes of the position: one event, or two when it goes through zero; nothing
    when it was taken before."""
    if isinstance(state, Traded) and command.sequence <= state.trade_sequence:
        return []
    trade = command.trade
    subject = Key(command.user, trade.symbol).subject
    return [Happening(subject, event) for event in _events(_before(state, trade), command, trade)]


def evolve(state: State, event: Event) -> State:
    """Fold one event of the position's own subject."""
    if not isinstance(event, PositionEvent):
        return state
    return Traded(event.position, event.trade_sequence)


POSITIONS: Decider[State, TakeTrade] = Decider(initial=Untraded(), decide=decide, evolve=evolve)


def taking(id_: str, user: str, sequence: int, trade: TradeExecuted) -> TakeTrade:
    """The command to take `trade`.

    Raises:
        Refusal: invalid, with the field: no position can be made of such numbers. Only a producer
            at fault tells of them; the trade changes nothing.
    """
    return TakeTrade(id=id_, user=user, sequence=sequence, trade=_checked(trade))


def _checked(trade: TradeExecuted) -> TradeExecuted:
    if not 1 <= len(trade.symbol) <= ID_LENGTH:
        raise Refusal("invalid", f"no symbol has this length: {show(trade.symbol)!r}", "symbol")
    qty = _number("qty", trade.qty, QTY_PLACES)
    price = _number("price", trade.price, PRICE_PLACES)
    fee = _number("fee", trade.fee, FEE_PLACES)
    if qty <= 0:
        raise Refusal("invalid", f"qty must be above 0, not {qty}", "qty")
    if price < 0:
        raise Refusal("invalid", f"price must not be below 0, but is {price}", "price")
    return msgspec.structs.replace(trade, qty=qty, price=price, fee=fee)


def _number(path: str, value: Decimal, places: int) -> Decimal:
    try:
        return bounded(value, most=MOST, places=places)
    except Unusable as error:
        raise Refusal("invalid", f"{path} {error}", path) from None


def _before(state: State, trade: TradeExecuted) -> Position:
    if isinstance(state, Traded):
        return state.position
    return Position(
        symbol=trade.symbol,
        quantity=NOTHING,
        cost_basis=NOTHING,
        entry_price=None,
        realized_pnl=NOTHING,
        fees=NOTHING,
        timestamp=trade.timestamp,
    )


def _events(before: Position, command: TakeTrade, trade: TradeExecuted) -> list[PositionEvent]:
    """The fee counts once, when the trade first changes the position."""
    id_, sequence = trade.trade_id, command.sequence
    held, traded = Lot(before.quantity, before.cost_basis), _lot(trade)
    if not held.quantity:
        opened = _after(before, trade, traded, trade.fee.copy_negate())
        return [PositionOpened(position=opened, trade_id=id_, trade_sequence=sequence)]
    if _same_side(held, traded):
        more = _after(before, trade, _sum(held, traded), trade.fee.copy_negate())
        return [PositionChanged(position=more, trade_id=id_, trade_sequence=sequence)]
    left = EXACT.add(held.quantity, traded.quantity)
    if left and _same_side(held, Lot(left, NOTHING)):
        kept, gain = _reduced(held, left, trade.price)
        less = _after(before, trade, kept, EXACT.subtract(gain, trade.fee))
        return [PositionChanged(position=less, trade_id=id_, trade_sequence=sequence)]
    none, gain = _reduced(held, NOTHING, trade.price)
    realized = plain(EXACT.subtract(gain, trade.fee))
    closed = _after(before, trade, none, realized)
    closing = PositionClosed(
        position=closed, trade_id=id_, trade_sequence=sequence, realized=realized
    )
    if not left:
        return [closing]
    beyond = Lot(left, EXACT.multiply(left, trade.price))
    opened = _after(closed, msgspec.structs.replace(trade, fee=NOTHING), beyond, NOTHING)
    return [closing, PositionOpened(position=opened, trade_id=id_, trade_sequence=sequence)]


def _lot(trade: TradeExecuted) -> Lot:
    signed = trade.qty if trade.side is Side.BUY else trade.qty.copy_negate()
    return Lot(signed, EXACT.multiply(signed, trade.price))


def _same_side(one: Lot, other: Lot) -> bool:
    return (one.quantity > 0) == (other.quantity > 0)


def _sum(one: Lot, other: Lot) -> Lot:
    return Lot(EXACT.add(one.quantity, other.quantity), EXACT.add(one.cost, other.cost))


def _reduced(held: Lot, left: Decimal, price: Decimal) -> tuple[Lot, Decimal]:
    """What is kept when all but `left` shares of `held` go at `price`, and what that gained."""
    gone = EXACT.subtract(held.quantity, left)
    cost = held.cost
    if left:
        share = WIDE.divide(EXACT.multiply(held.cost, gone), held.quantity)
        cost = rounded(share, COST_PLACES)
    gain = EXACT.subtract(EXACT.multiply(gone, price), cost)
    return Lot(left, EXACT.subtract(held.cost, cost)), gain


def _after(before: Position, trade: TradeExecuted, held: Lot, realized: Decimal) -> Position:
    return Position(
        symbol=trade.symbol,
        quantity=plain(held.quantity),
        cost_basis=plain(held.cost),
        entry_price=_entry(held),
        realized_pnl=plain(EXACT.add(before.realized_pnl, realized)),
        fees=plain(EXACT.add(before.fees, trade.fee)),
        timestamp=trade.timestamp,
    )


def _entry(held: Lot) -> Decimal | None:
    if not held.quantity:
        return None
    return rounded(WIDE.divide(held.cost, held.quantity), ENTRY_PLACES)
