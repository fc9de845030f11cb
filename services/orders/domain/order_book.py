"""The paper broker's book: which resting orders the market on offer would fill. Pure.

Each symbol has a touch (best bid and ask, with sizes) and two queues of orders. Orders execute at
the touch, by the size on offer: buys at the ask, sells at the bid; limit orders once the touch is
at their limit or better. Priority is price, then time: market orders first, then the limit that
gives most, then the order placed earlier. Every quote brings its sizes afresh; what is executed is
taken from them, so an order larger than the offer is filled in parts over several quotes. A book
that begins in the middle is told what was taken already (`recall`).

`match` only intends: the order is then in flight and takes no further part until `settle`. What the
log says of an order comes by `update`. Start reading at `match`.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from datetime import datetime
from decimal import ROUND_DOWN, Decimal

import msgspec

from tapewire.decimals import (
    WIDE_CONTEXT,
    DecimalOutOfBounds,
    normalize,
    validate_positive_decimal,
)
from tapewire.events import Order, OrderType, PriceUpdated, Side
from tapewire_services.orders.domain.commands import MAX_PRICE, PRICE_PLACES, QTY_PLACES
from tapewire_services.orders.domain.open_orders import ConsumedLiquidity, OpenOrder

ZERO = Decimal(0)
_QTY_STEP = Decimal((0, (1,), -QTY_PLACES))
_MAX_SIZE = Decimal(10**12)
"""Shares on offer that are believed."""


class PendingExecution(msgspec.Struct, frozen=True, kw_only=True):
    """What should happen to the order `of`: `qty` shares at `price`, of the quote `quoted_at`."""

    open_order: OpenOrder
    qty: Decimal
    price: Decimal
    quoted_at: datetime | None = None

    @property
    def command_id(self) -> str:
        """The same for any two brokers that would fill the same part of the same order, so that
        it happens once."""
        order = self.open_order.order
        return f"{order.order_id}:fill:{normalize(order.filled_qty)}"


PriorityKey = tuple[int, Decimal, int, str]


class QuoteSide:
    """One side of the touch: a price, and the size not yet taken. `quote` numbers quotes, `at` is
    the timestamp of the last one."""

    __slots__ = ("price", "quote_number", "quoted_at", "remaining_size")

    def __init__(self) -> None:
        self.price = ZERO
        self.remaining_size = ZERO
        self.quote_number = 0
        self.quoted_at: datetime | None = None

    def replace_quote(self, quoted_at: datetime, price: Decimal, size: Decimal) -> None:
        """A new quote. A price or size that cannot be executed is no offer."""
        self.quote_number += 1
        self.quoted_at = quoted_at
        self.remaining_size = ZERO
        try:
            self.price = validate_positive_decimal(price, maximum=MAX_PRICE, places=PRICE_PLACES)
        except DecimalOutOfBounds:
            return
        if size.is_finite() and size > ZERO:
            self.remaining_size = min(size, _MAX_SIZE).quantize(
                _QTY_STEP, ROUND_DOWN, context=WIDE_CONTEXT
            )


class OrderQueue:
    """The orders of one side of a symbol by priority, and the offer that they execute against."""

    __slots__ = ("priority_keys", "quote_side")

    def __init__(self) -> None:
        self.priority_keys: list[PriorityKey] = []
        self.quote_side = QuoteSide()


class OrderBook:
    """All open orders by symbol; those in flight, with the number of the quote that they take from,
    are in no queue."""

    def __init__(self) -> None:
        self._orders: dict[str, OpenOrder] = {}
        self._in_flight: dict[str, int] = {}
        self._queues: dict[tuple[str, Side], OrderQueue] = {}
        self._last_quotes: dict[str, PriceUpdated] = {}
        self._consumed: dict[tuple[str, Side], ConsumedLiquidity] = {}

    def __len__(self) -> int:
        return len(self._orders)

    def has_resting_orders(self, symbol: str) -> bool:
        """Whether any order waits in `symbol`."""
        return any(
            (queue := self._queues.get((symbol, side))) and queue.priority_keys for side in Side
        )

    def restore_consumed_liquidity(self, consumed: Iterable[ConsumedLiquidity]) -> None:
        """What was executed against the newest quotes before this book began: it is not on offer
        any more. To be told first."""
        self._consumed = {(one.symbol, one.side): one for one in consumed}

    def add_order(self, open_order: OpenOrder) -> None:
        """Take an order; it rests as soon as it is accepted."""
        self._orders[open_order.order.order_id] = open_order
        if open_order.accepted:
            insort(self._queue_for_order(open_order.order).priority_keys, _priority_key(open_order))

    def update_order(self, open_order: OpenOrder) -> None:
        """The log says that the order is so. What is older than known is passed over, and an order
        that was never added, or is closed."""
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
        """The execution is no longer in flight. What it would have taken is on offer again if it
        did not happen, unless a new quote came meanwhile."""
        order = execution.open_order.order
        queue, now = self._queue_for_order(order), self._orders.get(order.order_id)
        quote = self._in_flight.pop(order.order_id)
        if not is_filled and queue.quote_side.quote_number == quote:
            queue.quote_side.remaining_size += execution.qty
        if now is not None:
            insort(queue.priority_keys, _priority_key(now))

    def update_quote(self, quote: PriceUpdated) -> None:
        """The market moved. A quote that is known already brings no new sizes."""
        if self._last_quotes.get(quote.symbol) == quote:
            return
        self._last_quotes[quote.symbol] = quote
        self._update_side(quote, Side.BUY, quote.ask, quote.ask_size)
        self._update_side(quote, Side.SELL, quote.bid, quote.bid_size)

    def _update_side(self, quote: PriceUpdated, side: Side, price: Decimal, size: Decimal) -> None:
        offer = self._queue_for_side(quote.symbol, side).quote_side
        offer.replace_quote(quote.timestamp, price, size)
        taken = self._consumed.pop((quote.symbol, side), None)
        if taken is not None and taken.quoted_at == quote.timestamp:
            offer.remaining_size = max(ZERO, WIDE_CONTEXT.subtract(offer.remaining_size, taken.qty))

    def match_orders(self, symbol: str) -> list[PendingExecution]:
        """What should be executed in `symbol` now; all of it is in flight from here on."""
        return [
            execution
            for side in Side
            if (queue := self._queues.get((symbol, side))) is not None
            for execution in self._match_queue(queue)
        ]

    def _match_queue(self, queue: OrderQueue) -> list[PendingExecution]:
        offer, taken = queue.quote_side, list[PendingExecution]()
        for key in queue.priority_keys:
            open_ = self._orders[key[3]]
            if offer.remaining_size <= ZERO or not _is_marketable(open_.order, offer.price):
                break
            qty = normalize(min(open_.remaining_qty, offer.remaining_size))
            offer.remaining_size -= qty
            self._in_flight[key[3]] = offer.quote_number
            taken.append(
                PendingExecution(
                    open_order=open_, qty=qty, price=offer.price, quoted_at=offer.quoted_at
                )
            )
        del queue.priority_keys[: len(taken)]
        return taken

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
    """Sorts by priority: the kind, the price, the time."""
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
