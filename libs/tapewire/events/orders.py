"""What can happen to an order.

Each event carries the order as it is afterwards, so that a reader who joins anywhere needs no
earlier event to show it (docs/adr/0003).
"""

import enum
from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.events.catalogue import Event, event


class Side(enum.Enum):
    BUY = "buy"
    SELL = "sell"


class OrderType(enum.Enum):
    MARKET = "market"
    LIMIT = "limit"


class OrderStatus(enum.Enum):
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    FAILED = "failed"

    @property
    def open(self) -> bool:
        """Whether anything can still happen to the order."""
        return self in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)


class Order(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An order as clients see it. Quantities are shares, prices dollars a share.

    `timestamp` is when it last changed, UTC. `filled_avg_price` is rounded to six places.
    """

    order_id: str
    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    qty: Decimal
    limit_price: Decimal | None
    status: OrderStatus
    filled_qty: Decimal
    filled_avg_price: Decimal | None
    strategy_id: str | None
    reason: str | None
    timestamp: datetime


class OrderEvent(Event, frozen=True, kw_only=True):
    """The order after the event, and the command that caused it (the key of idempotency)."""

    order: Order
    command_id: str


@event("order.placed")
class OrderPlaced(OrderEvent, frozen=True, kw_only=True):
    """A user wants this order; nothing is promised yet."""


@event("order.accepted")
class OrderAccepted(OrderEvent, frozen=True, kw_only=True):
    """The broker works the order."""


@event("order.filled")
class OrderFilled(OrderEvent, frozen=True, kw_only=True):
    """`qty` shares were executed at `price`; the order's status tells whether that was all."""

    trade_id: str
    qty: Decimal
    price: Decimal


@event("order.canceled")
class OrderCanceled(OrderEvent, frozen=True, kw_only=True):
    """Nothing more will be executed; `order.reason` says why."""


@event("order.rejected")
class OrderRejected(OrderEvent, frozen=True, kw_only=True):
    """The broker refuses the order; `order.reason` says why."""


@event("order.failed")
class OrderFailed(OrderEvent, frozen=True, kw_only=True):
    """The broker could not do it through no fault of the order; `order.reason` says why."""
