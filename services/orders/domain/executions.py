"""The executions of an order: what a simulated broker fills, and what a venue reports. Pure.

A fill of the simulated broker is a proposal. It is rejected if it does not fit the order, never
reduced to fit. An execution that a venue reports is a fact: it is booked on the order and as a
trade, whatever the order's state, and its `exceptions` say what does not fit.
"""

from collections.abc import Sequence
from decimal import Decimal

from tapewire.brokers import MAX_VENUE_ID_LENGTH
from tapewire.decimals import WIDE_CONTEXT, abbreviate, average_price, format_decimal, normalize
from tapewire.events import (
    NO_FEE,
    AlertLevel,
    AlertRaised,
    Event,
    ExecutionException,
    Order,
    OrderFilled,
    OrderStatus,
    Side,
    TradeExecuted,
)
from tapewire.log import CommandRejected
from tapewire.values import ANY_NUMBER, POSITIVE
from tapewire_services.field_validation import validate_decimal_field, validate_text_field
from tapewire_services.orders.domain.commands import (
    QTY,
    BookExecutionCommand,
    FillOrderCommand,
)
from tapewire_services.orders.domain.order_state import (
    ClosedState,
    ExistingState,
    OpenState,
    add_notional,
    change_order,
)

_EXCEPTION_TEXTS = {
    ExecutionException.CLOSED_ORDER: "which was closed",
    ExecutionException.WORSE_THAN_LIMIT: "which is worse than its limit",
    ExecutionException.OVERFILLED: "which is more than was ordered",
}


def trade_of_fill(filled: OrderFilled) -> TradeExecuted:
    """The trade that is stored in one atomic batch with `filled`."""
    order = filled.order
    return TradeExecuted(
        trade_id=filled.trade_id,
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side,
        qty=filled.qty,
        price=filled.price,
        strategy_id=order.strategy_id,
        timestamp=order.timestamp,
        fee=filled.fee,
        execution_id=filled.execution_id,
        venue_time=filled.venue_time,
        exceptions=filled.exceptions,
    )


def alert_of_trade(trade: TradeExecuted) -> AlertRaised | None:
    """The alert that is stored in one atomic batch with `trade`; None if it fits its order."""
    if not trade.exceptions:
        return None
    done = "bought" if trade.side is Side.BUY else "sold"
    why = " and ".join(_EXCEPTION_TEXTS[one] for one in trade.exceptions)
    return AlertRaised(
        alert_id=f"{trade.trade_id}-exception",
        level=AlertLevel.ERROR,
        message=(
            f"The broker {done} {format_decimal(trade.qty)} {trade.symbol} at "
            f"{format_decimal(trade.price)} for order {trade.order_id}, {why}"
        ),
        symbol=trade.symbol,
        rule_id=None,
        timestamp=trade.timestamp,
    )


def decide_fill(state: OpenState, command: FillOrderCommand) -> list[Event]:
    """The fill of a simulated broker and its trade.

    Raises:
        CommandRejected: ``invalid`` or ``conflict``, with the field that does not fit the order.
    """
    order = state.order
    qty, price, fee = _validate_numbers(command)
    if command.splits != order.splits:
        raise CommandRejected("conflict", "the symbol was split meanwhile", "splits")
    if command.filled_before != order.filled_qty:
        message = f"filled {order.filled_qty} so far, not {abbreviate(command.filled_before)}"
        raise CommandRejected("conflict", message, "filledBefore")
    if qty > order.qty - order.filled_qty:
        message = f"only {order.qty - order.filled_qty} is left to fill, not {qty}"
        raise CommandRejected("invalid", message, "qty")
    if _is_worse_than_limit(order, price):
        message = f"{price} is worse than the limit {order.limit_price}"
        raise CommandRejected("invalid", message, "price")
    filled = _fill(state, command, qty, price, fee)
    return [filled, trade_of_fill(filled)]


def decide_execution(state: ExistingState, command: BookExecutionCommand) -> Sequence[Event]:
    """The execution that a venue reported and its trade, with an alert if it does not fit the
    order; nothing if it is booked already.

    Raises:
        CommandRejected: ``invalid`` if its numbers or ids cannot be stored; ``conflict`` if another
            execution with the same id is booked.
    """
    validate_text_field("executionId", command.execution_id, max_length=MAX_VENUE_ID_LENGTH)
    qty, price, fee = _validate_numbers(command)
    booked = state.executions.by_id.get(command.execution_id)
    if booked is not None:
        if booked == (qty, price):
            return []
        message = f"execution {command.execution_id!r} is booked as {booked[0]} at {booked[1]}"
        raise CommandRejected("conflict", message, "executionId")
    filled = _fill(state, command, qty, price, fee)
    trade = trade_of_fill(filled)
    alert = alert_of_trade(trade)
    return [filled, trade] if alert is None else [filled, trade, alert]


def _validate_numbers(
    command: FillOrderCommand | BookExecutionCommand,
) -> tuple[Decimal, Decimal, Decimal]:
    allowed = QTY if isinstance(command, FillOrderCommand) else POSITIVE
    qty = validate_decimal_field("qty", command.qty, allowed)
    price = validate_decimal_field("price", command.price, ANY_NUMBER)
    fee = validate_decimal_field("fee", command.fee, ANY_NUMBER)
    return qty, price, fee or NO_FEE


def _fill(
    state: ExistingState,
    command: FillOrderCommand | BookExecutionCommand,
    qty: Decimal,
    price: Decimal,
    fee: Decimal,
) -> OrderFilled:
    order, executions = state.order, state.executions
    filled_qty = normalize(order.filled_qty + qty)
    quoted_at = offer = execution_id = venue_time = None
    venue_order_id = order.venue_order_id
    if isinstance(command, FillOrderCommand):
        quoted_at, offer = command.quoted_at, command.offer
    else:
        execution_id, venue_time = command.execution_id, command.venue_time
        venue_order_id = command.venue_order_id or venue_order_id
    after = change_order(
        state,
        command.at,
        _status_after_fill(order, filled_qty),
        filled_qty=filled_qty,
        filled_avg_price=average_price(add_notional(executions.notional, qty, price), filled_qty),
        fee_total=normalize(WIDE_CONTEXT.add(order.fee_total, fee)) or NO_FEE,
        reason=_reason_after_fill(state),
        venue_order_id=venue_order_id,
        waiting=None,
    )
    return OrderFilled(
        order=after,
        command_id=command.id,
        trade_id=f"{order.order_id}-{executions.count + 1}",
        qty=qty,
        price=price,
        quoted_at=quoted_at,
        offer=offer,
        fee=fee,
        execution_id=execution_id,
        venue_time=venue_time,
        exceptions=_find_exceptions(state, filled_qty, price),
    )


def _status_after_fill(order: Order, filled_qty: Decimal) -> OrderStatus:
    """A closed order is never open again. An order that waits for a larger quantity is not filled
    before the broker has confirmed or rejected it."""
    is_complete = filled_qty >= order.qty
    if order.replacement is not None and order.replacement.qty > filled_qty:
        is_complete = False
    if is_complete:
        return OrderStatus.FILLED
    if order.status is OrderStatus.NEW:
        return OrderStatus.PARTIALLY_FILLED
    return order.status


def _reason_after_fill(state: ExistingState) -> str | None:
    order = state.order
    if not isinstance(state, ClosedState):
        return None
    if order.status is OrderStatus.FILLED:
        return order.reason
    late = f"executed after it was {order.status.value}"
    if order.reason is None or order.reason.endswith(late):
        return order.reason or late
    return f"{order.reason}; {late}"


def _find_exceptions(
    state: ExistingState, filled_qty: Decimal, price: Decimal
) -> tuple[ExecutionException, ...]:
    order, found = state.order, list[ExecutionException]()
    if isinstance(state, ClosedState):
        found.append(ExecutionException.CLOSED_ORDER)
    if _is_worse_than_limit(order, price):
        found.append(ExecutionException.WORSE_THAN_LIMIT)
    allowed = order.qty
    if order.replacement is not None:
        allowed = max(allowed, order.replacement.qty)
    if filled_qty > allowed:
        found.append(ExecutionException.OVERFILLED)
    return tuple(found)


def _is_worse_than_limit(order: Order, price: Decimal) -> bool:
    if order.limit_price is None:
        return False
    limits = [order.limit_price]
    if order.replacement is not None and order.replacement.limit_price is not None:
        limits.append(order.replacement.limit_price)
    if order.side is Side.BUY:
        return price > max(limits)
    return price < min(limits)
