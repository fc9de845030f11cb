"""The invariants of positions: each position is the exact fold of all trades, as they count now.

Every trade results in one event of its user's position in its symbol, or in two if it goes through
zero, in the order of the trades. Amounts are computed in whole numbers of 10^-21 dollars. A trade
without its event is missing if events of later trades exist, else it is pending. A correction of a
trade results in one event, with the fold of all trades as if the trade had always been like this.
"""

from collections import deque

from tapewire.events import (
    PositionClosed,
    PositionCorrected,
    PositionEvent,
    PositionSplit,
    SplitExecuted,
    TradeCorrected,
    TradeExecuted,
)
from tapewire.log import RecordedEvent
from tapewire.verify.findings import Findings
from tapewire.verify.fixed_point import (
    COST_PLACES,
    QTY_PLACES,
    UnrepresentableAmount,
    average_price,
    from_units,
)
from tapewire.verify.invariants.position_amounts import (
    ExpectedPositionEvent,
    FixedPointTrade,
    PositionAmounts,
    expected_position_events,
    split_amounts,
    split_as_trade,
    to_amounts,
    to_fixed_point,
    to_fixed_point_trade,
)
from tapewire.verify.trade_lines import TradeLines


class _ExpectedPosition:
    """A position. Before its first event in a trimmed log, `amounts` is None and trades wait.
    `history` has all trades for corrections."""

    __slots__ = ("amounts", "deferred_trades", "expected_events", "history")

    def __init__(self, amounts: PositionAmounts | None) -> None:
        self.amounts = amounts
        self.expected_events: deque[ExpectedPositionEvent] = deque()
        self.deferred_trades: list[FixedPointTrade] = []
        self.history = TradeLines()


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
            fixed_trade = to_fixed_point_trade(recorded, trade)
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
        expected.history.add(trade.trade_id, trade.qty, trade.price, trade.fee)
        dues = expected_position_events(amounts, trade)
        expected.expected_events.extend(dues)
        expected.amounts = dues[-1].amounts_after

    def apply_split(self, recorded: RecordedEvent, split: SplitExecuted) -> None:
        """Apply a split to every holding of the symbol."""
        for (_, symbol), book in self._positions.items():
            if symbol != split.symbol:
                continue
            if book.amounts is None or not self._has_full_history:
                book.amounts = None
                continue
            book.history.add_split(split.ratio.shares, split.ratio.for_shares)
            if book.amounts.qty:
                trade = split_as_trade(recorded, split)
                book.amounts = split_amounts(
                    book.amounts, split.ratio.shares, split.ratio.for_shares
                )
                due = ExpectedPositionEvent(PositionSplit, book.amounts, trade, None)
                book.expected_events.append(due)

    def apply_correction(self, recorded: RecordedEvent, correction: TradeCorrected) -> None:
        """Apply a correction of a trade. In a trimmed log its position is accepted as it is."""
        key = (recorded.event_subject.owner, correction.symbol)
        book = self._positions.get(key)
        if book is None or book.amounts is None or not self._has_full_history:
            if book is not None:
                book.amounts = None
            return
        try:
            trade = to_fixed_point(recorded, correction)
        except UnrepresentableAmount as error:
            self._findings.report_event(recorded, f"the correction cannot be applied: {error}")
            return
        if not book.history.replace(trade.trade_id, trade.qty, trade.price, trade.fee):
            self._findings.report_event(recorded, f"there is no trade {trade.trade_id}")
        amounts = PositionAmounts()
        for line in book.history.lines():
            if len(line) == 2:
                amounts = split_amounts(amounts, *line)
            else:
                part = trade._replace(qty=line[0], price=line[1], fee=line[2])
                amounts = expected_position_events(amounts, part)[-1].amounts_after
        book.expected_events.append(ExpectedPositionEvent(PositionCorrected, amounts, trade, None))
        book.amounts = amounts

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
            expected.amounts = to_amounts(event.position)
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


def _entry_price(amounts: PositionAmounts, stored: object) -> object:
    return average_price(amounts.cost, amounts.qty, stored) if amounts.qty else None
