"""A user's open orders, and the most recently closed ones.

Every order event carries the order after it. The view retains the newest state of each order and
drops the oldest closed one beyond `MAX_CLOSED_ORDERS`.
"""

from typing import ClassVar, Self

from tapewire.events import CODEC, Event, Order, OrderEvent

MAX_CLOSED_ORDERS = 200
"""Closed orders that the view retains."""


class OrdersView:
    """The orders of one user."""

    domain: ClassVar[str] = "orders"

    def __init__(self) -> None:
        self._change_count = 0
        self._open: dict[str, tuple[int, Order]] = {}
        self._closed: dict[str, tuple[int, Order]] = {}

    def apply(self, event: Event) -> None:
        """Apply one event of the user's orders."""
        if isinstance(event, OrderEvent):
            self._upsert(event.order)

    def orders(self) -> list[Order]:
        """Open and recently closed orders, the most recently changed last."""
        return [
            order
            for _, order in sorted(
                [*self._closed.values(), *self._open.values()], key=_change_number
            )
        ]

    def open_orders(self) -> list[Order]:
        """The open orders, in no particular order."""
        return [order for _, order in self._open.values()]

    @property
    def open_order_count(self) -> int:
        return len(self._open)

    def encode(self) -> bytes:
        return CODEC.encode(self.orders())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        view = cls()
        for order in CODEC.decode(data, list[Order]):
            view._upsert(order)
        return view

    def _upsert(self, order: Order) -> None:
        self._change_count += 1
        self._open.pop(order.order_id, None)
        if order.status.is_open:
            self._open[order.order_id] = (self._change_count, order)
            return
        self._closed.pop(order.order_id, None)
        self._closed[order.order_id] = (self._change_count, order)
        if len(self._closed) > MAX_CLOSED_ORDERS:
            del self._closed[next(iter(self._closed))]


def _change_number(entry: tuple[int, Order]) -> int:
    return entry[0]
