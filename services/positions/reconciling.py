"""Whether positions equal the fold of all trades, and where not. Pure.

`Reconciliation` is told of trades and of position events, each kind in the order of the log, and of
an event after all trades up to its own. Each is needed only once, so memory grows with the number
of positions, not of trades. Of each position only the first departure is told: what follows from it
would say nothing new.
"""

from collections import deque

import msgspec

from services.positions.domain import POSITIONS, Key, State, taking
from tapewire.events import Position, PositionEvent, TradeExecuted
from tapewire.log import Refusal
from tapewire.runtime.contracts.positions import MOST_DIFFERENCES, Difference, DifferenceKind


class _Book:
    """One position: its fold, and the events that it should have had by now and has not."""

    __slots__ = ("departed", "due", "state")

    def __init__(self) -> None:
        self.state: State = POSITIONS.initial
        self.due: deque[PositionEvent] = deque()
        self.departed = False


class Counts(msgspec.Struct, frozen=True):
    """What was compared."""

    trades: int
    events: int
    positions: int
    pending: int
    unusable: int


class Reconciliation:
    """One comparison. Tell of trades that were taken by now, count the others by `pending`."""

    def __init__(self) -> None:
        self._books: dict[Key, _Book] = {}
        self._trades = self._events = self._pending = self._unusable = 0
        self.differences: list[Difference] = []
        self.differing = 0

    def trade(self, user: str, sequence: int, trade: TradeExecuted) -> None:
        """`user` traded."""
        self._trades += 1
        try:
            command = taking("", user, sequence, trade)
        except Refusal:
            self._unusable += 1
            return
        book = self._books.setdefault(Key(user, trade.symbol), _Book())
        for happening in POSITIONS.decide(book.state, command):
            book.state = POSITIONS.evolve(book.state, happening.event)
            if not book.departed and isinstance(happening.event, PositionEvent):
                book.due.append(happening.event)

    def pending(self) -> None:
        """A trade that was not taken yet."""
        self._trades += 1
        self._pending += 1

    def unreadable(self) -> None:
        """A trade that this program cannot decode: nobody can fold it."""
        self._trades += 1
        self._unusable += 1

    def event(self, user: str, sequence: int, event: PositionEvent) -> None:
        """The log says this of a position."""
        self._events += 1
        key = Key(user, event.position.symbol)
        book = self._books.setdefault(key, _Book())
        if book.departed:
            return
        if not book.due or event.trade_sequence < book.due[0].trade_sequence:
            self._depart(key, book, DifferenceKind.UNEXPECTED, event, sequence, None)
        elif event.trade_sequence > book.due[0].trade_sequence:
            self._depart(key, book, DifferenceKind.MISSING, book.due[0], None, book.due[0])
        elif event != book.due[0]:
            self._depart(key, book, DifferenceKind.DIFFERENT, event, sequence, book.due[0])
        else:
            book.due.popleft()

    def finish(self) -> Counts:
        """All was told: what is still due is missing."""
        for key, book in self._books.items():
            if book.due:
                self._depart(key, book, DifferenceKind.MISSING, book.due[0], None, book.due[0])
        return Counts(self._trades, self._events, len(self._books), self._pending, self._unusable)

    def _depart(
        self,
        key: Key,
        book: _Book,
        kind: DifferenceKind,
        event: PositionEvent,
        sequence: int | None,
        expected: PositionEvent | None,
    ) -> None:
        """`event` is the one concerned: the one found, or the one missing."""
        book.departed = True
        book.due.clear()
        self.differing += 1
        if len(self.differences) >= MOST_DIFFERENCES:
            return
        self.differences.append(
            Difference(
                user_id=key.user,
                symbol=key.symbol,
                kind=kind,
                trade_id=event.trade_id,
                trade_sequence=event.trade_sequence,
                sequence=sequence,
                expected=_position(expected),
                found=event.position if sequence is not None else None,
            )
        )


def _position(event: PositionEvent | None) -> Position | None:
    return event.position if event is not None else None
