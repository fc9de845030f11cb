"""What holds of positions whatever is traded, said a second time and differently: by fractions.

`broken` plays trades through a decider and tells which laws do not hold; none may, and of a mutated
domain at least one must.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction

import msgspec

from tapewire.events import (
    Position,
    PositionChanged,
    PositionClosed,
    PositionEvent,
    PositionOpened,
    Side,
    TradeExecuted,
)
from tapewire.log import Decider
from tapewire_services.positions.domain.position import POSITION_DECIDER, ApplyTradeCommand, State
from tests.unit.positions.spec import Given, given

PRICES = tuple(Fraction(price) for price in ("0", "1", "99.37", "1000000"))
MAX_ROUNDING_ERROR = Fraction(1, 10**8)
"""What rounding the cost of a part may move the average by, dollars a share."""


class ReferenceAccount:
    """The fold in fractions: cash, shares, and the exact average of the open ones."""

    def __init__(self) -> None:
        self.cash = self.quantity = self.average = self.fees = Fraction(0)

    def apply(self, trade: TradeExecuted) -> None:
        qty, price = Fraction(trade.qty), Fraction(trade.price)
        signed = qty if trade.side is Side.BUY else -qty
        self.cash -= signed * price + Fraction(trade.fee)
        self.fees += Fraction(trade.fee)
        after = self.quantity + signed
        if after == 0:
            self.average = Fraction(0)
        elif self.quantity * after <= 0:
            self.average = price
        elif abs(after) > abs(self.quantity):
            self.average = (self.average * self.quantity + price * signed) / after
        self.quantity = after


def find_violations(
    trades: Sequence[TradeExecuted], decider: Decider[State, ApplyTradeCommand] = POSITION_DECIDER
) -> list[str]:
    """The laws that do not hold on the way through `trades`, each said once."""
    return sorted(set(_iter_violations(trades, decider)))


def _iter_violations(
    trades: Sequence[TradeExecuted], decider: Decider[State, ApplyTradeCommand]
) -> Iterator[str]:
    history, account, before, gained = (
        given(decider=decider),
        ReferenceAccount(),
        Decimal(0),
        Fraction(0),
    )
    for number, trade in enumerate(trades, 1):
        events = history.apply_trade(trade)
        account.apply(trade)
        yield from _check_balance(history.traded_state.position, account)
        told = [one for one in events if isinstance(one, PositionEvent)]
        yield from _check_event_types(told, before)
        yield from _check_realized_gain(told, gained)
        yield from _check_repeated_trade(history, trade, number)
        before = history.traded_state.position.quantity
        gained = Fraction(history.traded_state.position.realized_pnl)
        if history.traded_state.trade_sequence != number:
            yield "the position does not say which trade was the last"


def _check_balance(position: Position, account: ReferenceAccount) -> Iterator[str]:
    quantity, cost = Fraction(position.quantity), Fraction(position.cost_basis)
    if quantity != account.quantity:
        yield "the quantity is not the sum of what was bought and sold"
    if Fraction(position.fees) != account.fees:
        yield "the fees are not the sum of the trades' fees"
    for price in PRICES:
        unrealized = quantity * price - cost
        if Fraction(position.realized_pnl) + unrealized != account.cash + account.quantity * price:
            yield "cash and shares are not conserved"
    if quantity and abs(cost / quantity - account.average) > MAX_ROUNDING_ERROR:
        yield "the average entry is another"
    if not quantity and cost:
        yield "what is closed still cost something"
    shown = position.entry_price
    if (shown is None) != (quantity == 0):
        yield "an entry price is shown if and only if nothing is held"
    if shown is not None and Fraction(shown) != Fraction(round(cost / quantity * 10**6), 10**6):
        yield "the entry price is not the average, rounded"


def _check_event_types(events: Sequence[PositionEvent], before: Decimal) -> Iterator[str]:
    for event in events:
        after = event.position.quantity
        if isinstance(event, PositionOpened) and (before or not after):
            yield "opened what was open, or nothing"
        if isinstance(event, PositionChanged) and before * after <= 0:
            yield "changed from, to or through nothing"
        if isinstance(event, PositionClosed) and (not before or after):
            yield "closed what was closed, or not all"
        before = after
    kinds = [type(event) for event in events]
    if len(events) != 1 and kinds != [PositionClosed, PositionOpened]:
        yield "a trade is told by one event, or by a closing and an opening"


def _check_realized_gain(events: Sequence[PositionEvent], before: Fraction) -> Iterator[str]:
    for event in events:
        after = Fraction(event.position.realized_pnl)
        if isinstance(event, PositionClosed) and after != before + Fraction(event.realized):
            yield "a closing tells another gain than it made"
        before = after


def _check_repeated_trade(history: Given, trade: TradeExecuted, last: int) -> Iterator[str]:
    state = history.state
    for number in {1, last // 2 or 1, last}:
        if history.apply_trade(trade, number) or history.state != state:
            yield "a trade taken twice counts twice"
            history.state = state


def split_trade(trade: TradeExecuted, weights: Sequence[int]) -> list[TradeExecuted]:
    """`trade` filled in parts, its fee with the first."""
    unit = Decimal("0.001")
    left, made = trade.qty, list[TradeExecuted]()
    for weight in weights:
        if left > unit * weight:
            made.append(msgspec.structs.replace(trade, qty=unit * weight))
            left -= unit * weight
    made.append(msgspec.structs.replace(trade, qty=left))
    none = Decimal(0)
    return [
        msgspec.structs.replace(part, fee=none if number else trade.fee)
        for number, part in enumerate(made)
    ]
