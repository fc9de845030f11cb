"""The laws of orders and trades.

An order is placed once, under the id made of its user and name; what was asked for never changes.
It is accepted at most once, filled never beyond its quantity nor worse than its limit, and closed
for good. Each fill has the next number, one trade that says the same right behind it, and leaves
the exact sum and average of all fills.
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
    Side,
    TradeExecuted,
)
from tapewire.log import Recorded
from tapewire.runtime.contracts.orders import order_id
from tapewire.verify.figures import ENTRY, PRICE, QTY, NoFigure, average, decimal, units
from tapewire.verify.findings import Findings
from tapewire.verify.register import Register

ASKED = ("order_id", "client_order_id", "symbol", "side", "type", "qty", "limit_price",
         "strategy_id")  # fmt: skip
"""What never changes."""
ENDS: dict[type[OrderEvent], OrderStatus] = {
    OrderCanceled: OrderStatus.CANCELED,
    OrderRejected: OrderStatus.REJECTED,
    OrderFailed: OrderStatus.FAILED,
}
SEEN_COMMANDS = 64
"""Commands of an order that are remembered."""


class _Open:
    """An open order; `cost` is the exact sum of what its fills cost, None when the log does not
    reach back to them."""

    __slots__ = ("accepted", "commands", "cost", "fills", "order")

    def __init__(self, order: Order, cost: int | None, command: str) -> None:
        self.order = order
        self.cost = cost
        self.fills = 0
        self.accepted = False
        self.commands = [command]


class Orders:
    """The law. `whole`: the log reaches back to its beginning."""

    def __init__(self, findings: Findings, register: Register, *, whole: bool) -> None:
        self._findings = findings
        self._register = register
        self._whole = whole
        self._open: dict[str, _Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    def order(self, recorded: Recorded, event: OrderEvent) -> None:
        """Take an event of an order."""
        findings, order = self._findings, event.order
        findings.compare(recorded, "orderId", order.order_id, recorded.place.entity)
        if isinstance(event, OrderPlaced):
            self._place(recorded, event)
            return
        known = self._open.get(recorded.subject)
        if known is None:
            if self._whole:
                findings.at(recorded, "the order is not open: never placed, or closed before")
            elif order.status.open:
                self._open[recorded.subject] = _Open(order, None, event.command_id)
            return
        self._later(recorded, event, known)
        known.order = order
        if not order.status.open:
            del self._open[recorded.subject]

    def _place(self, recorded: Recorded, event: OrderPlaced) -> None:
        findings, order = self._findings, event.order
        findings.entities["orders"] += 1
        self._register.claim(f"placed {recorded.subject}", recorded.sequence)
        named = order_id(recorded.place.owner, order.client_order_id)
        findings.compare(recorded, "orderId", order.order_id, named)
        findings.compare(recorded, "status", order.status, OrderStatus.NEW)
        findings.compare(recorded, "filledQty", order.filled_qty, 0)
        findings.compare(recorded, "filledAvgPrice", order.filled_avg_price, None)
        limited = order.limit_price is not None
        findings.compare(recorded, "having a limit", limited, order.type is OrderType.LIMIT)
        self._open[recorded.subject] = _Open(order, 0, event.command_id)

    def _later(self, recorded: Recorded, event: OrderEvent, known: _Open) -> None:
        findings, before, order = self._findings, known.order, event.order
        for name in ASKED:
            if getattr(order, name) != getattr(before, name):
                findings.compare(recorded, name, getattr(order, name), getattr(before, name))
        if order.timestamp < before.timestamp:
            findings.at(recorded, f"its time goes back to {order.timestamp.isoformat()}")
        if event.command_id in known.commands:
            findings.at(recorded, f"command {event.command_id} changed the order before")
        known.commands = [*known.commands[1 - SEEN_COMMANDS :], event.command_id]
        if isinstance(event, OrderFilled):
            self._fill(recorded, event, known)
            return
        findings.compare(recorded, "filledQty", order.filled_qty, before.filled_qty)
        findings.compare(
            recorded, "filledAvgPrice", order.filled_avg_price, before.filled_avg_price
        )
        findings.compare(recorded, "status", order.status, ENDS.get(type(event), before.status))
        if isinstance(event, OrderAccepted | OrderRejected) and known.accepted:
            findings.at(recorded, "the order was accepted before")
        known.accepted = True

    def _fill(self, recorded: Recorded, event: OrderFilled, known: _Open) -> None:
        findings, before, order = self._findings, known.order, event.order
        known.accepted = True
        known.fills += 1
        try:
            qty, price = units(event.qty, QTY), units(event.price, PRICE)
            wanted, was = units(order.qty, QTY), units(before.filled_qty, QTY)
        except NoFigure as error:
            findings.at(recorded, str(error))
            known.cost = None
            return
        filled = was + qty
        if qty <= 0 or price <= 0 or filled > wanted:
            findings.at(recorded, f"{event.qty} at {event.price} do not fit what is unfilled")
        findings.compare(recorded, "filledQty", order.filled_qty, decimal(filled, QTY))
        whole = OrderStatus.FILLED if filled == wanted else OrderStatus.PARTIALLY_FILLED
        findings.compare(recorded, "status", order.status, whole)
        limit = order.limit_price
        if limit is not None and (
            event.price > limit if order.side is Side.BUY else event.price < limit
        ):
            findings.at(recorded, f"filled at {event.price}, worse than the limit {limit}")
        if known.cost is None:
            return
        findings.compare(recorded, "tradeId", event.trade_id, f"{order.order_id}-{known.fills}")
        known.cost += qty * price
        paid = decimal(average(known.cost, filled), ENTRY) if filled else None
        findings.compare(recorded, "filledAvgPrice", order.filled_avg_price, paid)

    def trade(self, recorded: Recorded, trade: TradeExecuted, filled: Recorded | None) -> None:
        """Take a trade, and the fill right before it."""
        findings = self._findings
        findings.entities["trades"] += 1
        if filled is None:
            if self._whole:
                findings.at(recorded, "no fill comes right before the trade")
            return
        event = filled.event
        if not isinstance(event, OrderFilled):
            return
        order, place = event.order, filled.place
        findings.compare(recorded, "owner", recorded.place.owner, place.owner)
        findings.compare(recorded, "entity", recorded.place.entity, order.order_id)
        pairs = (
            ("tradeId", trade.trade_id, event.trade_id),
            ("orderId", trade.order_id, order.order_id),
            ("symbol", trade.symbol, order.symbol),
            ("side", trade.side, order.side),
            ("qty", trade.qty, event.qty),
            ("price", trade.price, event.price),
            ("strategyId", trade.strategy_id, order.strategy_id),
            ("timestamp", trade.timestamp, order.timestamp),
            ("causation", recorded.meta.causation, filled.meta.causation),
        )
        for name, found, expected in pairs:
            if found != expected:
                findings.compare(recorded, f"{name} of the trade", found, expected)
