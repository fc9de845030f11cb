"""The paper broker's order book: matches resting orders with the quoted market. Pure.

Each symbol has a best bid and a best ask with their sizes, and a queue of resting orders for each
side. Buys execute at the ask and sells at the bid, up to the quoted size; a limit order executes
once the quote is at its limit or better. Priority is price, then time: market orders first, then
the best limit, then the order that was placed earlier. A new quote brings new sizes, and executions
consume them, so an order larger than the quoted size is filled in parts over several quotes. A book
that starts between two quotes is first given the liquidity that was consumed already.

`match_orders` proposes executions. An order in flight takes part in no other until
`settle_execution`; the log's state of an order arrives through `update_order`. Start at
`match_orders`.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from datetime import datetime
from decimal import ROUND_DOWN, Decimal

import msgspec

from tapewire.decimals import WIDE_CONTEXT, normalize
from tapewire.events import Order, OrderType, PriceUpdated, Side
from tapewire.values import is_price
from tapewire_services.orders.domain.commands import QTY_PLACES
from tapewire_services.orders.domain.open_orders import ConsumedLiquidity, OpenOrder

ZERO = Decimal(0)
_QTY_STEP = Decimal((0, (1,), -QTY_PLACES))
_MAX_SIZE = Decimal(10**12)
"""Shares; a larger quoted size counts as this."""


class PendingExecution(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal to execute `qty` shares of an order at `price`, from the quote at `quoted_at`."""

    open_order: OpenOrder
    qty: Decimal
    price: Decimal
    quoted_at: datetime | None = None

    @property
    def command_id(self) -> str:
        """Equal for two brokers that propose the same part of the same order, so only one of them
        fills it."""
        order = self.open_order.order
        return f"{order.order_id}:fill:{normalize(order.filled_qty)}"


PriorityKey = tuple[int, Decimal, int, str]


class QuoteSide:
    """The best bid or the best ask: its price, and the size that is not consumed yet.
    `quote_number` counts quotes; `quoted_at` is the timestamp of the last one."""

    __slots__ = ("price", "quote_number", "quoted_at", "remaining_size")

    def __init__(self) -> None:
        self.price = ZERO
        self.remaining_size = ZERO
        self.quote_number = 0
        self.quoted_at: datetime | None = None

    def replace_quote(self, quoted_at: datetime, price: Decimal, size: Decimal) -> None:
        """Take a new quote. An invalid price or size leaves nothing to execute against."""
        self.quote_number += 1
        self.quoted_at = quoted_at
        self.remaining_size = ZERO
        if not is_price(price):
            return
        self.price = price
        if size.is_finite() and size > ZERO:
            self.remaining_size = min(size, _MAX_SIZE).quantize(
                _QTY_STEP, ROUND_DOWN, context=WIDE_CONTEXT
            )


class OrderQueue:
    """The resting orders of one side of a symbol by priority, and the quote that they consume."""

    __slots__ = ("priority_keys", "quote_side")

    def __init__(self) -> None:
        self.priority_keys: list[PriorityKey] = []
        self.quote_side = QuoteSide()


class OrderBook:
    """All open orders. An order in flight is in no queue; it is kept with the number of the quote
    that it consumes."""

    def __init__(self) -> None:
        self._orders: dict[str, OpenOrder] = {}
        self._in_flight: dict[str, int] = {}
        self._queues: dict[tuple[str, Side], OrderQueue] = {}
        self._last_quotes: dict[str, PriceUpdated] = {}
        self._consumed: dict[tuple[str, Side], ConsumedLiquidity] = {}

    def __len__(self) -> int:
        return len(self._orders)

    def has_resting_orders(self, symbol: str) -> bool:
        """Whether an order waits in `symbol`."""
        return any(
            (queue := self._queues.get((symbol, side))) and queue.priority_keys for side in Side
        )

    def restore_consumed_liquidity(self, consumed: Iterable[ConsumedLiquidity]) -> None:
        """Subtract what was executed against the newest quotes before this book existed. Call it
        first."""
        self._consumed = {(one.symbol, one.side): one for one in consumed}

    def add_order(self, open_order: OpenOrder) -> None:
        """Add an order. It rests as soon as it is accepted."""
        self._orders[open_order.order.order_id] = open_order
        if open_order.accepted:
            insort(self._queue_for_order(open_order.order).priority_keys, _priority_key(open_order))

    def update_order(self, open_order: OpenOrder) -> None:
        """Replace an order by a later state from the log. Ignores an older state, and an order that
        was never added or is closed."""
        before = self._orders.get(open_order.order.order_id)
        if before is None or open_order.sequence <= before.sequence:
            return
        if not open_order.order.status.is_open:
            self._remove_order(before)
            return
        self._orders[open_order.order.order_id] = open_order
        if open_order.accepted and not before.accepted:
            insort(self._queue_for_order(open_order.order).priority_keys, _priority_key(open_order))

    def settle_execution(self, execution: PendingExecution, *, is_filled: bool) -> None:
        """End an execution. If it was not filled, its size is available again, unless a new quote
        arrived meanwhile."""
        order = execution.open_order.order
        queue, current = self._queue_for_order(order), self._orders.get(order.order_id)
        quote_number = self._in_flight.pop(order.order_id)
        if not is_filled and queue.quote_side.quote_number == quote_number:
            queue.quote_side.remaining_size += execution.qty
        if current is not None:
            insort(queue.priority_keys, _priority_key(current))

    def update_quote(self, quote: PriceUpdated) -> None:
        """Take a quote. The same quote again brings no new sizes."""
        if self._last_quotes.get(quote.symbol) == quote:
            return
        self._last_quotes[quote.symbol] = quote
        self._update_side(quote, Side.BUY, quote.ask, quote.ask_size)
        self._update_side(quote, Side.SELL, quote.bid, quote.bid_size)

    def _update_side(self, quote: PriceUpdated, side: Side, price: Decimal, size: Decimal) -> None:
        quote_side = self._queue_for_side(quote.symbol, side).quote_side
        quote_side.replace_quote(quote.timestamp, price, size)
        consumed = self._consumed.pop((quote.symbol, side), None)
        if consumed is not None and consumed.quoted_at == quote.timestamp:
            left = WIDE_CONTEXT.subtract(quote_side.remaining_size, consumed.qty)
            quote_side.remaining_size = max(ZERO, left)

    def match_orders(self, symbol: str) -> list[PendingExecution]:
        """The executions to report in `symbol` now. Their orders are in flight until settled."""
        return [
            execution
            for side in Side
            if (queue := self._queues.get((symbol, side))) is not None
            for execution in self._match_queue(queue)
        ]

    def _match_queue(self, queue: OrderQueue) -> list[PendingExecution]:
        quote_side, executions = queue.quote_side, list[PendingExecution]()
        for key in queue.priority_keys:
            open_order = self._orders[key[3]]
            if quote_side.remaining_size <= ZERO:
                break
            if not _is_marketable(open_order.order, quote_side.price):
                break
            qty = normalize(min(open_order.remaining_qty, quote_side.remaining_size))
            quote_side.remaining_size -= qty
            self._in_flight[key[3]] = quote_side.quote_number
            executions.append(
                PendingExecution(
                    open_order=open_order,
                    qty=qty,
                    price=quote_side.price,
                    quoted_at=quote_side.quoted_at,
                )
            )
        del queue.priority_keys[: len(executions)]
        return executions

    def _remove_order(self, open_order: OpenOrder) -> None:
        del self._orders[open_order.order.order_id]
        if open_order.accepted and open_order.order.order_id not in self._in_flight:
            keys = self._queue_for_order(open_order.order).priority_keys
            del keys[bisect_left(keys, _priority_key(open_order))]

    def _queue_for_order(self, order: Order) -> OrderQueue:
        return self._queue_for_side(order.symbol, order.side)

    def _queue_for_side(self, symbol: str, side: Side) -> OrderQueue:
        queue = self._queues.get((symbol, side))
        if queue is None:
            queue = self._queues[symbol, side] = OrderQueue()
        return queue


def _priority_key(open_order: OpenOrder) -> PriorityKey:
    """Sorts by priority: market before limit, then price, then time."""
    order = open_order.order
    if order.limit_price is None:
        return (0, ZERO, open_order.since, order.order_id)
    rank = -order.limit_price if order.side is Side.BUY else order.limit_price
    return (1, rank, open_order.since, order.order_id)


def _is_marketable(order: Order, price: Decimal) -> bool:
    if order.type is OrderType.MARKET or order.limit_price is None:
        return True
    if order.side is Side.BUY:
        return price <= order.limit_price
    return price >= order.limit_price
