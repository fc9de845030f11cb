"""The paper broker's order book: matches resting orders with the quoted market. Pure.

Each symbol has a best bid and a best ask with their sizes, and a queue of resting orders for each
side. Buys execute at the ask and sells at the bid, up to the quoted size; a limit order executes
once the quote is at its limit or better. Priority is price, then time: market orders first, then
the best limit, then the order that was placed earlier. Executions consume an offer until it
changes, so an order larger than the quoted size is filled in parts over several offers. A book
that starts later is first given the liquidity that was consumed already.

Nothing executes against a quote that is stale or crossed, or against a side that offers nothing.
`waiting_orders` says which orders rest for such a reason. A limit order that the quoted price does
not reach waits for its price, which is no such reason.

`match_orders` proposes executions. An order in flight takes part in no other until
`settle_execution`; the log's state of an order arrives through `update_order`. Start at
`match_orders`.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal

import msgspec

from tapewire.decimals import normalize
from tapewire.events import PriceUpdated, QuotedOffer, Side, WaitingReason
from tapewire_services.orders.domain.open_orders import ConsumedLiquidity, OpenOrder
from tapewire_services.orders.domain.symbol_market import (
    QuoteSide,
    SymbolMarket,
    is_marketable,
    priority_key,
)


class PendingExecution(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal to execute `qty` shares of an order at `price`, from `offer`, which the quote at
    `quoted_at` has."""

    open_order: OpenOrder
    qty: Decimal
    price: Decimal
    offer: QuotedOffer
    quoted_at: datetime

    @property
    def command_id(self) -> str:
        """Equal for two brokers that propose the same part of the same order, so only one of them
        fills it."""
        order = self.open_order.order
        return f"{order.order_id}:fill:{normalize(order.filled_qty)}"


class OrderBook:
    """All open orders. An order in flight is in no queue; it is kept with the number of the offer
    that it consumes."""

    def __init__(self) -> None:
        self._orders: dict[str, OpenOrder] = {}
        self._in_flight: dict[str, int] = {}
        self._markets: dict[str, SymbolMarket] = {}

    def __len__(self) -> int:
        return len(self._orders)

    def order(self, order_id: str) -> OpenOrder | None:
        """The newest known state of an open order."""
        return self._orders.get(order_id)

    def is_in_flight(self, order_id: str) -> bool:
        """Whether an execution of the order is to be settled."""
        return order_id in self._in_flight

    def needs_quotes(self, symbol: str) -> bool:
        """Whether `update_quote` must see each quote of `symbol`."""
        market = self._markets.get(symbol)
        return market is not None and market.needs_quotes

    def restore_consumed_liquidity(self, consumed: Iterable[ConsumedLiquidity]) -> None:
        """Subtract what was executed against the newest offers before this book existed. Call it
        first."""
        for one in consumed:
            self._market(one.symbol).side_for(one.side).restore_consumed(one)

    def add_order(self, open_order: OpenOrder) -> None:
        """Add an order. It rests as soon as it is accepted."""
        self._orders[open_order.order.order_id] = open_order
        if open_order.accepted:
            insort(self._side_for(open_order).priority_keys, priority_key(open_order))

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
            insort(self._side_for(open_order).priority_keys, priority_key(open_order))

    def settle_execution(self, execution: PendingExecution, *, is_filled: bool) -> None:
        """End an execution. If it was not filled, its size is available again, unless the offer
        changed meanwhile."""
        order_id = execution.open_order.order.order_id
        side, current = self._side_for(execution.open_order), self._orders.get(order_id)
        offer_number = self._in_flight.pop(order_id)
        if not is_filled and side.offer.number == offer_number:
            side.remaining_size += execution.qty
        if current is not None:
            insort(side.priority_keys, priority_key(current))

    def update_quote(self, quote: PriceUpdated) -> None:
        """Take the newest quote of a symbol. An offer that it does not change is not renewed."""
        self._market(quote.symbol).update_quote(quote)

    def match_orders(self, symbol: str, *, is_stale: bool = False) -> list[PendingExecution]:
        """The executions to report in `symbol` now; none while its quote `is_stale`. Their orders
        are in flight until settled."""
        market = self._markets.get(symbol)
        if market is None or market.quote is None or is_stale or market.is_crossed:
            return []
        quoted_at = market.quote.timestamp
        return [
            *self._match_side(market.asks, quoted_at),
            *self._match_side(market.bids, quoted_at),
        ]

    def waiting_reasons(
        self, symbol: str, *, is_stale: bool = False
    ) -> tuple[WaitingReason | None, WaitingReason | None]:
        """Why no buy and no sell of `symbol` can be executed at all."""
        market = self._market(symbol)
        return (
            market.waiting_reason(Side.BUY, is_stale=is_stale),
            market.waiting_reason(Side.SELL, is_stale=is_stale),
        )

    def waiting_orders(
        self, symbol: str, *, is_stale: bool = False
    ) -> Iterator[tuple[OpenOrder, WaitingReason]]:
        """The orders of `symbol` that rest although they could be executed at the quoted price,
        and why. Call it after `match_orders`."""
        market = self._markets.get(symbol)
        if market is None:
            return
        for side in Side:
            reason = market.waiting_reason(side, is_stale=is_stale)
            if reason is None:
                continue
            quote_side = market.side_for(side)
            for key in quote_side.priority_keys:
                open_order = self._orders[key[3]]
                if not is_marketable(open_order.order, quote_side.price):
                    break
                yield open_order, reason

    def has_waiting_orders(self, symbol: str, *, is_stale: bool = False) -> bool:
        """Whether `waiting_orders` has any."""
        return next(self.waiting_orders(symbol, is_stale=is_stale), None) is not None

    def _match_side(self, side: QuoteSide, quoted_at: datetime) -> list[PendingExecution]:
        executions, price = list[PendingExecution](), side.price
        if price is None:
            return executions
        for key in side.priority_keys:
            open_order = self._orders[key[3]]
            if side.remaining_size <= 0 or not is_marketable(open_order.order, price):
                break
            qty = normalize(min(open_order.remaining_qty, side.remaining_size))
            side.remaining_size -= qty
            self._in_flight[key[3]] = side.offer.number
            execution = PendingExecution(
                open_order=open_order,
                qty=qty,
                price=price,
                offer=side.offer,
                quoted_at=quoted_at,
            )
            executions.append(execution)
        del side.priority_keys[: len(executions)]
        return executions

    def _remove_order(self, open_order: OpenOrder) -> None:
        del self._orders[open_order.order.order_id]
        if open_order.accepted and open_order.order.order_id not in self._in_flight:
            keys = self._side_for(open_order).priority_keys
            del keys[bisect_left(keys, priority_key(open_order))]

    def _side_for(self, open_order: OpenOrder) -> QuoteSide:
        order = open_order.order
        return self._market(order.symbol).side_for(order.side)

    def _market(self, symbol: str) -> SymbolMarket:
        market = self._markets.get(symbol)
        if market is None:
            market = self._markets[symbol] = SymbolMarket()
        return market
