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

from services.orders.commands import MAX_PRICE, PRICE_PLACES, QTY_PLACES
from services.orders.exact import WIDE, Inexact, exact, plain
from services.orders.openorders import OpenOrder, Taken
from tapewire.events import Order, OrderType, PriceUpdated, Side

NOTHING = Decimal(0)
_QTY_STEP = Decimal((0, (1,), -QTY_PLACES))
_MOST_SIZE = Decimal(10**12)
"""Shares on offer that are believed."""


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """What should happen to the order `of`: `qty` shares at `price`, of the quote `quoted_at`."""

    of: OpenOrder
    qty: Decimal
    price: Decimal
    quoted_at: datetime | None = None

    @property
    def command_id(self) -> str:
        """The same for any two brokers that would fill the same part of the same order, so that
        it happens once."""
        order = self.of.order
        return f"{order.order_id}:fill:{plain(order.filled_qty)}"


Key = tuple[int, Decimal, int, str]


class Offer:
    """One side of the touch: a price, and the size not yet taken. `quote` numbers quotes, `at` is
    the timestamp of the last one."""

    __slots__ = ("at", "left", "price", "quote")

    def __init__(self) -> None:
        self.price = NOTHING
        self.left = NOTHING
        self.quote = 0
        self.at: datetime | None = None

    def renew(self, at: datetime, price: Decimal, size: Decimal) -> None:
        """A new quote. A price or size that cannot be executed is no offer."""
        self.quote += 1
        self.at = at
        self.left = NOTHING
        try:
            self.price = exact(price, most=MAX_PRICE, places=PRICE_PLACES)
        except Inexact:
            return
        if size.is_finite() and size > NOTHING:
            self.left = min(size, _MOST_SIZE).quantize(_QTY_STEP, ROUND_DOWN, context=WIDE)


class Queue:
    """The orders of one side of a symbol by priority, and the offer that they execute against."""

    __slots__ = ("keys", "offer")

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.offer = Offer()


class Book:
    """All open orders by symbol; those in flight, with the number of the quote that they take from,
    are in no queue."""

    def __init__(self) -> None:
        self._orders: dict[str, OpenOrder] = {}
        self._flying: dict[str, int] = {}
        self._queues: dict[tuple[str, Side], Queue] = {}
        self._quoted: dict[str, PriceUpdated] = {}
        self._taken: dict[tuple[str, Side], Taken] = {}

    def __len__(self) -> int:
        return len(self._orders)

    def rests(self, symbol: str) -> bool:
        """Whether any order waits in `symbol`."""
        return any((queue := self._queues.get((symbol, side))) and queue.keys for side in Side)

    def recall(self, taken: Iterable[Taken]) -> None:
        """What was executed against the newest quotes before this book began: it is not on offer
        any more. To be told first."""
        self._taken = {(one.symbol, one.side): one for one in taken}

    def add(self, open_: OpenOrder) -> None:
        """Take an order; it rests as soon as it is accepted."""
        self._orders[open_.order.order_id] = open_
        if open_.accepted:
            insort(self._queue(open_.order).keys, _key(open_))

    def update(self, now: OpenOrder) -> None:
        """The log says that the order is so. What is older than known is passed over, and an order
        that was never added, or is closed."""
        before = self._orders.get(now.order.order_id)
        if before is None or now.sequence <= before.sequence:
            return
        if not now.order.status.open:
            self._remove(before)
            return
        self._orders[now.order.order_id] = now
        if now.accepted and not before.accepted:
            insort(self._queue(now.order).keys, _key(now))

    def settle(self, execution: Execution, *, happened: bool) -> None:
        """The execution is no longer in flight. What it would have taken is on offer again if it
        did not happen, unless a new quote came meanwhile."""
        order = execution.of.order
        queue, now = self._queue(order), self._orders.get(order.order_id)
        quote = self._flying.pop(order.order_id)
        if not happened and queue.offer.quote == quote:
            queue.offer.left += execution.qty
        if now is not None:
            insort(queue.keys, _key(now))

    def quote(self, quote: PriceUpdated) -> None:
        """The market moved. A quote that is known already brings no new sizes."""
        if self._quoted.get(quote.symbol) == quote:
            return
        self._quoted[quote.symbol] = quote
        self._renew(quote, Side.BUY, quote.ask, quote.ask_size)
        self._renew(quote, Side.SELL, quote.bid, quote.bid_size)

    def _renew(self, quote: PriceUpdated, side: Side, price: Decimal, size: Decimal) -> None:
        offer = self._side(quote.symbol, side).offer
        offer.renew(quote.timestamp, price, size)
        taken = self._taken.pop((quote.symbol, side), None)
        if taken is not None and taken.quoted_at == quote.timestamp:
            offer.left = max(NOTHING, WIDE.subtract(offer.left, taken.qty))

    def match(self, symbol: str) -> list[Execution]:
        """What should be executed in `symbol` now; all of it is in flight from here on."""
        return [
            execution
            for side in Side
            if (queue := self._queues.get((symbol, side))) is not None
            for execution in self._take(queue)
        ]

    def _take(self, queue: Queue) -> list[Execution]:
        offer, taken = queue.offer, list[Execution]()
        for key in queue.keys:
            open_ = self._orders[key[3]]
            if offer.left <= NOTHING or not _crosses(open_.order, offer.price):
                break
            qty = plain(min(open_.left, offer.left))
            offer.left -= qty
            self._flying[key[3]] = offer.quote
            taken.append(Execution(of=open_, qty=qty, price=offer.price, quoted_at=offer.at))
        del queue.keys[: len(taken)]
        return taken

    def _remove(self, open_: OpenOrder) -> None:
        del self._orders[open_.order.order_id]
        if open_.accepted and open_.order.order_id not in self._flying:
            keys = self._queue(open_.order).keys
            del keys[bisect_left(keys, _key(open_))]

    def _queue(self, order: Order) -> Queue:
        return self._side(order.symbol, order.side)

    def _side(self, symbol: str, side: Side) -> Queue:
        queue = self._queues.get((symbol, side))
        if queue is None:
            queue = self._queues[symbol, side] = Queue()
        return queue


def _key(open_: OpenOrder) -> Key:
    """Sorts by priority: the kind, the price, the time."""
    order = open_.order
    if order.limit_price is None:
        return (0, NOTHING, open_.since, order.order_id)
    rank = -order.limit_price if order.side is Side.BUY else order.limit_price
    return (1, rank, open_.since, order.order_id)


def _crosses(order: Order, price: Decimal) -> bool:
    if order.type is OrderType.MARKET or order.limit_price is None:
        return True
    if order.side is Side.BUY:
        return price <= order.limit_price
    return price >= order.limit_price
