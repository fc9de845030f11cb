"""The invariants of positions: each position is the exact fold of all trades.

Every trade results in one event of its user's position in its symbol, or in two if it goes through
zero, in the order of the trades. Amounts are computed in whole numbers of 10^-21 dollars. A trade
without its event is missing if events of later trades exist, else it is pending.
"""

from collections import deque
from datetime import datetime
from typing import NamedTuple

from tapewire.events import (
    Position,
    PositionChanged,
    PositionClosed,
    PositionEvent,
    PositionOpened,
    Side,
    TradeExecuted,
)
from tapewire.log import RecordedEvent
from tapewire.verify.findings import EventLocation, Findings, location_of
from tapewire.verify.fixed_point import (
    COST_PLACES,
    MAX_AMOUNT,
    PRICE_PLACES,
    QTY_PLACES,
    UnrepresentableAmount,
    average_price,
    divide_half_even,
    from_units,
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


class _ExpectedPosition:
    """A position. Before its first event in a trimmed log, `held` is None and trades wait."""

    __slots__ = ("amounts", "deferred_trades", "expected_events")

    def __init__(self, amounts: PositionAmounts | None) -> None:
        self.amounts = amounts
        self.expected_events: deque[ExpectedPositionEvent] = deque()
        self.deferred_trades: list[FixedPointTrade] = []


class PositionInvariants:
    """Checks positions. `last_position_trade_sequence` is that of the trade that the last position
    event is for; `first_sequence` is the first sequence of the log."""

    def __init__(
        self, findings: Findings, *, last_position_trade_sequence: int, first_sequence: int
    ) -> None:
        self._findings = findings
        self._last_position_trade_sequence = last_position_trade_sequence
        self._first_sequence = first_sequence
        self._has_full_history = first_sequence <= 1
        self._positions: dict[tuple[str, str], _ExpectedPosition] = {}

    def __len__(self) -> int:
        return sum(1 for book in self._positions.values() if book.amounts and book.amounts.qty)

    def apply_trade(self, recorded: RecordedEvent, trade: TradeExecuted) -> None:
        """Apply a trade."""
        try:
            fixed_trade = _to_fixed_point_trade(recorded, trade)
        except UnrepresentableAmount as error:
            self._findings.report_event(recorded, f"the trade cannot be applied: {error}")
            return
        key = (recorded.event_subject.owner, trade.symbol)
        book = self._positions.get(key)
        if book is None:
            book = self._positions[key] = _ExpectedPosition(
                PositionAmounts() if self._has_full_history else None
            )
        if book.amounts is None:
            book.deferred_trades.append(fixed_trade)
        else:
            self._apply_trade(book, book.amounts, fixed_trade)

    def _apply_trade(
        self, expected: _ExpectedPosition, amounts: PositionAmounts, trade: FixedPointTrade
    ) -> None:
        dues = expected_position_events(amounts, trade)
        expected.expected_events.extend(dues)
        expected.amounts = dues[-1].amounts_after

    def check_position(self, recorded: RecordedEvent, event: PositionEvent) -> None:
        """Check an event of a position."""
        key = (recorded.event_subject.owner, event.position.symbol)
        self._findings.compare(recorded, "symbol", key[1], recorded.event_subject.entity)
        book = self._positions.get(key)
        if book is None:
            book = self._positions[key] = _ExpectedPosition(
                PositionAmounts() if self._has_full_history else None
            )
        if not self._has_full_history and (
            book.amounts is None or event.trade_sequence < self._first_sequence
        ):
            self._adopt_position(recorded, event, book)
            return
        while (
            book.expected_events
            and book.expected_events[0].trade.location.sequence < event.trade_sequence
        ):
            self._report_missing(book.expected_events.popleft())
        if (
            not book.expected_events
            or book.expected_events[0].trade.location.sequence != event.trade_sequence
        ):
            self._report_unexpected(recorded, event)
            return
        self._compare(recorded, event, book.expected_events.popleft())

    def _report_unexpected(self, recorded: RecordedEvent, event: PositionEvent) -> None:
        what = f"trade {event.trade_id} at {event.trade_sequence} does not make this event"
        self._findings.report_event(recorded, what)

    def _adopt_position(
        self, recorded: RecordedEvent, event: PositionEvent, expected: _ExpectedPosition
    ) -> None:
        """Accept an event whose history was trimmed, and continue from it. After a trade that
        closed the position, accept only the next event, because the same trade may open it again.
        """
        expected.deferred_trades += dict.fromkeys(due.trade for due in expected.expected_events)
        expected.expected_events.clear()
        expected.amounts = None
        if isinstance(event, PositionClosed):
            return
        try:
            expected.amounts = _to_amounts(event.position)
        except UnrepresentableAmount as error:
            self._findings.report_event(recorded, str(error))
            return
        waiting, expected.deferred_trades = expected.deferred_trades, []
        for trade in waiting:
            if trade.location.sequence > event.trade_sequence:
                self._apply_trade(expected, expected.amounts, trade)

    def _compare(
        self, recorded: RecordedEvent, event: PositionEvent, expected_event: ExpectedPositionEvent
    ) -> None:
        findings, position, trade = self._findings, event.position, expected_event.trade
        fields = (
            ("the event", type(event).__name__, expected_event.event_type.__name__),
            ("tradeId", event.trade_id, trade.trade_id),
            ("causation", recorded.metadata.causation, trade.event_id),
            (
                "quantity",
                position.quantity,
                from_units(expected_event.amounts_after.qty, QTY_PLACES),
            ),
            (
                "costBasis",
                position.cost_basis,
                from_units(expected_event.amounts_after.cost, COST_PLACES),
            ),
            (
                "entryPrice",
                position.entry_price,
                _entry_price(expected_event.amounts_after, position.entry_price),
            ),
            (
                "realizedPnl",
                position.realized_pnl,
                from_units(expected_event.amounts_after.realized, COST_PLACES),
            ),
            ("fees", position.fees, from_units(expected_event.amounts_after.fees, COST_PLACES)),
            ("timestamp", position.timestamp, trade.timestamp),
        )
        for name, found, expected in fields:
            if found != expected:
                findings.compare(recorded, name, found, expected)
        if isinstance(event, PositionClosed) and expected_event.realized is not None:
            findings.compare(
                recorded,
                "realized",
                event.realized,
                from_units(expected_event.realized, COST_PLACES),
            )

    def _report_missing(self, expected_event: ExpectedPositionEvent) -> None:
        self._findings.report_at(
            expected_event.trade.location,
            f"no {expected_event.event_type.__name__} came of the trade",
        )

    def finish(self) -> None:
        """Report trades without a position event at the end of the log."""
        self._findings.entity_counts["positions"] += len(self._positions)
        for book in self._positions.values():
            for due in book.expected_events:
                if due.trade.location.sequence <= self._last_position_trade_sequence:
                    self._report_missing(due)
                else:
                    self._findings.pending_counts["trades into positions"] += 1


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


def _to_fixed_point_trade(recorded: RecordedEvent, trade: TradeExecuted) -> FixedPointTrade:
    qty, price, fee = (
        to_units(trade.qty, QTY_PLACES),
        to_units(trade.price, PRICE_PLACES),
        to_units(trade.fee, PRICE_PLACES),
    )
    if not 0 < qty <= MAX_AMOUNT * 10**QTY_PLACES:
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


def _to_amounts(position: Position) -> PositionAmounts:
    return PositionAmounts(
        to_units(position.quantity, QTY_PLACES),
        to_units(position.cost_basis, COST_PLACES),
        to_units(position.realized_pnl, COST_PLACES),
        to_units(position.fees, COST_PLACES),
    )


def _entry_price(amounts: PositionAmounts, stored: object) -> object:
    return average_price(amounts.cost, amounts.qty, stored) if amounts.qty else None
