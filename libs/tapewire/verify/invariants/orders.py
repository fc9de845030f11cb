"""The invariants of orders and trades.

An order is placed once, under the id made from its user and its client order id; what was asked for
changes only when it is replaced. It is accepted at most once, never filled beyond its quantity or
worse than its limit, and has no events after it is closed. It waits only once it is accepted, and
no longer after a fill or its end. An execution that a venue reported is
the exception: it counts, once, and says why it does not fit. Each fill has the next number, is
followed by one trade with the same values, and leaves the exact sum and average of all fills. A
correction names what the execution was booked as, and leaves the sums as if it had always been
like this. See `execution_corrections`.
"""

from collections import OrderedDict

from tapewire.events import (
    Order,
    OrderAccepted,
    OrderCancelRequested,
    OrderEvent,
    OrderExecutionCorrected,
    OrderFilled,
    OrderPlaced,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRequested,
    OrderSplit,
    OrderWaiting,
    TradeCorrected,
    TradeExecuted,
)
from tapewire.log import RecordedEvent
from tapewire.runtime.contracts.orders import order_id
from tapewire.verify.findings import Findings
from tapewire.verify.fixed_point import (
    PRICE_PLACES,
    QTY_PLACES,
    UnrepresentableAmount,
    average_price,
    from_units,
    to_units,
)
from tapewire.verify.invariants.execution_corrections import (
    BookedFills,
    check_corrected_trade,
    check_correction,
)
from tapewire.verify.invariants.order_changes import (
    expected_exceptions,
    expected_status,
    find_forbidden_changes,
)
from tapewire.verify.invariants.splits import SplitInvariants
from tapewire.verify.reference_index import ReferenceIndex

MAX_REMEMBERED_COMMANDS = 64
"""Commands of an order that are remembered."""
MAX_CLOSED_ORDERS = 4096
"""Closed orders that are remembered, for executions that a venue reports afterwards. Of an order
that was closed earlier, the sums are not checked any more."""
_REQUESTS = (OrderCancelRequested, OrderReplaceRequested, OrderReplaced, OrderSplit)
"""What can happen to an order before it is accepted."""


class _OpenOrder:
    """An open order. `cost` is the exact cost of its fills; None if the log does not reach back to
    them."""

    __slots__ = (
        "fill_count",
        "fills",
        "is_accepted",
        "order",
        "recent_command_ids",
        "total_cost",
    )

    def __init__(self, order: Order, total_cost: int | None, command_id: str) -> None:
        self.order = order
        self.total_cost = total_cost
        self.fill_count = 0
        self.fills = BookedFills()
        self.is_accepted = False
        self.recent_command_ids = [command_id]


class OrderInvariants:
    """Checks orders and trades. With `has_full_history` the log reaches back to its beginning."""

    def __init__(
        self,
        findings: Findings,
        unique_facts: ReferenceIndex,
        splits: SplitInvariants,
        *,
        has_full_history: bool,
    ) -> None:
        self._splits = splits
        self._findings = findings
        self._unique_facts = unique_facts
        self._has_full_history = has_full_history
        self._open_orders: dict[str, _OpenOrder] = {}
        self._closed_orders: OrderedDict[str, _OpenOrder] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open_orders)

    def check_order(self, recorded: RecordedEvent, event: OrderEvent) -> None:
        """Check an event of an order."""
        findings, order = self._findings, event.order
        findings.compare(recorded, "orderId", order.order_id, recorded.event_subject.entity)
        if isinstance(event, OrderPlaced):
            self._check_placed(recorded, event)
            return
        known = self._open_orders.get(recorded.subject)
        is_late = isinstance(event, OrderFilled) and event.execution_id is not None
        if known is None and (is_late or isinstance(event, OrderExecutionCorrected)):
            known = self._closed_orders.get(recorded.subject)
            if known is None and not order.status.is_open:
                return
        if known is None:
            if self._has_full_history:
                findings.report_event(
                    recorded, "the order is not open: never placed, or closed before"
                )
            elif order.status.is_open:
                self._open_orders[recorded.subject] = _OpenOrder(order, None, event.command_id)
            return
        self._check_transition(recorded, event, known)
        known.order = order
        if not order.status.is_open:
            self._open_orders.pop(recorded.subject, None)
            self._closed_orders[recorded.subject] = known
            if len(self._closed_orders) > MAX_CLOSED_ORDERS:
                self._closed_orders.popitem(last=False)

    def _check_placed(self, recorded: RecordedEvent, event: OrderPlaced) -> None:
        findings, order = self._findings, event.order
        findings.entity_counts["orders"] += 1
        self._unique_facts.define(f"placed {recorded.subject}", recorded.sequence)
        named = order_id(recorded.event_subject.owner, order.client_order_id)
        findings.compare(recorded, "orderId", order.order_id, named)
        findings.compare(recorded, "status", order.status, expected_status(order, event))
        findings.compare(recorded, "filledQty", order.filled_qty, 0)
        findings.compare(recorded, "filledAvgPrice", order.filled_avg_price, None)
        findings.compare(recorded, "feeTotal", order.fee_total, 0)
        limited, stopped = order.limit_price is not None, order.stop_price is not None
        findings.compare(recorded, "having a limit", limited, order.type.has_limit_price)
        findings.compare(recorded, "having a stop", stopped, order.type.has_stop_price)
        self._open_orders[recorded.subject] = _OpenOrder(order, 0, event.command_id)

    def _check_transition(
        self, recorded: RecordedEvent, event: OrderEvent, open_order: _OpenOrder
    ) -> None:
        findings, before, order = self._findings, open_order.order, event.order
        for name, found, expected in find_forbidden_changes(before, event):
            findings.compare(recorded, name, found, expected)
        findings.compare(recorded, "status", order.status, expected_status(before, event))
        if order.timestamp < before.timestamp:
            findings.report_event(recorded, f"its time goes back to {order.timestamp.isoformat()}")
        if event.command_id in open_order.recent_command_ids:
            findings.report_event(recorded, f"command {event.command_id} changed the order before")
        open_order.recent_command_ids = [
            *open_order.recent_command_ids[1 - MAX_REMEMBERED_COMMANDS :],
            event.command_id,
        ]
        self._check_waiting(recorded, event, open_order)
        if isinstance(event, OrderFilled):
            self._check_fill(recorded, event, open_order)
            return
        if isinstance(event, OrderSplit):
            self._splits.check_order(recorded, event, before)
            return
        if isinstance(event, OrderExecutionCorrected):
            open_order.total_cost = check_correction(
                findings, recorded, event, before, open_order.fills, open_order.total_cost
            )
            return
        if isinstance(event, OrderAccepted | OrderRejected) and open_order.is_accepted:
            findings.report_event(recorded, "the order was accepted before")
        open_order.is_accepted = open_order.is_accepted or not isinstance(event, _REQUESTS)

    def _check_waiting(
        self, recorded: RecordedEvent, event: OrderEvent, open_order: _OpenOrder
    ) -> None:
        order, before = event.order, open_order.order
        if isinstance(event, OrderWaiting):
            if order.waiting is before.waiting:
                self._findings.report_event(recorded, "what the order waits for has not changed")
            if self._has_full_history and not open_order.is_accepted:
                self._findings.report_event(recorded, "it waits and was not accepted")
        elif isinstance(event, OrderFilled) or not order.status.is_open:
            self._findings.compare(recorded, "waiting", order.waiting, None)

    def _check_fill(
        self, recorded: RecordedEvent, event: OrderFilled, open_order: _OpenOrder
    ) -> None:
        findings, before, order = self._findings, open_order.order, event.order
        open_order.is_accepted = True
        open_order.fill_count += 1
        open_order.fills.add(event)
        try:
            qty, price = to_units(event.qty, QTY_PLACES), to_units(event.price, PRICE_PLACES)
            was = to_units(before.filled_qty, QTY_PLACES)
            fees = to_units(before.fee_total, PRICE_PLACES) + to_units(event.fee, PRICE_PLACES)
        except UnrepresentableAmount as error:
            findings.report_event(recorded, str(error))
            open_order.total_cost = None
            return
        filled = was + qty
        if qty <= 0:
            findings.report_event(recorded, f"{event.qty} at {event.price} is no execution")
        findings.compare(recorded, "filledQty", order.filled_qty, from_units(filled, QTY_PLACES))
        findings.compare(recorded, "feeTotal", order.fee_total, from_units(fees, PRICE_PLACES))
        self._check_exceptions(recorded, event, before)
        if open_order.total_cost is None:
            return
        findings.compare(
            recorded, "tradeId", event.trade_id, f"{order.order_id}-{open_order.fill_count}"
        )
        open_order.total_cost += qty * price
        stored = order.filled_avg_price
        paid = average_price(open_order.total_cost, filled, stored) if filled else None
        findings.compare(recorded, "filledAvgPrice", stored, paid)

    def _check_exceptions(self, recorded: RecordedEvent, event: OrderFilled, before: Order) -> None:
        """An execution without an id is one of our own, and must fit."""
        findings, unfit = self._findings, expected_exceptions(before, event)
        if event.execution_id is not None:
            self._unique_facts.define(
                f"execution {recorded.subject} {event.execution_id}", recorded.sequence
            )
            findings.compare(recorded, "exceptions", event.exceptions, unfit)
            return
        if unfit or event.exceptions:
            what = ", ".join(one.value for one in (*unfit, *event.exceptions))
            findings.report_event(
                recorded, f"filled {event.qty} at {event.price} of {before.qty}: {what}"
            )

    def check_trade_correction(
        self, recorded: RecordedEvent, trade: TradeCorrected, cause: RecordedEvent | None
    ) -> None:
        """Check the correction of a trade and the event of its order right before it."""
        if cause is not None:
            check_corrected_trade(self._findings, recorded, trade, cause)
        elif self._has_full_history:
            self._findings.report_event(recorded, "no correction of an order comes right before")

    def check_trade(
        self, recorded: RecordedEvent, trade: TradeExecuted, fill: RecordedEvent | None
    ) -> None:
        """Check a trade and the fill right before it."""
        findings = self._findings
        findings.entity_counts["trades"] += 1
        if fill is None:
            if self._has_full_history:
                findings.report_event(recorded, "no fill comes right before the trade")
            return
        event = fill.event
        if not isinstance(event, OrderFilled):
            return
        order, place = event.order, fill.event_subject
        findings.compare(recorded, "owner", recorded.event_subject.owner, place.owner)
        findings.compare(recorded, "entity", recorded.event_subject.entity, order.order_id)
        pairs = (
            ("tradeId", trade.trade_id, event.trade_id),
            ("orderId", trade.order_id, order.order_id),
            ("symbol", trade.symbol, order.symbol),
            ("side", trade.side, order.side),
            ("qty", trade.qty, event.qty),
            ("price", trade.price, event.price),
            ("strategyId", trade.strategy_id, order.strategy_id),
            ("timestamp", trade.timestamp, order.timestamp),
            ("fee", trade.fee, event.fee),
            ("executionId", trade.execution_id, event.execution_id),
            ("venueTime", trade.venue_time, event.venue_time),
            ("causation", recorded.metadata.causation, fill.metadata.causation),
        )
        for name, found, expected in pairs:
            if found != expected:
                findings.compare(recorded, f"{name} of the trade", found, expected)
