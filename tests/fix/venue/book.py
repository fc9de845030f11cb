"""The book of a venue that the tests script: its orders, and what it answers. No FIX engine here.

`VenueBook` decides; `acceptor.py` puts it behind a foreign FIX engine. It needs nothing but the
standard library, because it runs beside that engine.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from venue_orders import (
    BUSTED,
    BUY,
    CANCELED,
    CORRECTED,
    FILLED,
    NEW,
    PARTIAL,
    PENDING_CANCEL,
    PENDING_REPLACE,
    REJECTED,
    REPLACED,
    STATUS,
    TRADE,
    Execution,
    Fields,
    Order,
    Send,
)

CLOSE, DAY = "C", "0"
"""The PositionEffect of a reduce-only order, and the TimeInForce of a day order."""


class VenueBook:
    """All orders of the venue.

    `policy` says what it does by itself: ``accept`` or ``reject`` an order, or ``wait``; and ``do``
    or ``refuse`` a cancel or a replacement, or ``wait`` for the test. `faults` lists what no
    adapter may do.
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

    def describe(self) -> dict[str, Any]:
        """The book as a test reads it."""
        return {
            "faults": self.faults,
            "received": self.received,
            "waiting": [message[11] for _, message in self.waiting],
            "orders": {
                id_: {
                    "ids": order.ids,
                    "status": order.status,
                    "symbol": order.symbol,
                    "side": order.side,
                    "qty": str(order.qty),
                    "price": str(order.price),
                    "stop": str(order.stop),
                    "is_reduce_only": order.is_reduce_only,
                    "cum": str(order.cum),
                    "value": str(order.value),
                    "executions": order.executions,
                }
                for id_, order in self.orders.items()
            },
        }

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

    def decide(self, type_: str, message: Fields, text: str = "too late") -> None:
        """Do what a cancel or a replace request asks for, or refuse it."""
        order = self._find(message[41])
        assert order is not None
        refuses = self.policy["cancel" if type_ == "F" else "replace"] == "refuse"
        wants_more = (
            type_ == "G" and order.status == FILLED and Decimal(message[38]) > order.cum
        )  # FIX 4.4, appendix D, 2.d: filled while a larger quantity was asked for
        if refuses or not (order.is_open or wants_more):
            self._refuse(type_, message, order, text, reason="0")
        elif message[41] != order.ids[-1]:
            self.faults.append(f"{message[11]} names {message[41]}, the order is {order.ids[-1]}")
            self._refuse(type_, message, order, "not the current id", reason="1")
        elif type_ == "F":
            order.status = CANCELED
            self.report(order, CANCELED, {11: message[11], 41: order.ids[-1]})
        else:
            self._replace(order, message)

    def decide_all(self, text: str = "too late") -> None:
        """Decide on every request that waits; `text` is the reason of a refusal."""
        waiting, self.waiting = self.waiting, []
        for type_, message in waiting:
            self.decide(type_, message, text)

    def note_pending(self, message: Fields) -> None:
        """Say that a request which waits was received and is not decided."""
        order = self._find(message[41])
        if order is not None and (fields := self._pending_fields(order)):
            self.report(order, fields[39], fields)

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
            message.get(77) == CLOSE,
            message.get(59) == DAY,
        )
        self.orders[message[11]] = order
        if self.policy["order"] == "accept":
            self.accept(order)
        elif self.policy["order"] == "reject":
            self.reject(order, "not today")

    def _answer_status(self, message: Fields) -> None:
        order = self._find(message[11])
        question = {790: message[790]} if 790 in message else {}
        if order is not None:
            self.report(order, STATUS, question | self._pending_fields(order))
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

    def _pending_fields(self, order: Order) -> Fields:
        """What a status says of a request on the order that waits."""
        may_work = order.is_open or order.status == FILLED
        for type_, message in self.waiting:
            if may_work and message[41] == order.ids[-1]:
                pending = PENDING_CANCEL if type_ == "F" else PENDING_REPLACE
                return {11: message[11], 41: message[41], 39: pending}
        return {}

    def _replace(self, order: Order, message: Fields) -> None:
        order.ids.append(message[11])
        order.qty = Decimal(message[38])
        order.price = Decimal(message[44]) if 44 in message else None
        order.stop = Decimal(message[99]) if 99 in message else None
        order.is_reduce_only = message.get(77) == CLOSE
        if order.cum:
            order.status = FILLED if order.qty <= order.cum else PARTIAL
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
        return self._trade_fields(order, order.execute(f"E{self._count}", qty, price))

    def offer(self, orders: Sequence[Order], qty: Decimal, price: Decimal) -> list[Fields]:
        """Execute open orders, one after the other, against an offer of `qty` shares: of a
        reduce-only order at most what brings the position to 0. Returns the reports, which are not
        sent."""
        reports: list[Fields] = []
        for order in orders:
            executed = min(qty, order.qty - order.cum if order.is_open else Decimal(0))
            if order.is_reduce_only:
                executed = min(executed, self._reducible_qty(order))
            if executed > 0:
                qty -= executed
                reports.append(self.execute(order, executed, price))
        return reports

    def _reducible_qty(self, order: Order) -> Decimal:
        held = sum(one.signed_qty for one in self.orders.values() if one.symbol == order.symbol)
        return Decimal(-held if order.side == BUY else held)

    def correct(self, order: Order, execution_id: str, qty: Decimal, price: Decimal) -> Fields:
        """An execution was `qty` shares at `price`; 0 shares bust it. Returns the report, which is
        not sent."""
        execution = order.find_execution(execution_id)
        referred = {19: execution["last_id"]}
        self._count += 1
        order.correct(execution, f"C{self._count}", qty, price)
        if qty:
            referred |= {32: str(qty), 31: str(price)}
        exec_type = CORRECTED if qty else BUSTED
        return self._report_fields(order, exec_type, {17: execution["last_id"], **referred})

    def repeat(self, order: Order, execution_id: str) -> None:
        """Report an execution once more."""
        self._send("8", self._trade_fields(order, order.find_execution(execution_id)))

    def accept(self, order: Order) -> None:
        """Accept an order."""
        order.status = NEW
        self.report(order, NEW)

    def reject(self, order: Order, text: str) -> None:
        """Reject an order that is not accepted."""
        order.status = REJECTED
        self.report(order, REJECTED, {103: "99", 58: text})

    def report_unknown(self, qty: Decimal, price: Decimal) -> None:
        """Report an execution of an order that was never received."""
        order = Order("V0", ["0123456789abcdef"], "IBM", BUY, qty, price, None, status=NEW)
        self._send("8", self.execute(order, qty, price))

    def end(self, order: Order, status: str, text: str = "") -> None:
        """Cancel or expire an order without being asked."""
        order.status = status
        self.report(order, status, {58: text} if text else {})

    def report(self, order: Order, exec_type: str, changes: Fields | None = None) -> None:
        """Send an execution report."""
        self._send("8", self._report_fields(order, exec_type, changes or {}))

    def _trade_fields(self, order: Order, execution: Execution) -> Fields:
        of_trade = {17: execution["id"], 32: execution["qty"], 31: execution["price"]}
        return self._report_fields(order, TRADE, of_trade)

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
