"""Requests to the orders service: `svc.orders.place`, `cancel`, `replace`, `get`, `list`, `trades`,
and `correct` for operators.

The service rejects requests with the codes ``invalid`` (with the path of the field in JSON:
``qty``, ``limitPrice``, ``stopPrice``, ``clientOrderId``, ``symbol``), ``not_found`` and
``conflict``.
"""

import hashlib
from decimal import Decimal

import msgspec

from tapewire.events import Order, OrderType, Side, SplitExecuted, TimeInForce, TradeRow
from tapewire.runtime.contracts.request import (
    PageReply,
    PageRequest,
    RequestStruct,
    ServiceCall,
    UserId,
)

SERVICE = "orders"
SPLIT = "split"
"""Answered by the process that holds the broker's lease."""
PLACE, CANCEL, REPLACE, GET, LIST, TRADES, CORRECT = (
    "place", "cancel", "replace", "get", "list", "trades", "correct",
)  # fmt: skip

CANCELED_BY_USER = "canceled by the user"
"""The reason of an order that its user canceled."""
NOTHING_TO_REDUCE = "reduce-only: there is no position to reduce"
"""The reason of a reduce-only order that was rejected, or canceled, for want of a position."""


def order_id(user: str, client_order_id: str) -> str:
    """The id of the order that `user` calls `client_order_id`: 32 hexadecimal digits. A client has
    the id before it places the order, even if no answer arrives."""
    named = f"{len(user)}:{user}:{client_order_id}"
    return hashlib.sha256(named.encode()).hexdigest()[:32]


class PlaceOrder(RequestStruct, frozen=True, kw_only=True):
    """Place an order for `user_id`; answered by `OrderReply`.

    `qty` is in shares (above 0, at most 1,000,000, at most 6 decimal places). `limit_price` is in
    dollars a share (above 0, at most 12 digits before the point and 8 decimal places) and is
    required for limit and stop-limit orders only, `stop_price` (with the same bounds) for stop and
    stop-limit orders. Numbers with the noise of floats, of 16 or 17 digits, are rounded to their
    places. `client_order_id` (1 to 64 printable ASCII characters) makes the order idempotent for
    ever; the default is the id of the command. A `reduce_only` order only brings the position in
    its symbol closer to 0; what would not is canceled (`NOTHING_TO_REDUCE`).
    """

    user_id: UserId
    symbol: str
    side: Side
    type: OrderType
    qty: Decimal
    limit_price: Decimal | None = None
    client_order_id: str | None = None
    strategy_id: str | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    splits: int | None = None
    """The splits of the symbol that the terms follow; None for those that the service knows of."""


class CancelOrder(RequestStruct, frozen=True, kw_only=True):
    """Cancel the unfilled part of an order; answered by `OrderReply`. ``conflict`` if it is
    closed. The order is ``pending_cancel`` until the broker has confirmed, which the paper broker
    does at once. A service that cancels for its user says why in `reason`."""

    user_id: UserId
    order_id: str
    reason: str | None = None


class ReplaceOrder(RequestStruct, frozen=True, kw_only=True):
    """Change the terms of an open order, which keeps its id; answered by `OrderReply`. None leaves
    a term as it is. `qty` is the whole order and must be more than what is filled. ``conflict`` if
    the order is closed, or if another change of it is pending. The order is ``pending_replace``
    until the broker has confirmed."""

    user_id: UserId
    order_id: str
    qty: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None


class CorrectExecution(RequestStruct, frozen=True, kw_only=True):
    """An operator corrects an execution of an order, or busts it; answered by `OrderReply`.

    The execution is named by `trade_id`, or by `order_id` and `execution_id`. `qty`, `price` and
    `fee` are what it is from here on; None leaves one as it is. `is_busted`: it never happened.
    Repeating a correction changes nothing. ``not_found`` if there is no such execution,
    ``conflict`` if it is busted already (unless by the same `correction_id`), or if
    `correction_id` names another correction.
    """

    order_id: str | None = None
    execution_id: str | None = None
    trade_id: str | None = None
    correction_id: str | None = None
    qty: Decimal | None = None
    price: Decimal | None = None
    fee: Decimal | None = None
    is_busted: bool = False


class SplitSymbol(RequestStruct, frozen=True, kw_only=True):
    """An operator splits the shares of `symbol`: `shares` take the place of `for_shares`; answered
    by `SplitReply`. Nothing of the symbol is executed from then on until it is quoted again.
    Repeating a split under its `split_id` changes nothing, and tells how far it has come.
    ``conflict`` if the id names another split."""

    split_id: str
    symbol: str
    shares: int
    for_shares: int


class SplitReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The split and its sequences in the journal, by domain. `unsplit_orders` is how many open
    orders have not the terms of the new shares yet."""

    split: SplitExecuted
    sequences: dict[str, int]
    unsplit_orders: int


class GetOrder(RequestStruct, frozen=True, kw_only=True):
    """Get the current state of one order; answered by `OrderReply`."""

    user_id: UserId
    order_id: str


class ListOrders(PageRequest, frozen=True, kw_only=True):
    """List all orders that a user ever placed; answered by `OrdersReply`."""

    user_id: UserId


class ListTrades(PageRequest, frozen=True, kw_only=True):
    """List all trades of a user; answered by `TradesReply`."""

    user_id: UserId


class OrderReply(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The order after the request. `created` is true if this request placed it."""

    order: Order
    created: bool = False


class OrdersReply(PageReply, frozen=True, kw_only=True):
    """Orders as they are now, the one placed last first."""

    orders: list[Order]


class TradesReply(PageReply, frozen=True, kw_only=True):
    """Trades and their corrections, the newest first."""

    trades: list[TradeRow]


PLACE_ORDER = ServiceCall(SERVICE, PLACE, PlaceOrder, OrderReply)
CANCEL_ORDER = ServiceCall(SERVICE, CANCEL, CancelOrder, OrderReply)
REPLACE_ORDER = ServiceCall(SERVICE, REPLACE, ReplaceOrder, OrderReply)
GET_ORDER = ServiceCall(SERVICE, GET, GetOrder, OrderReply)
SPLIT_SYMBOL = ServiceCall(SERVICE, SPLIT, SplitSymbol, SplitReply)
CORRECT_EXECUTION = ServiceCall(SERVICE, CORRECT, CorrectExecution, OrderReply)
LIST_ORDERS = ServiceCall(SERVICE, LIST, ListOrders, OrdersReply)
LIST_TRADES = ServiceCall(SERVICE, TRADES, ListTrades, TradesReply)
CALLS = (
    PLACE_ORDER,
    CANCEL_ORDER,
    REPLACE_ORDER,
    GET_ORDER,
    LIST_ORDERS,
    LIST_TRADES,
    CORRECT_EXECUTION,
    SPLIT_SYMBOL,
)
