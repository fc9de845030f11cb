"""Requests to cancel or to replace an order, and the broker's answers to them. Pure.

Such a request is pending until the broker has answered, and the order may be filled meanwhile. A
request to cancel stays pending while one to replace is answered.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import assert_never

from tapewire.events import (
    Event,
    Order,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderReplaced,
    OrderReplaceRejected,
    OrderReplaceRequested,
    OrderStatus,
    OrderTerms,
)
from tapewire.log import CommandRejected
from tapewire_services.orders.domain.commands import (
    ConfirmReplaceCommand,
    RejectCancelCommand,
    RejectReplaceCommand,
    ReplaceOrderCommand,
    RequestCancelCommand,
    validate_replacement,
)
from tapewire_services.orders.domain.order_state import (
    OpenState,
    change_order,
    status_without_requests,
)

RequestCommand = (
    RequestCancelCommand
    | RejectCancelCommand
    | ReplaceOrderCommand
    | ConfirmReplaceCommand
    | RejectReplaceCommand
)


def decide_request(state: OpenState, command: RequestCommand) -> Sequence[Event]:
    """The events of a request or of the broker's answer; none if nothing was asked for.

    Raises:
        CommandRejected: ``conflict`` if another request is pending, ``invalid`` for terms that the
            order cannot have.
    """
    order, at = state.order, command.at
    match command:
        case RequestCancelCommand():
            if order.status is OrderStatus.PENDING_CANCEL:
                return []
            requested = change_order(state, at, OrderStatus.PENDING_CANCEL)
            return [OrderCancelRequested(order=requested, command_id=command.id)]
        case RejectCancelCommand():
            if order.status is not OrderStatus.PENDING_CANCEL:
                return []
            kept = change_order(state, at, _status_after_cancel(order), reason=command.reason)
            return [OrderCancelRejected(order=kept, command_id=command.id)]
        case ReplaceOrderCommand():
            return _decide_replace(state, command)
        case ConfirmReplaceCommand():
            terms = command.terms or order.replacement
            if terms is None:
                raise CommandRejected("conflict", "nobody asked for other terms of the order")
            return [_replace_terms(state, command, terms)]
        case RejectReplaceCommand():
            if order.replacement is None:
                return []
            status = _status_after_replace(order, order.qty)
            kept = change_order(state, at, status, replacement=None, reason=command.reason)
            return [OrderReplaceRejected(order=kept, command_id=command.id)]
        case _:
            assert_never(command)


def _decide_replace(state: OpenState, command: ReplaceOrderCommand) -> Sequence[Event]:
    order = state.order
    if order.status in (OrderStatus.PENDING_CANCEL, OrderStatus.PENDING_REPLACE):
        raise CommandRejected("conflict", f"the order is {order.status.value} already")
    terms = validate_replacement(order, command)
    if terms == _replaceable_terms(order):
        return []
    if not command.needs_confirmation:
        return [_replace_terms(state, command, terms)]
    requested = change_order(state, command.at, OrderStatus.PENDING_REPLACE, replacement=terms)
    return [OrderReplaceRequested(order=requested, command_id=command.id)]


def _replace_terms(
    state: OpenState, command: ReplaceOrderCommand | ConfirmReplaceCommand, terms: OrderTerms
) -> OrderReplaced:
    replaced = change_order(
        state,
        command.at,
        _status_after_replace(state.order, terms.qty),
        qty=terms.qty,
        limit_price=terms.limit_price,
        stop_price=terms.stop_price,
        replacement=None,
    )
    return OrderReplaced(order=replaced, command_id=command.id)


def _status_after_cancel(order: Order) -> OrderStatus:
    if order.replacement is not None:
        return OrderStatus.PENDING_REPLACE
    return status_without_requests(order.qty, order.filled_qty)


def _status_after_replace(order: Order, qty: Decimal) -> OrderStatus:
    status = status_without_requests(qty, order.filled_qty)
    if status.is_open and order.status is OrderStatus.PENDING_CANCEL:
        return order.status
    return status


def _replaceable_terms(order: Order) -> OrderTerms:
    return OrderTerms(qty=order.qty, limit_price=order.limit_price, stop_price=order.stop_price)
