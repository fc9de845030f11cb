"""An order as the venue has it, and what happens to its numbers when it is executed or corrected.

It needs nothing but the standard library, because it runs beside a foreign FIX engine.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

Fields = dict[int, str]
"""A message without its header: values by tag."""
Send = Callable[[str, Fields], None]
"""Sends a message of this type."""

NEW, PARTIAL, FILLED, CANCELED, REPLACED = "0", "1", "2", "4", "5"
PENDING_CANCEL, REJECTED, EXPIRED, TRADE, PENDING_REPLACE, STATUS = "6", "8", "C", "F", "E", "I"
PENDING_NEW, CORRECTED, BUSTED = "A", "G", "H"
BUY = "1"
CLOSED = (FILLED, CANCELED, REJECTED, EXPIRED)


Execution = dict[str, str]
"""The ``id``, ``qty`` and ``price`` of an execution, and ``last_id``, that of its last correction.
A busted one has the ``qty`` 0."""


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
    is_reduce_only: bool = False
    is_day: bool = False
    status: str = PENDING_NEW
    cum: Decimal = Decimal(0)
    value: Decimal = Decimal(0)
    executions: list[Execution] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.status not in CLOSED

    @property
    def average(self) -> Decimal:
        return self.value / self.cum if self.cum else Decimal(0)

    @property
    def signed_qty(self) -> Decimal:
        """What the order has added to the position of the account."""
        return self.cum if self.side == BUY else -self.cum

    def execute(self, id_: str, qty: Decimal, price: Decimal) -> Execution:
        """Execute a part of the order, whatever its status."""
        execution = {"id": id_, "last_id": id_, "qty": str(qty), "price": str(price)}
        self.executions.append(execution)
        self.cum += qty
        self.value += qty * price
        if self.is_open:
            self.status = FILLED if self.cum >= self.qty else PARTIAL
        return execution

    def find_execution(self, id_: str) -> Execution:
        """The execution that was first reported as `id_`."""
        return next(one for one in self.executions if one["id"] == id_)

    def correct(self, execution: Execution, id_: str, qty: Decimal, price: Decimal) -> None:
        """An execution is `qty` shares at `price`; 0 shares bust it. An order that has ended is not
        worked again."""
        self.cum += qty - Decimal(execution["qty"])
        self.value += qty * price - Decimal(execution["qty"]) * Decimal(execution["price"])
        execution.update(last_id=id_, qty=str(qty), price=str(price))
        if self.is_open:
            self.status = PARTIAL if self.cum else NEW
        if self.cum >= self.qty:
            self.status = FILLED
        elif self.status == FILLED:
            self.status = CANCELED
