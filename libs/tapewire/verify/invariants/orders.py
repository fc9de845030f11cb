"""The invariants of orders and trades.

An order is placed once, under the id made from its user and its client order id; what was asked for
never changes. It is accepted at most once, never filled beyond its quantity or worse than its
limit, and has no events after it is closed. It waits only once it is accepted, and no longer after
a fill or its end. Each fill has the next number, is followed by one trade
with the same values, and leaves the exact sum and average of all fills.
"""

from tapewire.events import (
    Order,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderFailed,
    OrderFilled,
    OrderPlaced,
    OrderRejected,
    OrderStatus,
    OrderType,
    OrderWaiting,
    Side,
    TradeExecuted,
)
from tapewire.log import RecordedEvent
from tapewire.runtime.contracts.orders import order_id
from tapewire.verify.findings import Findings
from tapewire.verify.fixed_point import (
    ENTRY_PRICE_PLACES,
    PRICE_PLACES,
    QTY_PLACES,
    UnrepresentableAmount,
    average_price,
    from_units,
    to_units,
)
from tapewire.verify.reference_index import ReferenceIndex

IMMUTABLE_FIELDS = ("order_id", "client_order_id", "symbol", "side", "type", "qty", "limit_price",
         "strategy_id")  # fmt: skip
"""Fields that never change."""
CLOSED_STATUS_BY_EVENT: dict[type[OrderEvent], OrderStatus] = {
    OrderCanceled: OrderStatus.CANCELED,
    OrderRejected: OrderStatus.REJECTED,
    OrderFailed: OrderStatus.FAILED,
}
MAX_REMEMBERED_COMMANDS = 64
"""Commands of an order that are remembered."""


class _OpenOrder:
    """An open order. `cost` is the exact cost of its fills; None if the log does not reach back to
    them."""

    __slots__ = ("fill_count", "is_accepted", "order", "recent_command_ids", "total_cost")

    def __init__(self, order: Order, total_cost: int | None, command_id: str) -> None:
        self.order = order
        self.total_cost = total_cost
        self.fill_count = 0
        self.is_accepted = False
        self.recent_command_ids = [command_id]


class OrderInvariants:
    """Checks orders and trades. With `has_full_history` the log reaches back to its beginning."""

    def __init__(
        self, findings: Findings, unique_facts: ReferenceIndex, *, has_full_history: bool
    ) -> None:
        self._findings = findings
        self._unique_facts = unique_facts
        self._has_full_history = has_full_history
        self._open_orders: dict[str, _OpenOrder] = {}

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
            del self._open_orders[recorded.subject]

    def _check_placed(self, recorded: RecordedEvent, event: OrderPlaced) -> None:
        findings, order = self._findings, event.order
        findings.entity_counts["orders"] += 1
        self._unique_facts.define(f"placed {recorded.subject}", recorded.sequence)
        named = order_id(recorded.event_subject.owner, order.client_order_id)
        findings.compare(recorded, "orderId", order.order_id, named)
        findings.compare(recorded, "status", order.status, OrderStatus.NEW)
        findings.compare(recorded, "filledQty", order.filled_qty, 0)
        findings.compare(recorded, "filledAvgPrice", order.filled_avg_price, None)
        limited = order.limit_price is not None
        findings.compare(recorded, "having a limit", limited, order.type is OrderType.LIMIT)
        self._open_orders[recorded.subject] = _OpenOrder(order, 0, event.command_id)

    def _check_transition(
        self, recorded: RecordedEvent, event: OrderEvent, open_order: _OpenOrder
    ) -> None:
        findings, before, order = self._findings, open_order.order, event.order
        for name in IMMUTABLE_FIELDS:
            if getattr(order, name) != getattr(before, name):
                findings.compare(recorded, name, getattr(order, name), getattr(before, name))
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
        findings.compare(recorded, "filledQty", order.filled_qty, before.filled_qty)
        findings.compare(
            recorded, "filledAvgPrice", order.filled_avg_price, before.filled_avg_price
        )
        findings.compare(
            recorded, "status", order.status, CLOSED_STATUS_BY_EVENT.get(type(event), before.status)
        )
        if isinstance(event, OrderAccepted | OrderRejected) and open_order.is_accepted:
            findings.report_event(recorded, "the order was accepted before")
        open_order.is_accepted = True

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
        try:
            qty, price = to_units(event.qty, QTY_PLACES), to_units(event.price, PRICE_PLACES)
            wanted, was = to_units(order.qty, QTY_PLACES), to_units(before.filled_qty, QTY_PLACES)
        except UnrepresentableAmount as error:
            findings.report_event(recorded, str(error))
            open_order.total_cost = None
            return
        filled = was + qty
        if qty <= 0 or filled > wanted:
            findings.report_event(
                recorded, f"{event.qty} at {event.price} do not fit what is unfilled"
            )
        findings.compare(recorded, "filledQty", order.filled_qty, from_units(filled, QTY_PLACES))
        whole = OrderStatus.FILLED if filled == wanted else OrderStatus.PARTIALLY_FILLED
        findings.compare(recorded, "status", order.status, whole)
        limit = order.limit_price
        if limit is not None and (
            event.price > limit if order.side is Side.BUY else event.price < limit
        ):
            findings.report_event(
                recorded, f"filled at {event.price}, worse than the limit {limit}"
            )
        if open_order.total_cost is None:
            return
        findings.compare(
            recorded, "tradeId", event.trade_id, f"{order.order_id}-{open_order.fill_count}"
        )
        open_order.total_cost += qty * price
        paid = (
            from_units(average_price(open_order.total_cost, filled), ENTRY_PRICE_PLACES)
            if filled
            else None
        )
        findings.compare(recorded, "filledAvgPrice", order.filled_avg_price, paid)

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
            ("causation", recorded.metadata.causation, fill.metadata.causation),
        )
        for name, found, expected in pairs:
            if found != expected:
                findings.compare(recorded, f"{name} of the trade", found, expected)
