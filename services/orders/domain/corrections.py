"""Corrections of executions, and their busts: what they change on the order and its trade. Pure.

A venue (or an operator for it) says that an execution was other than reported, or never happened.
The sums of the order become what they would be if it had been reported like this. An order that
works goes on working with what is left to execute. A closed order stays closed: a venue works it
again only by a new order. Start at `decide_correction`.
"""

from collections.abc import Sequence
from decimal import Decimal

from tapewire.brokers import MAX_VENUE_ID_LENGTH
from tapewire.decimals import WIDE_CONTEXT, average_price, format_decimal, normalize
from tapewire.events import (
    NO_FEE,
    AlertLevel,
    AlertRaised,
    Event,
    ExecutionTerms,
    OrderExecutionCorrected,
    OrderStatus,
    Side,
    TradeCorrected,
)
from tapewire.log import CommandRejected
from tapewire.values import ANY_NUMBER, POSITIVE
from tapewire_services.field_validation import validate_decimal_field, validate_text_field
from tapewire_services.orders.domain.commands import CorrectExecutionCommand
from tapewire_services.orders.domain.order_state import ExistingState, change_order

EXECUTED_BEFORE_SPLIT = (
    "it was executed before a split of the symbol: correct it by an execution of the new shares"
)


def decide_correction(state: ExistingState, command: CorrectExecutionCommand) -> Sequence[Event]:
    """The correction of the order, that of its trade, and an alert; nothing if it was booked
    before, or if it changes nothing. One with an id is booked even so: the next correction may name
    the execution by it.

    Raises:
        CommandRejected: ``invalid`` if its numbers or ids cannot be stored; ``not_found`` if the
            order has no such execution; ``conflict`` if the execution is busted (a venue that
            busts it again changes nothing), or if another correction with the same id is booked.
    """
    order, executions = state.order, state.executions
    for path, id_ in (
        ("executionId", command.execution_id),
        ("correctionId", command.correction_id),
    ):
        if id_ is not None:
            validate_text_field(path, id_, max_length=MAX_VENUE_ID_LENGTH)
    number = executions.find(order.order_id, command.trade_id, command.execution_id)
    if number is None:
        path = "executionId" if command.trade_id is None else "tradeId"
        named = command.execution_id if command.trade_id is None else command.trade_id
        raise CommandRejected("not_found", f"the order has no execution {named!r}", path)
    before = executions.terms[number]
    after = _terms_after(before, command)
    booked = executions.corrections.get(command.correction_id or "")
    if booked is not None:
        if booked == (number, after) or booked == (number, _terms_after(booked[1], command)):
            return []
        message = f"another correction {command.correction_id!r} is booked"
        raise CommandRejected("conflict", message, "correctionId")
    if after == before and not _must_be_noted(before, command):
        return []
    if number < executions.count_before_split or order.splits < command.splits:
        raise CommandRejected("conflict", EXECUTED_BEFORE_SPLIT)
    if not before.qty:
        raise CommandRejected("conflict", "the execution is busted already: nothing is changed")
    corrected = _correct(state, command, number, before, after)
    trade = trade_of_correction(corrected)
    return [corrected, trade, alert_of_correction(trade)]


def _must_be_noted(before: ExecutionTerms, command: CorrectExecutionCommand) -> bool:
    """Whether a correction that changes nothing is booked or rejected, not ignored."""
    if not before.qty:
        return command.from_operator
    return command.correction_id is not None


def _terms_after(before: ExecutionTerms, command: CorrectExecutionCommand) -> ExecutionTerms:
    if command.is_busted:
        return ExecutionTerms(qty=Decimal(0), price=before.price, fee=NO_FEE)
    qty, price, fee = before.qty, before.price, before.fee
    if command.qty is not None:
        qty = validate_decimal_field("qty", command.qty, POSITIVE)
    if command.price is not None:
        price = validate_decimal_field("price", command.price, ANY_NUMBER)
    if command.fee is not None:
        fee = validate_decimal_field("fee", command.fee, ANY_NUMBER)
    return ExecutionTerms(qty=qty, price=price, fee=fee or NO_FEE)


def _correct(
    state: ExistingState,
    command: CorrectExecutionCommand,
    number: int,
    before: ExecutionTerms,
    after: ExecutionTerms,
) -> OrderExecutionCorrected:
    order, executions = state.order, state.executions
    filled_qty = normalize(
        WIDE_CONTEXT.add(order.filled_qty, WIDE_CONTEXT.subtract(after.qty, before.qty))
    )
    fee_change = WIDE_CONTEXT.subtract(after.fee, before.fee)
    notional = executions.notional_after(before, after)
    status = status_after_correction(state, filled_qty)
    reason = order.reason
    if status is OrderStatus.CANCELED and order.status is OrderStatus.FILLED:
        reason = "an execution was busted" if not after.qty else "an execution was corrected"
    names = {index: id_ for id_, index in executions.numbers.items()}
    return OrderExecutionCorrected(
        order=change_order(
            state,
            command.at,
            status,
            filled_qty=filled_qty,
            filled_avg_price=average_price(notional, filled_qty) if filled_qty else None,
            fee_total=normalize(WIDE_CONTEXT.add(order.fee_total, fee_change)) or NO_FEE,
            reason=reason,
            waiting=order.waiting,
        ),
        command_id=command.id,
        trade_id=f"{order.order_id}-{number + 1}",
        before=before,
        after=after,
        number=executions.correction_count + 1,
        execution_id=names.get(number),
        correction_id=command.correction_id,
    )


def status_after_correction(state: ExistingState, filled_qty: Decimal) -> OrderStatus:
    """The status of the order once `filled_qty` shares are executed. A closed order is never open
    again: one that was filled and no longer is becomes canceled."""
    order = state.order
    wanted = order.qty if order.replacement is None else max(order.qty, order.replacement.qty)
    if filled_qty >= wanted:
        return OrderStatus.FILLED
    if order.status is OrderStatus.FILLED:
        return OrderStatus.CANCELED
    if order.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED):
        return OrderStatus.PARTIALLY_FILLED if filled_qty else OrderStatus.NEW
    return order.status


def trade_of_correction(corrected: OrderExecutionCorrected) -> TradeCorrected:
    """The correction of the trade, which is stored in one atomic batch with `corrected`."""
    order, after = corrected.order, corrected.after
    return TradeCorrected(
        trade_id=corrected.trade_id,
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side,
        qty=after.qty,
        price=after.price,
        strategy_id=order.strategy_id,
        timestamp=order.timestamp,
        before=corrected.before,
        number=corrected.number,
        fee=after.fee or NO_FEE,
        execution_id=corrected.execution_id,
        correction_id=corrected.correction_id,
    )


def alert_of_correction(trade: TradeCorrected) -> AlertRaised:
    """The alert that is stored in one atomic batch with `trade`."""
    done = "bought" if trade.side is Side.BUY else "sold"
    before, after = trade.before, ExecutionTerms(qty=trade.qty, price=trade.price, fee=trade.fee)
    was = f"it {done} {_describe_terms(before)} {trade.symbol} for order {trade.order_id}"
    message = f"The broker busted an execution: {was}"
    if trade.qty:
        message = f"The broker corrected an execution: {was}; it is {_describe_terms(after)}"
    return AlertRaised(
        alert_id=f"{trade.order_id}-correction-{trade.number}",
        level=AlertLevel.ERROR,
        message=message,
        symbol=trade.symbol,
        rule_id=None,
        timestamp=trade.timestamp,
    )


def _describe_terms(terms: ExecutionTerms) -> str:
    fee = f" with a fee of {format_decimal(terms.fee)}" if terms.fee else ""
    return f"{format_decimal(terms.qty)} at {format_decimal(terms.price)}{fee}"
