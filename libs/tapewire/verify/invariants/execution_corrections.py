"""The invariants of corrected and busted executions: what they leave on their order and trade.

Start at `check_correction`.
"""

from tapewire.events import (
    ExecutionTerms,
    Order,
    OrderExecutionCorrected,
    OrderFilled,
    TradeCorrected,
)
from tapewire.log import RecordedEvent
from tapewire.verify.findings import Findings
from tapewire.verify.fixed_point import (
    PRICE_PLACES,
    QTY_PLACES,
    UnrepresentableAmount,
    average_price,
    from_units,
    to_units,
)


class BookedFills:
    """What the fills of an order count as, by trade id, and how many corrections there were."""

    __slots__ = ("correction_count", "terms")

    def __init__(self) -> None:
        self.terms: dict[str, ExecutionTerms] = {}
        self.correction_count = 0

    def add(self, event: OrderFilled) -> None:
        """Note a new fill."""
        self.terms[event.trade_id] = ExecutionTerms(qty=event.qty, price=event.price, fee=event.fee)


def check_correction(
    findings: Findings,
    recorded: RecordedEvent,
    event: OrderExecutionCorrected,
    before: Order,
    fills: BookedFills,
    total_cost: int | None,
) -> int | None:
    """Check a correction of an order with `fills`, which cost `total_cost` (None if the log does
    not reach back to them). Returns the cost of all fills afterwards."""
    order, known = event.order, fills.terms.get(event.trade_id)
    fills.correction_count += 1
    if known is not None:
        findings.compare(recorded, "before", event.before, known)
        findings.compare(recorded, "number", event.number, fills.correction_count)
    elif total_cost is not None:
        findings.report_event(recorded, f"the order has no fill {event.trade_id}")
    fills.terms[event.trade_id] = event.after
    if not event.before.qty:
        findings.report_event(recorded, "the execution is busted already")
    if event.after.qty < 0 or (not event.after.qty and event.after.fee):
        findings.report_event(recorded, f"{event.after.qty} shares are no execution")
    try:
        was_qty, was_price, was_fee = _to_units(event.before)
        qty, price, fee = _to_units(event.after)
        filled = to_units(before.filled_qty, QTY_PLACES) + qty - was_qty
        fees = to_units(before.fee_total, PRICE_PLACES) + fee - was_fee
    except UnrepresentableAmount as error:
        findings.report_event(recorded, str(error))
        return None
    findings.compare(recorded, "filledQty", order.filled_qty, from_units(filled, QTY_PLACES))
    findings.compare(recorded, "feeTotal", order.fee_total, from_units(fees, PRICE_PLACES))
    if total_cost is None:
        return None
    total_cost += qty * price - was_qty * was_price
    stored = order.filled_avg_price
    paid = average_price(total_cost, filled, stored) if filled else None
    findings.compare(recorded, "filledAvgPrice", stored, paid)
    return total_cost


def check_corrected_trade(
    findings: Findings, recorded: RecordedEvent, trade: TradeCorrected, cause: RecordedEvent
) -> None:
    """Check that the correction of a trade says the same as that of its order, `cause`."""
    event = cause.event
    if not isinstance(event, OrderExecutionCorrected):
        return
    order = event.order
    pairs = (
        ("owner", recorded.event_subject.owner, cause.event_subject.owner),
        ("orderId", trade.order_id, order.order_id),
        ("tradeId", trade.trade_id, event.trade_id),
        ("symbol", trade.symbol, order.symbol),
        ("side", trade.side, order.side),
        ("strategyId", trade.strategy_id, order.strategy_id),
        ("before", trade.before, event.before),
        ("qty", trade.qty, event.after.qty),
        ("price", trade.price, event.after.price),
        ("fee", trade.fee, event.after.fee),
        ("number", trade.number, event.number),
        ("timestamp", trade.timestamp, order.timestamp),
        ("executionId", trade.execution_id, event.execution_id),
        ("correctionId", trade.correction_id, event.correction_id),
    )
    for name, found, expected in pairs:
        findings.compare(recorded, f"{name} of the corrected trade", found, expected)


def _to_units(terms: ExecutionTerms) -> tuple[int, int, int]:
    return (
        to_units(terms.qty, QTY_PLACES),
        to_units(terms.price, PRICE_PLACES),
        to_units(terms.fee, PRICE_PLACES),
    )
