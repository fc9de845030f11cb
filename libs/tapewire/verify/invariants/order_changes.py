"""What each event may change on an order, and the status that it leaves.

Start at `expected_status` and `find_forbidden_changes`.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from tapewire.events import (
    ExecutionException,
    Order,
    OrderCanceled,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderEvent,
    OrderExecutionCorrected,
    OrderFailed,
    OrderFilled,
    OrderPlaced,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRejected,
    OrderReplaceRequested,
    OrderSplit,
    OrderStatus,
    OrderTriggered,
    Side,
)

IMMUTABLE_FIELDS = ("order_id", "client_order_id", "symbol", "side", "type", "strategy_id",
         "time_in_force", "reduce_only")  # fmt: skip
"""Fields that never change."""
_CHANGING_EVENTS: dict[str, tuple[type[OrderEvent], ...]] = {
    "qty": (OrderReplaced, OrderSplit),
    "limit_price": (OrderReplaced, OrderSplit),
    "stop_price": (OrderReplaced, OrderSplit),
    "splits": (OrderSplit,),
    "triggered_at": (OrderTriggered,),
    "filled_qty": (OrderFilled, OrderExecutionCorrected, OrderSplit),
    "filled_avg_price": (OrderFilled, OrderExecutionCorrected, OrderSplit),
    "fee_total": (OrderFilled, OrderExecutionCorrected),
}
"""The events that may change a field."""
_JSON_NAMES = {field.name: field.encode_name for field in msgspec.structs.fields(Order)}
_STATUS_BY_EVENT: dict[type[OrderEvent], OrderStatus] = {
    OrderPlaced: OrderStatus.NEW,
    OrderCanceled: OrderStatus.CANCELED,
    OrderRejected: OrderStatus.REJECTED,
    OrderFailed: OrderStatus.FAILED,
    OrderCancelRequested: OrderStatus.PENDING_CANCEL,
    OrderReplaceRequested: OrderStatus.PENDING_REPLACE,
}
_ANSWERS = (OrderReplaced, OrderReplaceRejected)


def find_forbidden_changes(before: Order, event: OrderEvent) -> Iterator[tuple[str, Any, Any]]:
    """Fields that the event must not change: the name, its value, and the one that it had."""
    order = event.order
    for name, json_name in _JSON_NAMES.items():
        found, expected = getattr(order, name), getattr(before, name)
        kinds = _CHANGING_EVENTS.get(name, ())
        if (
            found != expected
            and (name in IMMUTABLE_FIELDS or kinds)
            and not isinstance(event, kinds)
        ):
            yield json_name, found, expected
    is_asked = isinstance(event, OrderReplaceRequested)
    if isinstance(event, OrderSplit):
        return
    if not is_asked:
        is_over = isinstance(event, _ANSWERS) or not order.status.is_open
        expected = None if is_over else before.replacement
        if order.replacement != expected:
            yield "replacement", order.replacement, expected
    elif order.replacement is None:
        yield "replacement", None, "what was asked for"


def expected_status(before: Order, event: OrderEvent) -> OrderStatus:
    """The status of the order after `event`."""
    fixed = _STATUS_BY_EVENT.get(type(event))
    if fixed is not None:
        return fixed
    order = event.order
    if isinstance(event, OrderExecutionCorrected):
        return _status_after_correction(before, event)
    if isinstance(event, OrderFilled):
        wanted = order.qty if before.replacement is None else before.replacement.qty
        if order.filled_qty >= max(order.qty, wanted):
            return OrderStatus.FILLED
        return OrderStatus.PARTIALLY_FILLED if before.status is OrderStatus.NEW else before.status
    if isinstance(event, OrderCancelRejected) and before.replacement is not None:
        return OrderStatus.PENDING_REPLACE
    if not isinstance(event, (OrderCancelRejected, *_ANSWERS)):
        return before.status
    if order.filled_qty >= order.qty:
        return OrderStatus.FILLED
    if before.status is OrderStatus.PENDING_CANCEL and not isinstance(event, OrderCancelRejected):
        return before.status
    return OrderStatus.PARTIALLY_FILLED if order.filled_qty else OrderStatus.NEW


def _status_after_correction(before: Order, event: OrderExecutionCorrected) -> OrderStatus:
    """A closed order stays closed, and canceled is what was filled and no longer is."""
    filled_qty, was = event.order.filled_qty, before.status
    asked = before.qty if before.replacement is None else before.replacement.qty
    if filled_qty >= max(before.qty, asked):
        return OrderStatus.FILLED
    if was is OrderStatus.FILLED:
        return OrderStatus.CANCELED
    if was not in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED):
        return was
    return OrderStatus.PARTIALLY_FILLED if filled_qty else OrderStatus.NEW


def expected_exceptions(before: Order, event: OrderFilled) -> tuple[ExecutionException, ...]:
    """Why the execution does not fit the order as it was."""
    asked = before.replacement
    limits = [before.limit_price] if before.limit_price is not None else []
    quantities = [before.qty]
    if asked is not None:
        quantities.append(asked.qty)
        limits += [asked.limit_price] if asked.limit_price is not None else []
    facts = {
        ExecutionException.CLOSED_ORDER: not before.status.is_open,
        ExecutionException.WORSE_THAN_LIMIT: bool(limits)
        and _is_worse(before.side, event.price, limits),
        ExecutionException.OVERFILLED: event.order.filled_qty > max(quantities),
    }
    return tuple(one for one, is_so in facts.items() if is_so)


def _is_worse(side: Side, price: Decimal, limits: list[Decimal]) -> bool:
    return price > max(limits) if side is Side.BUY else price < min(limits)
