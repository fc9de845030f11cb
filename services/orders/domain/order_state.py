"""The states of an order, as folded from its events. Pure.

Start at `State`.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tapewire.decimals import WIDE_CONTEXT
from tapewire.events import Order, OrderFilled, OrderStatus


class BookedExecutions(msgspec.Struct, frozen=True):
    """The executions of an order. `notional` is the exact sum of price times quantity. `by_id` has
    quantity and price of those that a venue named."""

    notional: Decimal = Decimal(0)
    count: int = 0
    by_id: Mapping[str, tuple[Decimal, Decimal]] = {}

    def add(self, filled: OrderFilled) -> "BookedExecutions":
        """The executions with that of `filled`."""
        by_id = self.by_id
        if filled.execution_id is not None:
            by_id = {**by_id, filled.execution_id: (filled.qty, filled.price)}
        return BookedExecutions(
            add_notional(self.notional, filled.qty, filled.price), self.count + 1, by_id
        )


class UnplacedState(msgspec.Struct, frozen=True):
    """No event yet."""


class _AnyPlacedState(msgspec.Struct, frozen=True):
    """`placed` is the order as it was placed. `seen_command_ids` includes
    `placed_by_command_id`."""

    order: Order
    placed: Order
    placed_by_command_id: str
    seen_command_ids: tuple[str, ...]
    executions: BookedExecutions = BookedExecutions()


class PlacedState(_AnyPlacedState, frozen=True):
    """Placed, and not yet accepted."""


class WorkingState(_AnyPlacedState, frozen=True):
    """Accepted by the broker."""


class ClosedState(_AnyPlacedState, frozen=True):
    """Filled, canceled, rejected or failed. Only executions that a venue reports are booked."""


OpenState = PlacedState | WorkingState
ExistingState = OpenState | ClosedState
State = UnplacedState | ExistingState


def change_order(
    state: ExistingState, at: datetime, status: OrderStatus | None = None, **changes: Any
) -> Order:
    """The order with `changes`, without a reason unless `changes` has one. A closed order waits for
    nothing. Commands come from several clocks; the order's timestamp never decreases."""
    order = state.order
    status = status or order.status
    if not status.is_open:
        changes |= {"replacement": None, "waiting": None}
    return msgspec.structs.replace(
        order,
        status=status,
        timestamp=max(order.timestamp, at),
        **{"reason": None, **changes},
    )


def status_without_requests(qty: Decimal, filled_qty: Decimal) -> OrderStatus:
    """The status of an order that works, unless a request to cancel or replace it is pending."""
    if filled_qty >= qty:
        return OrderStatus.FILLED
    return OrderStatus.PARTIALLY_FILLED if filled_qty else OrderStatus.NEW


def add_notional(notional: Decimal, qty: Decimal, price: Decimal) -> Decimal:
    """`notional` and price times quantity, exactly."""
    return WIDE_CONTEXT.fma(qty, price, notional)
