"""What trades make of a position, in whole numbers of 10^-9 shares and 10^-21 dollars.

Start at `expected_position_events`.
"""

from datetime import datetime
from typing import NamedTuple

from tapewire.events import (
    Position,
    PositionChanged,
    PositionClosed,
    PositionEvent,
    PositionOpened,
    Side,
    SplitExecuted,
    TradeCorrected,
    TradeExecuted,
)
from tapewire.log import RecordedEvent
from tapewire.verify.findings import EventLocation, location_of
from tapewire.verify.fixed_point import (
    COST_PLACES,
    MAX_AMOUNT,
    PRICE_PLACES,
    QTY_PLACES,
    UnrepresentableAmount,
    divide_half_even,
    to_units,
)

COST_ROUNDING_FACTOR = 10 ** (COST_PLACES - 18)
"""The divisor that rounds a cost to 18 places."""
MAX_SYMBOL_LENGTH = 64


class PositionAmounts(NamedTuple):
    """Shares and dollars in whole numbers of their units."""

    qty: int = 0
    cost: int = 0
    realized: int = 0
    fees: int = 0


class FixedPointTrade(NamedTuple):
    """A trade in whole numbers. `qty` is negative for a sale."""

    location: EventLocation
    event_id: str
    trade_id: str
    qty: int
    price: int
    fee: int
    timestamp: datetime


class ExpectedPositionEvent(NamedTuple):
    """An event that a trade results in."""

    event_type: type[PositionEvent]
    amounts_after: PositionAmounts
    trade: FixedPointTrade
    realized: int | None


def expected_position_events(
    amounts: PositionAmounts, trade: FixedPointTrade
) -> list[ExpectedPositionEvent]:
    """The events that the trade results in, given the holding."""
    cost, fees = trade.qty * trade.price, amounts.fees + trade.fee
    less_fee = amounts.realized - trade.fee
    if not amounts.qty or (amounts.qty > 0) == (trade.qty > 0):
        kind = PositionChanged if amounts.qty else PositionOpened
        more = PositionAmounts(amounts.qty + trade.qty, amounts.cost + cost, less_fee, fees)
        return [ExpectedPositionEvent(kind, more, trade, None)]
    left = amounts.qty + trade.qty
    if left and (left > 0) == (amounts.qty > 0):
        share = (
            divide_half_even(amounts.cost * -trade.qty, amounts.qty * COST_ROUNDING_FACTOR)
            * COST_ROUNDING_FACTOR
        )
        gain = -cost - share
        less = PositionAmounts(left, amounts.cost - share, less_fee + gain, fees)
        return [ExpectedPositionEvent(PositionChanged, less, trade, None)]
    gain = amounts.qty * trade.price - amounts.cost - trade.fee
    closed = PositionAmounts(0, 0, amounts.realized + gain, fees)
    dues = [ExpectedPositionEvent(PositionClosed, closed, trade, gain)]
    if left:
        beyond = closed._replace(qty=left, cost=left * trade.price)
        dues.append(ExpectedPositionEvent(PositionOpened, beyond, trade, None))
    return dues


def to_fixed_point_trade(recorded: RecordedEvent, trade: TradeExecuted) -> FixedPointTrade:
    """`trade` in whole numbers. Raises UnrepresentableAmount."""
    fixed = to_fixed_point(recorded, trade)
    if not fixed.qty:
        raise UnrepresentableAmount(f"a quantity of {trade.qty}")
    return fixed


def to_fixed_point(
    recorded: RecordedEvent, trade: TradeExecuted | TradeCorrected
) -> FixedPointTrade:
    """As `to_fixed_point_trade`; a busted trade has the quantity 0."""
    qty, price, fee = (
        to_units(trade.qty, QTY_PLACES),
        to_units(trade.price, PRICE_PLACES),
        to_units(trade.fee, PRICE_PLACES),
    )
    if not 0 <= qty <= MAX_AMOUNT * 10**QTY_PLACES:
        raise UnrepresentableAmount(f"a quantity of {trade.qty}")
    if max(abs(price), abs(fee)) > MAX_AMOUNT * 10**PRICE_PLACES:
        raise UnrepresentableAmount(f"a price of {trade.price}, a fee of {trade.fee}")
    if not 1 <= len(trade.symbol) <= MAX_SYMBOL_LENGTH:
        raise UnrepresentableAmount(f"a symbol of {len(trade.symbol)} characters")
    return FixedPointTrade(
        location_of(recorded),
        recorded.metadata.id,
        trade.trade_id,
        qty if trade.side is Side.BUY else -qty,
        price,
        fee * 10 ** (COST_PLACES - PRICE_PLACES),
        trade.timestamp,
    )


def to_amounts(position: Position) -> PositionAmounts:
    """`position` in whole numbers. Raises UnrepresentableAmount."""
    return PositionAmounts(
        to_units(position.quantity, QTY_PLACES),
        to_units(position.cost_basis, COST_PLACES),
        to_units(position.realized_pnl, COST_PLACES),
        to_units(position.fees, COST_PLACES),
    )


def split_amounts(amounts: PositionAmounts, shares: int, for_shares: int) -> PositionAmounts:
    """The holding in the new shares. What is too small to be held is lost at its cost."""
    if not amounts.qty:
        return amounts
    qty = divide_half_even(amounts.qty * shares, for_shares)
    if qty:
        return amounts._replace(qty=qty)
    return amounts._replace(qty=0, cost=0, realized=amounts.realized - amounts.cost)


def split_as_trade(recorded: RecordedEvent, split: SplitExecuted) -> FixedPointTrade:
    """The split as the cause of a position's event."""
    return FixedPointTrade(
        location_of(recorded), recorded.metadata.id, split.split_id, 0, 0, 0, split.timestamp
    )
