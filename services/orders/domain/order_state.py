"""The states of an order, as folded from its events. Pure.

Start at `State`.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tapewire.decimals import WIDE_CONTEXT
from tapewire.events import (
    ExecutionTerms,
    Order,
    OrderExecutionCorrected,
    OrderFilled,
    OrderStatus,
)


class BookedExecutions(msgspec.Struct, frozen=True):
    """The executions of an order, numbered from 0. `notional` is the exact sum of price times
    quantity. `terms` is what each counts as, `by_id` has quantity and price of those that a venue
    named, as they were reported first. `corrections` has the number of the execution and its terms
    by the id of each correction. The first `count_before_split` are of the shares before a
    split."""

    notional: Decimal = Decimal(0)
    terms: tuple[ExecutionTerms, ...] = ()
    by_id: Mapping[str, tuple[Decimal, Decimal]] = {}
    numbers: Mapping[str, int] = {}
    corrections: Mapping[str, tuple[int, ExecutionTerms]] = {}
    correction_count: int = 0
    count_before_split: int = 0

    @property
    def count(self) -> int:
        """How many there are; a busted one counts."""
        return len(self.terms)

    def find(self, order_id: str, trade_id: str | None, execution_id: str | None) -> int | None:
        """The number of the execution with this trade id or venue's id; None if there is none."""
        if trade_id is not None:
            prefix, _, digits = trade_id.rpartition("-")
            is_known = prefix == order_id and digits.isascii() and digits.isdigit()
            if not is_known or not 1 <= int(digits) <= self.count:
                return None
            return int(digits) - 1
        if execution_id is None:
            return None
        if execution_id in self.corrections:
            return self.corrections[execution_id][0]
        return self.numbers.get(execution_id)

    def add(self, filled: OrderFilled) -> "BookedExecutions":
        """The executions with that of `filled`."""
        by_id, numbers = self.by_id, self.numbers
        if filled.execution_id is not None:
            by_id = {**by_id, filled.execution_id: (filled.qty, filled.price)}
            numbers = {**numbers, filled.execution_id: self.count}
        terms = ExecutionTerms(qty=filled.qty, price=filled.price, fee=filled.fee)
        return BookedExecutions(
            add_notional(self.notional, filled.qty, filled.price),
            (*self.terms, terms),
            by_id,
            numbers,
            self.corrections,
            self.correction_count,
            self.count_before_split,
        )

    def correct(self, event: OrderExecutionCorrected) -> "BookedExecutions":
        """The executions after the correction."""
        number = self.find(event.order.order_id, event.trade_id, None)
        if number is None:  # the journal does not reach back to the execution
            return self
        corrections = self.corrections
        if event.correction_id is not None:
            corrections = {**corrections, event.correction_id: (number, event.after)}
        return msgspec.structs.replace(
            self,
            notional=self.notional_after(event.before, event.after),
            terms=(*self.terms[:number], event.after, *self.terms[number + 1 :]),
            corrections=corrections,
            correction_count=event.number,
        )

    def notional_after(self, before: ExecutionTerms, after: ExecutionTerms) -> Decimal:
        """The sum of price times quantity with `after` in the place of `before`."""
        without = add_notional(self.notional, before.qty.copy_negate(), before.price)
        return add_notional(without, after.qty, after.price)


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
