"""The events of an order.

Each event carries the order after it, so a reader needs no earlier event to show it (decision
record 0003).
"""

import enum
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from tapewire.events.catalogue import Event, event
from tapewire.events.fields import PER_SHARE, SHARES, UTC_TIME, about


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
    def is_open(self) -> bool:
        """Whether the order may still change."""
        return self in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)


class WaitingReason(enum.Enum):
    """Why an open order rests although it could be executed at the last known price."""

    STALE_QUOTE = "stale_quote"
    CROSSED = "crossed"
    NO_OFFER = "no_offer"
    NO_QUOTE = "no_quote"


class Order(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An order as clients see it. Quantities are in shares, prices in dollars a share.

    `timestamp` is the time of the last change, UTC. `filled_avg_price` is rounded to six places.
    `waiting` is absent from JSON while it is None.
    """

    order_id: Annotated[str, about("32 hexadecimal digits made of the user and `clientOrderId`")]
    client_order_id: Annotated[str, about("what its user calls it; idempotent for ever")]
    symbol: Annotated[str, about("what is traded, as the market calls it")]
    side: Annotated[Side, about("buy or sell")]
    type: Annotated[OrderType, about("market: at the touch; limit: at `limitPrice` or better")]
    qty: Annotated[Decimal, about("what was asked for", SHARES)]
    limit_price: Annotated[
        Decimal | None,
        about("the worst price it may be executed at, null for a market order", PER_SHARE),
    ]
    status: Annotated[OrderStatus, about("where it is in its life")]
    filled_qty: Annotated[Decimal, about("executed so far", SHARES)]
    filled_avg_price: Annotated[
        Decimal | None,
        about("average of what was executed, rounded to six places, null before", PER_SHARE),
    ]
    strategy_id: Annotated[
        str | None, about("the strategy it is for, null when a person placed it")
    ]
    reason: Annotated[str | None, about("why it was canceled or rejected, or failed, in words")]
    timestamp: Annotated[datetime, about("when it last changed", UTC_TIME)]
    waiting: Annotated[
        WaitingReason | None,
        about(
            "what an order waits for that could be executed at the last known price: a quote that "
            "is not stale or not crossed, an offer with a size, a first quote; absent while it "
            "waits for nothing but its price"
        ),
    ] = None


class QuotedOffer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One offer of the paper broker's market: an ask or a bid from its appearance to its change."""

    number: Annotated[int, about("counts the offers of the symbol and side")]
    size: Annotated[Decimal, about("what was offered in all", SHARES)]


class OrderEvent(Event, frozen=True, kw_only=True):
    """The order after the event, and the id of the command that caused it, which is the idempotency
    key."""

    order: Annotated[Order, about("the order as it is afterwards")]
    command_id: Annotated[str, about("the command that caused it: the key of idempotency")]


@event("order.placed", subject="ev.{user}.orders.{orderId}")
class OrderPlaced(OrderEvent, frozen=True, kw_only=True):
    """A user placed the order. The broker has not accepted it yet."""


@event("order.accepted", subject="ev.{user}.orders.{orderId}")
class OrderAccepted(OrderEvent, frozen=True, kw_only=True):
    """The broker works the order."""


@event("order.waiting", subject="ev.{user}.orders.{orderId}")
class OrderWaiting(OrderEvent, frozen=True, kw_only=True):
    """`order.waiting` has changed, and has lasted for some hundred milliseconds. A fill and the end
    of an order clear it without this event."""


@event("order.filled", subject="ev.{user}.orders.{orderId}")
class OrderFilled(OrderEvent, frozen=True, kw_only=True, omit_defaults=True):
    """`qty` shares were executed at `price`. The order's status says whether it is filled
    completely."""

    trade_id: Annotated[str, about("the execution's id, that of its trade.executed")]
    qty: Annotated[Decimal, about("executed by this fill", SHARES)]
    price: Annotated[Decimal, about("what it was executed at", PER_SHARE)]
    quoted_at: Annotated[
        datetime | None, about("`timestamp` of the quote whose offer it was taken from", UTC_TIME)
    ] = None
    offer: Annotated[
        QuotedOffer | None, about("the paper broker's offer that it was taken from")
    ] = None


@event("order.canceled", subject="ev.{user}.orders.{orderId}")
class OrderCanceled(OrderEvent, frozen=True, kw_only=True):
    """Nothing more will be executed; `order.reason` says why."""


@event("order.rejected", subject="ev.{user}.orders.{orderId}")
class OrderRejected(OrderEvent, frozen=True, kw_only=True):
    """The broker rejected the order; `order.reason` says why."""


@event("order.failed", subject="ev.{user}.orders.{orderId}")
class OrderFailed(OrderEvent, frozen=True, kw_only=True):
    """The broker could not execute the order, which is not at fault; `order.reason` says why."""
