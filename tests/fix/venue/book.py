"""The book of a venue that the tests script: its orders, and what it answers. No FIX engine here.

`VenueBook` decides; `tests.fix.venue.acceptor` puts it behind a foreign FIX engine. It needs nothing
but the standard library, because it runs beside that engine, in an environment without Tapewire.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

Fields = dict[int, str]
"""A message without its header: values by tag."""
Send = Callable[[str, Fields], None]
"""Sends a message of this type."""

NEW, PARTIAL, FILLED, CANCELED, REPLACED = "0", "1", "2", "4", "5"
PENDING_CANCEL, REJECTED, EXPIRED, TRADE, PENDING_REPLACE, STATUS = "6", "8", "C", "F", "E", "I"
TRIGGERED = "L"
CLOSED = (FILLED, CANCELED, REJECTED, EXPIRED)


@dataclass
class Order:
    """An order as the venue has it. `ids` are its ClOrdIDs, the current one last."""

    venue_id: str
    ids: list[str]
    symbol: str
    side: str
    qty: Decimal
    price: Decimal | None
    stop: Decimal | None
    status: str = NEW
    cum: Decimal = Decimal(0)
    value: Decimal = Decimal(0)
    executions: list[dict[str, str]] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.status not in CLOSED

    @property
    def average(self) -> Decimal:
        return self.value / self.cum if self.cum else Decimal(0)


class VenueBook:
    """All orders of the venue.

    `policy` says what it does by itself: ``accept`` or ``reject`` an order, and ``do`` or ``refuse``
    a cancel or a replacement, or ``wait`` for the test. `faults` lists what no adapter may do.
    """

    def __init__(self, send: Send, clock: Callable[[], str]) -> None:
        self.orders: dict[str, Order] = {}
        self.faults: list[str] = []
        self.received: dict[str, int] = {}
        self.policy = {"order": "accept", "cancel": "do", "replace": "do"}
        self.waiting: list[tuple[str, Fields]] = []
        self._send = send
        self._clock = clock
        self._count = 0

    # What the adapter asks for

    def receive(self, type_: str, message: Fields, *, is_possible_resend: bool) -> None:
        """Take an application message."""
        self.received[type_] = self.received.get(type_, 0) + 1
        if type_ == "D":
            self._receive_order(message, is_possible_resend)
        elif type_ == "H":
            self._answer_status(message)
        elif self._find(message[41]) is None:
            self._refuse(type_, message, None, "unknown order", reason="1")
        elif self.policy["cancel" if type_ == "F" else "replace"] == "wait":
            self.waiting.append((type_, message))
        else:
            self.decide(type_, message)

    def decide(self, type_: str, message: Fields) -> None:
        """Do what a cancel or a replace request asks for, or refuse it."""
        order = self._find(message[41])
        assert order is not None
        refuses = self.policy["cancel" if type_ == "F" else "replace"] == "refuse"
        if not order.is_open or refuses:
            self._refuse(type_, message, order, "too late", reason="0")
        elif message[41] != order.ids[-1]:
            self.faults.append(f"{message[11]} names {message[41]}, the order is {order.ids[-1]}")
            self._refuse(type_, message, order, "not the current id", reason="1")
        elif type_ == "F":
            order.status = CANCELED
            self.report(order, CANCELED, {11: message[11], 41: order.ids[-1]})
        else:
            self._replace(order, message)

    def decide_all(self) -> None:
        """Decide on every request that waits."""
        waiting, self.waiting = self.waiting, []
        for type_, message in waiting:
            self.decide(type_, message)

    def note_pending(self, type_: str, message: Fields) -> None:
        """Say that a request was received and is not decided."""
        order = self._find(message[41])
        if order is not None and order.is_open and message[41] == order.ids[-1]:
            pending = PENDING_CANCEL if type_ == "F" else PENDING_REPLACE
            self.report(order, pending, {11: message[11], 41: message[41], 39: pending})

    def _receive_order(self, message: Fields, is_possible_resend: bool) -> None:
        known = self._find(message[11])
        if known is not None:
            if not is_possible_resend:
                self.faults.append(f"{message[11]} was sent twice")
            self.report(known, REJECTED, {39: REJECTED, 103: "6", 58: "duplicate"})
            return
        self._count += 1
        order = Order(
            f"V{self._count}",
            [message[11]],
            message[55],
            message[54],
            Decimal(message[38]),
            Decimal(message[44]) if 44 in message else None,
            Decimal(message[99]) if 99 in message else None,
        )
        self.orders[message[11]] = order
        if self.policy["order"] == "reject":
            order.status = REJECTED
            self.report(order, REJECTED, {103: "99", 58: "not today"})
        else:
            self.report(order, NEW)

    def _answer_status(self, message: Fields) -> None:
        order = self._find(message[11])
        question = {790: message[790]} if 790 in message else {}
        if order is not None:
            self.report(order, STATUS, question)
            return
        self._send(
            "8",
            {
                37: "NONE",
                11: message[11],
                17: "0",
                150: STATUS,
                39: REJECTED,
                103: "5",
                55: message[55],
                54: message[54],
                151: "0",
                14: "0",
                6: "0",
                **question,
            },
        )

    def _replace(self, order: Order, message: Fields) -> None:
        order.ids.append(message[11])
        order.qty = Decimal(message[38])
        order.price = Decimal(message[44]) if 44 in message else None
        order.stop = Decimal(message[99]) if 99 in message else None
        if order.qty <= order.cum:
            order.status = FILLED
        self.report(order, REPLACED, {41: message[41]})

    def _refuse(
        self, type_: str, message: Fields, order: Order | None, text: str, *, reason: str
    ) -> None:
        self._send(
            "9",
            {
                37: order.venue_id if order is not None else "NONE",
                11: message[11],
                41: message[41],
                39: order.status if order is not None else REJECTED,
                434: "1" if type_ == "F" else "2",
                102: reason,
                58: text,
            },
        )

    # What happens at the venue

    def execute(self, order: Order, qty: Decimal, price: Decimal) -> Fields:
        """Execute a part of an order. Returns the report, which is not sent."""
        self._count += 1
        execution = {"id": f"E{self._count}", "qty": str(qty), "price": str(price)}
        order.executions.append(execution)
        order.cum += qty
        order.value += qty * price
        if order.is_open:
            order.status = FILLED if order.cum >= order.qty else PARTIAL
        return self._report_fields(
            order, TRADE, {17: execution["id"], 32: str(qty), 31: str(price)}
        )

    def end(self, order: Order, status: str) -> None:
        """Cancel or expire an order without being asked."""
        order.status = status
        self.report(order, status)

    def report(self, order: Order, exec_type: str, changes: Fields | None = None) -> None:
        """Send an execution report."""
        self._send("8", self._report_fields(order, exec_type, changes or {}))

    def _report_fields(self, order: Order, exec_type: str, changes: Fields) -> Fields:
        self._count += 1
        fields = {
            37: order.venue_id,
            11: order.ids[-1],
            17: f"R{self._count}",
            150: exec_type,
            39: order.status,
            55: order.symbol,
            54: order.side,
            38: str(order.qty),
            151: str(max(order.qty - order.cum, Decimal(0)) if order.is_open else 0),
            14: str(order.cum),
            6: f"{order.average:.8f}",
            60: self._clock(),
        }
        if order.price is not None:
            fields[44] = str(order.price)
        if order.stop is not None:
            fields[99] = str(order.stop)
        return {**fields, **changes}

    def _find(self, cl_ord_id: str) -> Order | None:
        return self.orders.get(cl_ord_id.partition("-")[0])


class RandomMarket:
    """Lets things happen at a venue, by a seed: fills, also late and twice, and cancels."""

    def __init__(self, book: VenueBook, send: Send, seed: int) -> None:
        self._book = book
        self._send = send
        self._rng = random.Random(seed)
        self._late: list[Fields] = []

    def step(self) -> None:
        """Something happens, or nothing."""
        working = [order for order in self._book.orders.values() if order.is_open]
        for order in self._rng.sample(working, min(len(working), 4)):
            self._happen(order)
        for request in self._book.waiting[:]:
            if self._rng.random() < 0.5:
                self._book.waiting.remove(request)
                self._decide(*request)
        for report in self._late[:]:
            if self._rng.random() < 0.2:
                self._late.remove(report)
                self._send("8", report)

    def finish(self) -> None:
        """Decide and report everything that waits, and end what is open."""
        self._book.decide_all()
        for report in self._late:
            self._send("8", report)
        self._late.clear()
        for order in self._book.orders.values():
            if order.is_open:
                self._book.end(order, self._rng.choice((CANCELED, EXPIRED)))

    def _happen(self, order: Order) -> None:
        dice = self._rng.random()
        if dice < 0.02:
            self._book.end(order, self._rng.choice((CANCELED, EXPIRED)))
        elif dice < 0.6:
            self._fill(order)

    def _fill(self, order: Order) -> None:
        left = order.qty - order.cum
        if left <= 0:
            return
        qty = left if self._rng.random() < 0.3 else min(left, Decimal(self._rng.randint(1, 9)))
        price = order.price or Decimal(self._rng.randint(9500, 10500)) / 100
        report = self._book.execute(order, qty, price)
        dice = self._rng.random()
        if dice < 0.2:
            self._late.append(report)
            return
        self._send("8", report)
        if dice < 0.3:
            self._send("8", report)  # the same execution under another sequence number

    def _decide(self, type_: str, message: Fields) -> None:
        if self._rng.random() < 0.3:
            self._book.note_pending(type_, message)
        self._book.policy["cancel" if type_ == "F" else "replace"] = (
            "refuse" if self._rng.random() < 0.1 else "do"
        )
        self._book.decide(type_, message)
        self._book.policy.update(cancel="wait", replace="wait")
