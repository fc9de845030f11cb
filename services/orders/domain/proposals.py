"""What the paper broker's book proposes to report. Pure."""

from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.brokers import OpenOrder
from tapewire.events import QuotedOffer, TimeInForce, WaitingReason

DAY_IS_OVER = "the day is over"


class PendingExecution(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal to execute `qty` shares of an order at `price`, from `offer`, which the quote at
    `quoted_at` has."""

    open_order: OpenOrder
    qty: Decimal
    price: Decimal
    offer: QuotedOffer
    quoted_at: datetime


class PendingTrigger(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal to note that the market has reached the order's stop price."""

    open_order: OpenOrder


class PendingCancel(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal to cancel the rest of an order, and why."""

    open_order: OpenOrder
    reason: str


PendingChange = PendingTrigger | PendingCancel


def reason_of_immediate_end(open_order: OpenOrder, waiting: WaitingReason | None) -> str:
    """Why an order that never rests is canceled. `waiting`: why nothing could be executed."""
    order = open_order.order
    name = order.time_in_force.value
    if order.filled_qty:
        return f"{name}: nothing more could be executed at once"
    if waiting is not None:
        return f"{name}: nothing could be executed at once ({waiting.value})"
    if order.time_in_force is TimeInForce.FOK:
        return f"{name}: it could not be executed in full at once"
    return f"{name}: nothing could be executed at once"
