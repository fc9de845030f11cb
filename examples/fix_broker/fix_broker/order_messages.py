"""Builds the messages on an order: new order, cancel, replace, and the question for its status."""

from datetime import datetime
from decimal import Decimal

import msgspec

from fix_broker.messages import Message, MsgType, Tag, format_time, make_message
from tapewire.events import Order, OrderTerms, OrderType, Side, TimeInForce

SIDES = {Side.BUY: "1", Side.SELL: "2"}
ORDER_TYPES = {
    OrderType.MARKET: "1",
    OrderType.LIMIT: "2",
    OrderType.STOP: "3",
    OrderType.STOP_LIMIT: "4",
}
TIMES_IN_FORCE = {
    TimeInForce.DAY: "0",
    TimeInForce.GTC: "1",
    TimeInForce.IOC: "3",
    TimeInForce.FOK: "4",
}
CLOSE = "C"
"""PositionEffect of a reduce-only order."""


def make_new_order(
    order: Order, at: datetime, account: str | None, *, is_possible_resend: bool
) -> Message:
    """The order under its own id."""
    message = make_message(
        MsgType.NEW_ORDER_SINGLE,
        (Tag.CL_ORD_ID, order.order_id),
        (Tag.ACCOUNT, account),
        *_instrument(order, at),
        *_terms(order, _current_terms(order)),
    )
    return msgspec.structs.replace(message, is_possible_resend=is_possible_resend)


def make_cancel_request(order: Order, at: datetime, request_id: str, current_id: str) -> Message:
    """Ask for the end of the order that its venue knows as `current_id`."""
    return make_message(
        MsgType.ORDER_CANCEL_REQUEST,
        (Tag.ORIG_CL_ORD_ID, current_id),
        (Tag.CL_ORD_ID, request_id),
        *_instrument(order, at),
        (Tag.ORDER_QTY, _number(order.qty)),
    )


def make_replace_request(
    order: Order,
    terms: OrderTerms,
    at: datetime,
    account: str | None,
    *,
    request_id: str,
    current_id: str,
) -> Message:
    """Ask for `terms` of the order that its venue knows as `current_id`. If the venue agrees, it
    knows the order as `request_id`. What stays as it is is sent again, as FIX wants it."""
    return make_message(
        MsgType.ORDER_CANCEL_REPLACE_REQUEST,
        (Tag.ORIG_CL_ORD_ID, current_id),
        (Tag.CL_ORD_ID, request_id),
        (Tag.ACCOUNT, account),
        *_instrument(order, at),
        *_terms(order, terms),
    )


def make_status_request(order: Order, current_id: str, request_id: str) -> Message:
    """Ask what became of the order."""
    return make_message(
        MsgType.ORDER_STATUS_REQUEST,
        (Tag.CL_ORD_ID, current_id),
        (Tag.ORDER_ID, order.venue_order_id),
        (Tag.ORD_STATUS_REQ_ID, request_id),
        (Tag.SYMBOL, order.symbol),
        (Tag.SIDE, SIDES[order.side]),
    )


def _current_terms(order: Order) -> OrderTerms:
    return OrderTerms(qty=order.qty, limit_price=order.limit_price, stop_price=order.stop_price)


def _instrument(order: Order, at: datetime) -> tuple[tuple[Tag, object], ...]:
    return (
        (Tag.SYMBOL, order.symbol),
        (Tag.SIDE, SIDES[order.side]),
        (Tag.TRANSACT_TIME, format_time(at)),
    )


def _terms(order: Order, terms: OrderTerms) -> tuple[tuple[Tag, object], ...]:
    return (
        (Tag.ORDER_QTY, _number(terms.qty)),
        (Tag.ORD_TYPE, ORDER_TYPES[order.type]),
        (Tag.PRICE, _number(terms.limit_price)),
        (Tag.STOP_PX, _number(terms.stop_price)),
        (Tag.TIME_IN_FORCE, TIMES_IN_FORCE[order.time_in_force]),
        (Tag.POSITION_EFFECT, CLOSE if order.reduce_only else None),
    )


def _number(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"
