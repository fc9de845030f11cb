"""The laws of positions: each is the fold of all trades, to the last digit.

Every trade makes one event of its user's position in its symbol, or two when it goes through zero,
in the order of the trades. The figures are reckoned in whole numbers of 10^-21 dollars. A trade
without its event is missing when events of later trades are there, else it is pending.
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
from tapewire.log import Recorded
from tapewire.verify.figures import (
    COST,
    ENTRY,
    MOST,
    PRICE,
    QTY,
    NoFigure,
    average,
    decimal,
    halves,
    units,
)
from tapewire.verify.findings import Findings, Place, place

FINER = 10 ** (COST - 18)
"""What is left of a cost when it is rounded to 18 places."""
SYMBOL_LENGTH = 64


class Held(NamedTuple):
    """Shares (`QTY`) and dollars (`COST`), as whole numbers."""

    qty: int = 0
    cost: int = 0
    realized: int = 0
    fees: int = 0


class Taken(NamedTuple):
    """A trade, reckoned. `qty` is below 0 when sold."""

    at: Place
    event_id: str
    trade_id: str
    qty: int
    price: int
    fee: int
    timestamp: datetime


class Due(NamedTuple):
    """An event that a trade makes."""

    kind: type[PositionEvent]
    held: Held
    trade: Taken
    realized: int | None


class _Book:
    """A position. Before the first event in a trimmed log, `held` is None and trades wait."""

    __slots__ = ("due", "held", "waiting")

    def __init__(self, held: Held | None) -> None:
        self.held = held
        self.due: deque[Due] = deque()
        self.waiting: list[Taken] = []


class Positions:
    """The law. `frontier` is the trade that the last position event of all was for, `first` the
    first event of the log."""

    def __init__(self, findings: Findings, *, frontier: int, first: int) -> None:
        self._findings = findings
        self._frontier = frontier
        self._first = first
        self._whole = first <= 1
        self._books: dict[tuple[str, str], _Book] = {}

    def __len__(self) -> int:
        return sum(1 for book in self._books.values() if book.held and book.held.qty)

    def trade(self, recorded: Recorded, trade: TradeExecuted) -> None:
        """Take a trade."""
        try:
            taken = _taken(recorded, trade)
        except NoFigure as error:
            self._findings.at(recorded, f"no position can be made of the trade: {error}")
            return
        key = (recorded.place.owner, trade.symbol)
        book = self._books.get(key)
        if book is None:
            book = self._books[key] = _Book(Held() if self._whole else None)
        if book.held is None:
            book.waiting.append(taken)
        else:
            self._fold(book, book.held, taken)

    def _fold(self, book: _Book, held: Held, taken: Taken) -> None:
        dues = made(held, taken)
        book.due.extend(dues)
        book.held = dues[-1].held

    def position(self, recorded: Recorded, event: PositionEvent) -> None:
        """Take an event of a position."""
        key = (recorded.place.owner, event.position.symbol)
        self._findings.compare(recorded, "symbol", key[1], recorded.place.entity)
        book = self._books.get(key)
        if book is None:
            book = self._books[key] = _Book(Held() if self._whole else None)
        if not self._whole and (book.held is None or event.trade_sequence < self._first):
            self._adopt(recorded, event, book)
            return
        while book.due and book.due[0].trade.at.sequence < event.trade_sequence:
            self._missing(book.due.popleft())
        if not book.due or book.due[0].trade.at.sequence != event.trade_sequence:
            self._unexpected(recorded, event)
            return
        self._compare(recorded, event, book.due.popleft())

    def _unexpected(self, recorded: Recorded, event: PositionEvent) -> None:
        what = f"trade {event.trade_id} at {event.trade_sequence} does not make this event"
        self._findings.at(recorded, what)

    def _adopt(self, recorded: Recorded, event: PositionEvent, book: _Book) -> None:
        """The log does not reach back to what the event is made of: it is believed, and gone on
        from; but of a position that a trade closed, only the next: that trade may open it again."""
        book.waiting += dict.fromkeys(due.trade for due in book.due)
        book.due.clear()
        book.held = None
        if isinstance(event, PositionClosed):
            return
        try:
            book.held = _held(event.position)
        except NoFigure as error:
            self._findings.at(recorded, str(error))
            return
        waiting, book.waiting = book.waiting, []
        for taken in waiting:
            if taken.at.sequence > event.trade_sequence:
                self._fold(book, book.held, taken)

    def _compare(self, recorded: Recorded, event: PositionEvent, due: Due) -> None:
        findings, position, trade = self._findings, event.position, due.trade
        told = (
            ("the event", type(event).__name__, due.kind.__name__),
            ("tradeId", event.trade_id, trade.trade_id),
            ("causation", recorded.meta.causation, trade.event_id),
            ("quantity", position.quantity, decimal(due.held.qty, QTY)),
            ("costBasis", position.cost_basis, decimal(due.held.cost, COST)),
            ("entryPrice", position.entry_price, _entry(due.held)),
            ("realizedPnl", position.realized_pnl, decimal(due.held.realized, COST)),
            ("fees", position.fees, decimal(due.held.fees, COST)),
            ("timestamp", position.timestamp, trade.timestamp),
        )
        for name, found, expected in told:
            if found != expected:
                findings.compare(recorded, name, found, expected)
        if isinstance(event, PositionClosed) and due.realized is not None:
            findings.compare(recorded, "realized", event.realized, decimal(due.realized, COST))

    def _missing(self, due: Due) -> None:
        self._findings.after(due.trade.at, f"no {due.kind.__name__} came of the trade")

    def finish(self) -> None:
        """All was told."""
        self._findings.entities["positions"] += len(self._books)
        for book in self._books.values():
            for due in book.due:
                if due.trade.at.sequence <= self._frontier:
                    self._missing(due)
                else:
                    self._findings.pending["trades into positions"] += 1


def made(held: Held, trade: Taken) -> list[Due]:
    """What the trade makes of what is held."""
    cost, fees = trade.qty * trade.price, held.fees + trade.fee
    less_fee = held.realized - trade.fee
    if not held.qty or (held.qty > 0) == (trade.qty > 0):
        kind = PositionChanged if held.qty else PositionOpened
        more = Held(held.qty + trade.qty, held.cost + cost, less_fee, fees)
        return [Due(kind, more, trade, None)]
    left = held.qty + trade.qty
    if left and (left > 0) == (held.qty > 0):
        share = halves(held.cost * -trade.qty, held.qty * FINER) * FINER
        gain = -cost - share
        less = Held(left, held.cost - share, less_fee + gain, fees)
        return [Due(PositionChanged, less, trade, None)]
    gain = held.qty * trade.price - held.cost - trade.fee
    closed = Held(0, 0, held.realized + gain, fees)
    dues = [Due(PositionClosed, closed, trade, gain)]
    if left:
        beyond = closed._replace(qty=left, cost=left * trade.price)
        dues.append(Due(PositionOpened, beyond, trade, None))
    return dues


def _taken(recorded: Recorded, trade: TradeExecuted) -> Taken:
    qty, price, fee = units(trade.qty, QTY), units(trade.price, PRICE), units(trade.fee, PRICE)
    if not 0 < qty <= MOST * 10**QTY:
        raise NoFigure(f"a quantity of {trade.qty}")
    if not 0 <= price <= MOST * 10**PRICE or abs(fee) > MOST * 10**PRICE:
        raise NoFigure(f"a price of {trade.price}, a fee of {trade.fee}")
    if not 1 <= len(trade.symbol) <= SYMBOL_LENGTH:
        raise NoFigure(f"a symbol of {len(trade.symbol)} characters")
    return Taken(
        place(recorded),
        recorded.meta.id,
        trade.trade_id,
        qty if trade.side is Side.BUY else -qty,
        price,
        fee * 10 ** (COST - PRICE),
        trade.timestamp,
    )


def _held(position: Position) -> Held:
    return Held(
        units(position.quantity, QTY),
        units(position.cost_basis, COST),
        units(position.realized_pnl, COST),
        units(position.fees, COST),
    )


def _entry(held: Held) -> object:
    return decimal(average(held.cost, held.qty), ENTRY) if held.qty else None
