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
from tapewire.events.fields import DOLLARS, PER_SHARE, SHARES, UTC_TIME, about
from tapewire.events.order_types import OrderType, TimeInForce


class Side(enum.Enum):
    BUY = "buy"
    SELL = "sell"


class OrderStatus(enum.Enum):
    """`PENDING_CANCEL` and `PENDING_REPLACE` mean that the broker has not confirmed yet. The order
    may still be filled until it has."""

    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    FAILED = "failed"

    @property
    def is_open(self) -> bool:
        """Whether the order may still change."""
        return self not in _CLOSED_STATUSES


_CLOSED_STATUSES = frozenset(
    {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.FAILED}
)


class WaitingReason(enum.Enum):
    """Why an open order rests although it could be executed at the last known price."""

    STALE_QUOTE = "stale_quote"
    CROSSED = "crossed"
    NO_OFFER = "no_offer"
    NO_QUOTE = "no_quote"


NO_FEE = Decimal(0)
"""The default of a fee. Fields with this very object are not stored."""


class ExecutionException(enum.Enum):
    """Why an execution that a venue reported does not fit its order. It is booked all the same."""

    CLOSED_ORDER = "closed_order"
    WORSE_THAN_LIMIT = "worse_than_limit"
    OVERFILLED = "overfilled"


class OrderTerms(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The terms of an order that can be replaced."""

    qty: Annotated[Decimal, about("the whole order, what is filled included", SHARES)]
    limit_price: Annotated[Decimal | None, about("null for an order without one", PER_SHARE)]
    stop_price: Annotated[Decimal | None, about("null for an order without one", PER_SHARE)]


class Order(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An order as clients see it. Quantities are in shares, prices in dollars a share.

    `timestamp` is the time of the last change, UTC. `filled_avg_price` is rounded to eight places.
    A field with a default is absent while it has its default.
    """

    order_id: Annotated[str, about("32 hexadecimal digits made of the user and `clientOrderId`")]
    client_order_id: Annotated[str, about("what its user calls it; idempotent for ever")]
    symbol: Annotated[str, about("what is traded, as the market calls it")]
    side: Annotated[Side, about("buy or sell")]
    type: Annotated[
        OrderType,
        about(
            "market: at the touch; limit: at `limitPrice` or better; "
            "stop, stop_limit: as these once the market has reached `stopPrice`"
        ),
    ]
    qty: Annotated[Decimal, about("what was asked for", SHARES)]
    limit_price: Annotated[
        Decimal | None,
        about(
            "the worst price it may be executed at, null for a market or a stop order", PER_SHARE
        ),
    ]
    status: Annotated[OrderStatus, about("where it is in its life")]
    filled_qty: Annotated[Decimal, about("executed so far", SHARES)]
    filled_avg_price: Annotated[
        Decimal | None,
        about("average of what was executed, rounded to eight places, null before", PER_SHARE),
    ]
    strategy_id: Annotated[
        str | None, about("the strategy it is for, null when a person placed it")
    ]
    reason: Annotated[
        str | None, about("why it waits, was canceled or rejected, or failed, in words")
    ]
    timestamp: Annotated[datetime, about("when it last changed", UTC_TIME)]
    waiting: Annotated[
        WaitingReason | None,
        about(
            "what an order waits for that could be executed at the last known price: a quote that "
            "is not stale or not crossed, an offer with a size, a first quote; absent while it "
            "waits for nothing but its price"
        ),
    ] = None
    stop_price: Annotated[
        Decimal | None, about("the price that triggers a stop or stop_limit order", PER_SHARE)
    ] = None
    time_in_force: Annotated[
        TimeInForce,
        about(
            "day: until the end of the day; gtc: until it is canceled; ioc: at once, the rest is "
            "canceled; fok: at once in full, or not at all"
        ),
    ] = TimeInForce.GTC
    reduce_only: Annotated[
        bool, about("it only ever brings the position in its symbol closer to 0")
    ] = False
    triggered_at: Annotated[
        datetime | None, about("when the market had reached `stopPrice`", UTC_TIME)
    ] = None
    replacement: Annotated[
        OrderTerms | None, about("the terms that were asked for and are not confirmed yet")
    ] = None
    fee_total: Annotated[
        Decimal, about("the fees of its executions, rebates taken off", DOLLARS)
    ] = NO_FEE
    venue_order_id: Annotated[str | None, about("what the broker's venue calls it")] = None
    splits: Annotated[int, about("the splits of its symbol that its terms follow")] = 0


class ExecutionTerms(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an execution is booked as. A busted one has the quantity 0 and no fee."""

    qty: Annotated[Decimal, about("what changed hands, 0 if it was busted", SHARES)]
    price: Annotated[Decimal, about("at which price", PER_SHARE)]
    fee: Annotated[Decimal, about("below 0 when it is a rebate", DOLLARS)]


class QuotedOffer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One offer of the paper broker's market: an ask or a bid from its appearance to its change."""

    number: Annotated[int, about("counts the offers of the symbol and side")]
    size: Annotated[Decimal, about("what was offered in all", SHARES)]
    volume: Annotated[Decimal, about("what others had traded of the symbol by then", SHARES)]


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
    fee: Annotated[Decimal, about("below 0 when it is a rebate", DOLLARS)] = NO_FEE
    execution_id: Annotated[str | None, about("what the broker's venue calls the execution")] = None
    venue_time: Annotated[
        datetime | None, about("when it was executed, as the venue reported it", UTC_TIME)
    ] = None
    exceptions: Annotated[
        tuple[ExecutionException, ...],
        about("why the execution does not fit the order; it counts all the same"),
    ] = ()


@event("order.execution_corrected", subject="ev.{user}.orders.{orderId}")
class OrderExecutionCorrected(OrderEvent, frozen=True, kw_only=True, omit_defaults=True):
    """The venue or an operator corrected an execution of the order, or busted it: `after` has the
    quantity 0. The order's sums are as if it had always been executed like this. A closed order is
    not opened again; one that was filled and no longer is becomes canceled."""

    trade_id: Annotated[str, about("the execution's id, that of its trade.executed")]
    before: Annotated[ExecutionTerms, about("what it was booked as until now")]
    after: Annotated[ExecutionTerms, about("what it is booked as from here on")]
    number: Annotated[int, about("counts the corrections of the order, from 1")]
    execution_id: Annotated[str | None, about("what the broker's venue calls the execution")] = None
    correction_id: Annotated[str | None, about("what the venue calls the correction")] = None


@event("order.split", subject="ev.{user}.orders.{orderId}")
class OrderSplit(OrderEvent, frozen=True, kw_only=True):
    """The symbol was split: the order has the quantities and prices of the new shares."""

    split_id: Annotated[str, about("the split")]


@event("order.canceled", subject="ev.{user}.orders.{orderId}")
class OrderCanceled(OrderEvent, frozen=True, kw_only=True):
    """Nothing more will be executed; `order.reason` says why."""


@event("order.cancel_requested", subject="ev.{user}.orders.{orderId}")
class OrderCancelRequested(OrderEvent, frozen=True, kw_only=True):
    """The broker was asked to cancel the order, and has not confirmed yet."""


@event("order.cancel_rejected", subject="ev.{user}.orders.{orderId}")
class OrderCancelRejected(OrderEvent, frozen=True, kw_only=True):
    """The broker does not cancel the order, which works on; `order.reason` says why."""


@event("order.replace_requested", subject="ev.{user}.orders.{orderId}")
class OrderReplaceRequested(OrderEvent, frozen=True, kw_only=True):
    """The broker was asked for the terms of `order.replacement`, and has not confirmed yet."""


@event("order.replaced", subject="ev.{user}.orders.{orderId}")
class OrderReplaced(OrderEvent, frozen=True, kw_only=True):
    """The order has other terms from here on."""


@event("order.replace_rejected", subject="ev.{user}.orders.{orderId}")
class OrderReplaceRejected(OrderEvent, frozen=True, kw_only=True):
    """The broker keeps the order's terms; `order.reason` says why."""


@event("order.triggered", subject="ev.{user}.orders.{orderId}")
class OrderTriggered(OrderEvent, frozen=True, kw_only=True):
    """The market has reached the order's stop price."""


@event("order.rejected", subject="ev.{user}.orders.{orderId}")
class OrderRejected(OrderEvent, frozen=True, kw_only=True):
    """The broker rejected the order; `order.reason` says why."""


@event("order.failed", subject="ev.{user}.orders.{orderId}")
class OrderFailed(OrderEvent, frozen=True, kw_only=True):
    """The broker could not execute the order, which is not at fault; `order.reason` says why."""
