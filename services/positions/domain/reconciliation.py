"""Whether positions equal the fold of all trades, and where not. Pure.

`Reconciliation` is told of trades and of position events, each kind in the order of the log, and of
an event after all trades up to its own. Each is needed only once, so memory grows with the number
of positions, not of trades. Of each position only the first departure is told: what follows from it
would say nothing new.
"""

from collections import deque

import msgspec

from tapewire.events import Position, PositionEvent, TradeExecuted
from tapewire.log import CommandRejected
from tapewire.runtime.contracts.positions import MAX_LISTED_DIFFERENCES, Difference, DifferenceKind
from tapewire_services.positions.domain.position import (
    POSITION_DECIDER,
    PositionKey,
    State,
    build_trade_command,
)


class _PositionComparison:
    """One position: its fold, and the events that it should have had by now and has not."""

    __slots__ = ("expected_events", "has_differed", "state")

    def __init__(self) -> None:
        self.state: State = POSITION_DECIDER.initial_state
        self.expected_events: deque[PositionEvent] = deque()
        self.has_differed = False


class ReconciliationCounts(msgspec.Struct, frozen=True):
    """What was compared."""

    trades: int
    events: int
    positions: int
    pending: int
    unusable: int


class Reconciliation:
    """One comparison. Tell of trades that were taken by now, count the others by `pending`."""

    def __init__(self) -> None:
        self._comparisons: dict[PositionKey, _PositionComparison] = {}
        self._trade_count = self._event_count = self._pending_count = self._unusable_count = 0
        self.differences: list[Difference] = []
        self.differing_count = 0

    def add_trade(self, user: str, sequence: int, trade: TradeExecuted) -> None:
        """`user` traded."""
        self._trade_count += 1
        try:
            command = build_trade_command("", user, sequence, trade)
        except CommandRejected:
            self._unusable_count += 1
            return
        book = self._comparisons.setdefault(PositionKey(user, trade.symbol), _PositionComparison())
        for happening in POSITION_DECIDER.decide(book.state, command):
            book.state = POSITION_DECIDER.evolve(book.state, happening.event)
            if not book.has_differed and isinstance(happening.event, PositionEvent):
                book.expected_events.append(happening.event)

    def add_pending_trade(self) -> None:
        """A trade that was not taken yet."""
        self._trade_count += 1
        self._pending_count += 1

    def add_unreadable_trade(self) -> None:
        """A trade that this program cannot decode: nobody can fold it."""
        self._trade_count += 1
        self._unusable_count += 1

    def add_position_event(self, user: str, sequence: int, event: PositionEvent) -> None:
        """The log says this of a position."""
        self._event_count += 1
        key = PositionKey(user, event.position.symbol)
        book = self._comparisons.setdefault(key, _PositionComparison())
        if book.has_differed:
            return
        if (
            not book.expected_events
            or event.trade_sequence < book.expected_events[0].trade_sequence
        ):
            self._record_difference(key, book, DifferenceKind.UNEXPECTED, event, sequence, None)
        elif event.trade_sequence > book.expected_events[0].trade_sequence:
            self._record_difference(
                key,
                book,
                DifferenceKind.MISSING,
                book.expected_events[0],
                None,
                book.expected_events[0],
            )
        elif event != book.expected_events[0]:
            self._record_difference(
                key, book, DifferenceKind.DIFFERENT, event, sequence, book.expected_events[0]
            )
        else:
            book.expected_events.popleft()

    def finish(self) -> ReconciliationCounts:
        """All was told: what is still due is missing."""
        for key, book in self._comparisons.items():
            if book.expected_events:
                self._record_difference(
                    key,
                    book,
                    DifferenceKind.MISSING,
                    book.expected_events[0],
                    None,
                    book.expected_events[0],
                )
        return ReconciliationCounts(
            self._trade_count,
            self._event_count,
            len(self._comparisons),
            self._pending_count,
            self._unusable_count,
        )

    def _record_difference(
        self,
        key: PositionKey,
        comparison: _PositionComparison,
        kind: DifferenceKind,
        event: PositionEvent,
        sequence: int | None,
        expected: PositionEvent | None,
    ) -> None:
        """`event` is the one concerned: the one found, or the one missing."""
        comparison.has_differed = True
        comparison.expected_events.clear()
        self.differing_count += 1
        if len(self.differences) >= MAX_LISTED_DIFFERENCES:
            return
        self.differences.append(
            Difference(
                user_id=key.user,
                symbol=key.symbol,
                kind=kind,
                trade_id=event.trade_id,
                trade_sequence=event.trade_sequence,
                sequence=sequence,
                expected=_position_of(expected),
                found=event.position if sequence is not None else None,
            )
        )


def _position_of(event: PositionEvent | None) -> Position | None:
    return event.position if event is not None else None
