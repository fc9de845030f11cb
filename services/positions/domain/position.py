"""A position: what one user holds in one symbol, and what each trade makes of it. Pure.

Every event carries the position after it, so the last event is the whole state. Start at `decide`;
`POSITION_DECIDER` is the decider.

The accounts balance to the last digit. A position keeps what was paid for it (`cost_basis`, with
the sign of the quantity), never an average. A trade that closes a part takes its share of the cost,
rounded to `COST_PLACES`; the rest stays, and the last share takes all that is left. So
``realized_pnl - cost_basis`` is exactly the dollars received less those paid. Rounding only moves a
fraction of a cent from one closing trade to a later one: the average of a holding of 10^-9 shares
may be off by 10^-9 dollars, that of one share by 10^-18.

Trades arrive in the order of the log, each with its sequence. A position remembers the sequence of
its last trade; applying an earlier trade again changes nothing. A correction of a trade replaces
the position by the one that `corrections` computes from all trades.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from tapewire.decimals import (
    EXACT_CONTEXT,
    WIDE_CONTEXT,
    average_price,
    normalize,
    round_half_even,
    scale,
)
from tapewire.events import (
    Event,
    Position,
    PositionChanged,
    PositionClosed,
    PositionCorrected,
    PositionEvent,
    PositionOpened,
    PositionSplit,
    Side,
    SplitExecuted,
    TradeCorrected,
    TradeExecuted,
)
from tapewire.log import CommandRejected, Decider, EventSubject, NewEvent
from tapewire.values import NumberRange
from tapewire_services.field_validation import validate_decimal_field, validate_length

DOMAIN = "positions"
MAX_MAGNITUDE = Decimal(10**12)
"""The largest quantity (shares), price (dollars a share) and fee (dollars) of a trade."""
QTY_PLACES = 9
PRICE_PLACES = 12
FEE_PLACES = 12
COST_PLACES = 18
MAX_SYMBOL_LENGTH = 64
"""Characters."""
ZERO = Decimal(0)


class PositionKey(NamedTuple):
    """The user and the symbol of a position."""

    user: str
    symbol: str

    @property
    def subject(self) -> EventSubject:
        return EventSubject(self.user, DOMAIN, self.symbol)


class ApplyTradeCommand(msgspec.Struct, frozen=True, kw_only=True):
    """Apply a trade of `user`, whose event has this id and sequence. `build_trade_command` makes
    it, and validates the trade's numbers."""

    id: str
    user: str
    sequence: int
    trade: TradeExecuted


class CorrectPositionCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The trade of `user` that `correction` names, whose event has this id and sequence, is
    corrected; all trades up to there make `position`."""

    id: str
    user: str
    sequence: int
    correction: TradeCorrected
    position: Position


class SplitPositionCommand(msgspec.Struct, frozen=True, kw_only=True):
    """The symbol of `user`'s position was split by `split`, whose event has this sequence."""

    id: str
    user: str
    sequence: int
    split: SplitExecuted


Command = ApplyTradeCommand | CorrectPositionCommand | SplitPositionCommand


class UntradedState(msgspec.Struct, frozen=True):
    """No trade yet."""


class TradedState(msgspec.Struct, frozen=True):
    """The position after the trade at `trade_sequence`; its quantity is 0 when it is closed."""

    position: Position
    trade_sequence: int


State = UntradedState | TradedState


class Lot(NamedTuple):
    """Shares and their cost in dollars, both below 0 when short."""

    quantity: Decimal
    cost: Decimal


def decide(state: State, command: Command) -> Sequence[NewEvent]:
    """Returns one event, two if the trade goes through zero, none if it was applied before."""
    if isinstance(state, TradedState) and command.sequence <= state.trade_sequence:
        return []
    if isinstance(command, SplitPositionCommand):
        return _decide_split(state, command)
    if isinstance(command, CorrectPositionCommand):
        corrected = PositionCorrected(
            position=command.position,
            trade_id=command.correction.trade_id,
            trade_sequence=command.sequence,
        )
        return [NewEvent(PositionKey(command.user, command.correction.symbol).subject, corrected)]
    trade = command.trade
    subject = PositionKey(command.user, trade.symbol).subject
    return [
        NewEvent(subject, event)
        for event in _decide_events(_current_position(state, trade), command, trade)
    ]


def _decide_split(state: State, command: SplitPositionCommand) -> list[NewEvent]:
    """A split changes no cost and no cash. What is too small to be held is given up, at a loss of
    its cost."""
    if not isinstance(state, TradedState) or not state.position.quantity:
        return []
    before, ratio = state.position, command.split.ratio
    quantity = scale(before.quantity, ratio.shares, ratio.for_shares, QTY_PLACES)
    held, loss = Lot(quantity, before.cost_basis), ZERO
    if not quantity:
        held, loss = Lot(ZERO, ZERO), before.cost_basis
    position = msgspec.structs.replace(
        before,
        quantity=held.quantity,
        cost_basis=held.cost,
        entry_price=_entry_price(held),
        realized_pnl=normalize(EXACT_CONTEXT.subtract(before.realized_pnl, loss)),
        timestamp=command.split.timestamp,
    )
    event = PositionSplit(
        position=position, trade_id=command.split.split_id, trade_sequence=command.sequence
    )
    return [NewEvent(PositionKey(command.user, before.symbol).subject, event)]


def evolve(state: State, event: Event) -> State:
    """Fold one event of the position's own subject."""
    if not isinstance(event, PositionEvent):
        return state
    return TradedState(event.position, event.trade_sequence)


POSITION_DECIDER: Decider[State, Command] = Decider(
    initial_state=UntradedState(), decide=decide, evolve=evolve
)


def build_trade_command(
    event_id: str, user: str, sequence: int, trade: TradeExecuted
) -> ApplyTradeCommand:
    """The command that applies `trade`.

    Raises:
        CommandRejected: ``invalid``, with the path of the field that is out of bounds. Such a trade
            comes from a faulty producer and changes no position.
    """
    return ApplyTradeCommand(
        id=event_id, user=user, sequence=sequence, trade=_validate_trade(trade)
    )


def _validate_trade(trade: TradeExecuted) -> TradeExecuted:
    validate_length("symbol", trade.symbol, maximum=MAX_SYMBOL_LENGTH)
    qty = _validate_amount("qty", trade.qty, QTY_PLACES)
    price = _validate_amount("price", trade.price, PRICE_PLACES)
    fee = _validate_amount("fee", trade.fee, FEE_PLACES)
    if qty <= 0:
        raise CommandRejected("invalid", f"qty must be above 0, not {qty}", "qty")
    return msgspec.structs.replace(trade, qty=qty, price=price, fee=fee)


def _validate_amount(path: str, value: Decimal, places: int) -> Decimal:
    allowed = NumberRange(minimum=-MAX_MAGNITUDE, maximum=MAX_MAGNITUDE, places=places)
    return validate_decimal_field(path, value, allowed)


def _current_position(state: State, trade: TradeExecuted) -> Position:
    if isinstance(state, TradedState):
        return state.position
    return Position.before_trades(trade.symbol, trade.timestamp)


def _decide_events(
    before: Position, command: ApplyTradeCommand, trade: TradeExecuted
) -> list[PositionEvent]:
    """The fee counts once, in the first event of the trade."""
    id_, sequence = trade.trade_id, command.sequence
    held, traded = Lot(before.quantity, before.cost_basis), _trade_lot(trade)
    if not held.quantity:
        opened = _updated_position(before, trade, traded, trade.fee.copy_negate())
        return [PositionOpened(position=opened, trade_id=id_, trade_sequence=sequence)]
    if _is_same_side(held, traded):
        more = _updated_position(before, trade, _add_lots(held, traded), trade.fee.copy_negate())
        return [PositionChanged(position=more, trade_id=id_, trade_sequence=sequence)]
    left = EXACT_CONTEXT.add(held.quantity, traded.quantity)
    if left and _is_same_side(held, Lot(left, ZERO)):
        kept, gain = _reduce_lot(held, left, trade.price)
        less = _updated_position(before, trade, kept, EXACT_CONTEXT.subtract(gain, trade.fee))
        return [PositionChanged(position=less, trade_id=id_, trade_sequence=sequence)]
    empty, gain = _reduce_lot(held, ZERO, trade.price)
    realized = normalize(EXACT_CONTEXT.subtract(gain, trade.fee))
    closed = _updated_position(before, trade, empty, realized)
    closing = PositionClosed(
        position=closed, trade_id=id_, trade_sequence=sequence, realized=realized
    )
    if not left:
        return [closing]
    beyond = Lot(left, EXACT_CONTEXT.multiply(left, trade.price))
    opened = _updated_position(closed, msgspec.structs.replace(trade, fee=ZERO), beyond, ZERO)
    return [closing, PositionOpened(position=opened, trade_id=id_, trade_sequence=sequence)]


def _trade_lot(trade: TradeExecuted) -> Lot:
    signed = trade.qty if trade.side is Side.BUY else trade.qty.copy_negate()
    return Lot(signed, EXACT_CONTEXT.multiply(signed, trade.price))


def _is_same_side(one: Lot, other: Lot) -> bool:
    return (one.quantity > 0) == (other.quantity > 0)


def _add_lots(one: Lot, other: Lot) -> Lot:
    return Lot(
        EXACT_CONTEXT.add(one.quantity, other.quantity), EXACT_CONTEXT.add(one.cost, other.cost)
    )


def _reduce_lot(held: Lot, remaining: Decimal, price: Decimal) -> tuple[Lot, Decimal]:
    """Close all but `remaining` shares of `held` at `price`; the rest, and the realized gain."""
    closed = EXACT_CONTEXT.subtract(held.quantity, remaining)
    cost = held.cost
    if remaining:
        share = WIDE_CONTEXT.divide(EXACT_CONTEXT.multiply(held.cost, closed), held.quantity)
        cost = round_half_even(share, COST_PLACES)
    gain = EXACT_CONTEXT.subtract(EXACT_CONTEXT.multiply(closed, price), cost)
    return Lot(remaining, EXACT_CONTEXT.subtract(held.cost, cost)), gain


def _updated_position(
    before: Position, trade: TradeExecuted, held: Lot, realized: Decimal
) -> Position:
    return Position(
        symbol=trade.symbol,
        quantity=normalize(held.quantity),
        cost_basis=normalize(held.cost),
        entry_price=_entry_price(held),
        realized_pnl=normalize(EXACT_CONTEXT.add(before.realized_pnl, realized)),
        fees=normalize(EXACT_CONTEXT.add(before.fees, trade.fee)),
        timestamp=trade.timestamp,
    )


def _entry_price(held: Lot) -> Decimal | None:
    if not held.quantity:
        return None
    return average_price(held.cost, held.quantity)
