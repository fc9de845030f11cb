"""The invariants of the orders that a strategy begins: those of its rule, and those of its exits.

Orders are numbered. An order of the rule is over the strategy's quantity, a closing order over
exactly its position. Start at `check_order_begun`.
"""

from decimal import Decimal

from tapewire.events import (
    Action,
    ExitReason,
    Side,
    StopLossExecuted,
    StopLossTriggered,
    Strategy,
    StrategyClosing,
    StrategyEvent,
    StrategyOrder,
    StrategySignaled,
    StrategyStatus,
    TakeProfitExecuted,
    TakeProfitTriggered,
)
from tapewire.log import RecordedEvent
from tapewire.runtime.contracts.orders import order_id
from tapewire.runtime.contracts.strategies import EXIT_SUFFIXES
from tapewire.verify.findings import Findings

PROTECTED_STATUSES = (StrategyStatus.STARTED, StrategyStatus.STOPPED, StrategyStatus.ERROR)
"""The statuses in which a position is protected, and may be closed by its user."""

_EXECUTED_TYPES: dict[ExitReason | None, type[StrategyEvent]] = {
    ExitReason.STOP_LOSS: StopLossExecuted,
    ExitReason.TAKE_PROFIT: TakeProfitExecuted,
}


def check_protected_status(findings: Findings, recorded: RecordedEvent, before: Strategy) -> None:
    """Check that the strategy was in one of `PROTECTED_STATUSES`."""
    if before.status not in PROTECTED_STATUSES:
        findings.report_event(recorded, f"its status was {before.status.value} before")


def check_order_begun(
    findings: Findings,
    recorded: RecordedEvent,
    event: StrategySignaled | StopLossTriggered | TakeProfitTriggered | StrategyClosing,
    before: Strategy,
) -> None:
    """Check the order that `event` began, and that it could begin one."""
    now = event.strategy
    if isinstance(event, StrategySignaled):
        findings.compare(recorded, "status before", before.status, StrategyStatus.STARTED)
        side = Side(event.action.value) if event.action is not Action.HOLD else None
        _check_order(findings, recorded, event.order_id, before, now, side)
        return
    if not isinstance(event, StrategyClosing):
        check_protected_status(findings, recorded, before)
        setting = before.stop_loss if isinstance(event, StopLossTriggered) else before.take_profit
        if not before.position or setting is None:
            findings.report_event(recorded, "there is nothing for an exit to close")
        if before.order is not None:  # which is canceled first
            findings.compare(recorded, "order", now.order, before.order)
            findings.compare(recorded, "orders", now.orders, before.orders)
            return
    order = now.order
    if order is None or order.closing_reason is None:
        findings.report_event(recorded, "the order does not close the position")
        return
    side = Side.SELL if before.position > 0 else Side.BUY
    _check_order(findings, recorded, event.order_id, before, now, side, order.closing_reason)


def _check_order(
    findings: Findings,
    recorded: RecordedEvent,
    event_order_id: str,
    before: Strategy,
    now: Strategy,
    side: Side | None,
    closing_reason: ExitReason | None = None,
) -> None:
    """Check the order that was begun; `side` is the one that it must have."""
    if before.order is not None and before.exit is None:
        findings.report_event(recorded, f"order {before.order.order_id} is pending already")
    findings.compare(recorded, "orders", now.orders, before.orders + 1)
    name = f"{now.strategy_id}-{before.orders + 1}"
    if closing_reason is not None:
        name += EXIT_SUFFIXES[closing_reason]
    id_ = order_id(recorded.event_subject.owner, name)
    qty = before.quantity if closing_reason is None else abs(before.position)
    order = now.order
    found = order and (order.order_id, order.client_order_id, order.side, order.qty)
    findings.compare(recorded, "order", found, (id_, name, side, qty))
    if order is not None:
        findings.compare(recorded, "filledQty", order.filled_qty, Decimal(0))
    findings.compare(recorded, "orderId", event_order_id, id_)


def check_completed(findings: Findings, recorded: RecordedEvent, now: Strategy) -> None:
    """Check that the completed strategy has nothing to do."""
    done = now.max_trades is not None and now.trades >= now.max_trades
    if not done or now.order is not None or now.exit is not None or now.guards_position:
        findings.report_event(recorded, "it is completed, and has something to do")


def check_exit_executed(
    findings: Findings,
    recorded: RecordedEvent,
    event: StopLossExecuted | TakeProfitExecuted,
    filled_order: StrategyOrder | None,
    *,
    is_complete: bool,
) -> None:
    """Check that `event` follows the fill of `filled_order`, the order of an exit. Without a
    complete history there may be none."""
    if filled_order is not None:
        found = (event.order_id, event.trigger_price, type(event))
        event_type = _EXECUTED_TYPES.get(filled_order.closing_reason)
        expected = (filled_order.order_id, filled_order.trigger_price, event_type)
        findings.compare(recorded, "the exit", found, expected)
    elif is_complete:
        findings.report_event(recorded, "no order of an exit was filled right before")
