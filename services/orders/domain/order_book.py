"""The paper broker's order book: matches resting orders with the quoted market. Pure.

Buys execute at the best ask and sells at the best bid, up to the quoted size; a limit order
executes once the quote is at its limit or better. Priority is price, then time: market orders
first, then the best limit, then the earlier order. A replacement loses its time when the price
changes or the quantity grows. Executions consume an offer until it changes, also one that an
earlier broker began to consume; a larger order is filled in parts over several offers.

A stop order rests apart until its stop price is reached. An order that is to be executed at once
(IOC, FOK) executes what the offer has, FOK all of it or nothing, and is then canceled. A
reduce-only order executes at most what brings the position to 0, and is canceled without one.

Nothing executes against a quote that is stale or crossed, or against a side without an offer.
`waiting_orders` says which orders rest for such a reason; waiting for the limit price is none.

`match_orders` proposes executions, `due_changes` triggers and cancels. An order in flight takes
part in no other proposal until it is settled.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal

from tapewire.brokers import OpenOrder
from tapewire.decimals import normalize
from tapewire.events import PriceUpdated, Side, TimeInForce, WaitingReason
from tapewire.runtime.contracts.orders import NOTHING_TO_REDUCE
from tapewire_services.orders.domain.net_positions import NetPositions
from tapewire_services.orders.domain.open_orders import ConsumedLiquidity
from tapewire_services.orders.domain.proposals import (
    PendingCancel,
    PendingChange,
    PendingExecution,
    PendingTrigger,
    reason_of_immediate_end,
)
from tapewire_services.orders.domain.symbol_market import (
    PriorityKey,
    QuoteSide,
    SymbolMarket,
    is_marketable,
    is_untriggered_stop,
    priority_key,
)


class OrderBook:
    """All open orders. An order in flight is in no queue; it is kept with the number of the offer
    that it consumes."""

    def __init__(self) -> None:
        self._orders: dict[str, OpenOrder] = {}
        self._in_flight: dict[str, int] = {}
        self._markets: defaultdict[str, SymbolMarket] = defaultdict(SymbolMarket)
        self._placed_keys: dict[str, PriorityKey | None] = {}
        """Where each resting order is: its key in a queue, or None for a stop."""
        self._positions = NetPositions()

    def __len__(self) -> int:
        return len(self._orders)

    def order(self, order_id: str) -> OpenOrder | None:
        """The newest known state of an open order."""
        return self._orders.get(order_id)

    def is_in_flight(self, order_id: str) -> bool:
        """Whether a proposal about the order is to be settled."""
        return order_id in self._in_flight

    def has_orders(self, symbol: str) -> bool:
        """Whether orders of `symbol` rest that are not in flight."""
        market = self._markets.get(symbol)
        return market is not None and market.has_orders

    def needs_quotes(self, symbol: str) -> bool:
        """Whether `update_quote` must see each quote of `symbol`."""
        market = self._markets.get(symbol)
        return market is not None and market.needs_quotes

    def restore_consumed_liquidity(self, consumed: Iterable[ConsumedLiquidity]) -> None:
        """Subtract what was executed against the newest offers before this book existed. Call it
        first."""
        for one in consumed:
            self._markets[one.symbol].side_for(one.side).restore_consumed(one)

    def follow_positions(self, positions: NetPositions) -> None:
        """Take what users hold from `positions`, which somebody else keeps up to date with the log.
        Call it first."""
        self._positions = positions

    def add_order(self, open_order: OpenOrder) -> None:
        """Add an order. It rests as soon as it is accepted."""
        self._orders[open_order.order.order_id] = open_order
        if open_order.order.order_id not in self._in_flight:
            self._place(open_order)

    def update_order(self, open_order: OpenOrder) -> None:
        """Replace an order by a later state from the log. Ignores an older state, and an order that
        was never added or is closed."""
        order_id = open_order.order.order_id
        before = self._orders.get(order_id)
        if before is None or open_order.sequence <= before.sequence:
            return
        if not open_order.order.status.is_open:
            self._remove_from_queue(before)
            del self._orders[order_id]
            return
        self._orders[order_id] = open_order
        if order_id not in self._in_flight:
            self._remove_from_queue(before)
            self._place(open_order)

    def settle_execution(self, execution: PendingExecution, *, is_filled: bool) -> None:
        """End an execution. If it was not filled, its size is available again, unless the offer
        changed meanwhile."""
        open_order = execution.open_order
        side = self._side_for(open_order)
        if not is_filled:
            if side.offer.number == self._in_flight[open_order.order.order_id]:
                side.remaining_size += execution.qty
            self._positions.release(open_order.user, open_order.order, execution.qty)
        self._end_flight(open_order)

    def settle_change(self, change: PendingChange) -> None:
        """End a trigger or a cancel, whether or not it was stored."""
        self._end_flight(change.open_order)

    def _end_flight(self, open_order: OpenOrder) -> None:
        del self._in_flight[open_order.order.order_id]
        if (current := self._orders.get(open_order.order.order_id)) is not None:
            self._place(current)

    def update_quote(self, quote: PriceUpdated) -> None:
        """Take the newest quote of a symbol. An offer that it does not change is not renewed."""
        self._markets[quote.symbol].update_quote(quote)

    def match_orders(self, symbol: str, *, is_stale: bool = False) -> list[PendingExecution]:
        """The executions to report in `symbol` now; none while its quote `is_stale`. Their orders
        are in flight until settled."""
        market = self._markets.get(symbol)
        if market is None or market.quote is None or is_stale or market.is_crossed:
            return []
        at = market.quote.timestamp
        return [*self._match_side(market.asks, at), *self._match_side(market.bids, at)]

    def due_changes(self, symbol: str, *, is_stale: bool = False) -> list[PendingChange]:
        """The triggers and cancels to report in `symbol` now; no trigger while its quote
        `is_stale`. Call it after `match_orders`. The orders are in flight until settled."""
        market = self._markets.get(symbol)
        if market is None:
            return []
        triggers = list[PendingTrigger]()
        if market.stops and not is_stale and not market.is_crossed:
            triggers = self._trigger_stops(market)
        return [*triggers, *self._find_cancels(market, is_stale=is_stale)]

    def propose_cancel(self, order_id: str, reason: str) -> PendingCancel | None:
        """Cancel an open order; None if it is closed or in flight."""
        open_order = self._orders.get(order_id)
        if open_order is None or order_id in self._in_flight:
            return None
        self._remove_from_queue(open_order)
        self._in_flight[order_id] = 0
        return PendingCancel(open_order=open_order, reason=reason)

    def can_reduce(self, open_order: OpenOrder) -> bool:
        """Whether the order may execute, or may soon, without going past flat; True for an order
        that is not reduce-only."""
        order, user = open_order.order, open_order.user
        return (
            not order.reduce_only
            or self._positions.reducible_qty(user, order) > 0
            or self._positions.has_reservations(user, order.symbol)
        )

    def waiting_reasons(
        self, symbol: str, *, is_stale: bool = False
    ) -> tuple[WaitingReason | None, WaitingReason | None]:
        """Why no buy and no sell of `symbol` can be executed at all."""
        market = self._markets[symbol]
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

    def _trigger_stops(self, market: SymbolMarket) -> list[PendingTrigger]:
        reached = [each for each in market.stops.values() if market.reaches(each.order)]
        reached.sort(key=lambda each: each.since)
        for open_order in reached:
            self._remove_from_queue(open_order)
            self._in_flight[open_order.order.order_id] = 0
        return [PendingTrigger(open_order=each) for each in reached]

    def _match_side(self, side: QuoteSide, quoted_at: datetime) -> list[PendingExecution]:
        executions, price = list[PendingExecution](), side.price
        if price is None:
            return executions
        for key in side.priority_keys:
            open_order = self._orders[key[3]]
            if side.remaining_size <= 0 or not is_marketable(open_order.order, price):
                break
            qty = self._executable_qty(open_order, side.remaining_size)
            if not qty:
                continue
            side.remaining_size -= qty
            executions.append(
                PendingExecution(
                    open_order=open_order,
                    qty=qty,
                    price=price,
                    offer=side.offer,
                    quoted_at=quoted_at,
                )
            )
            self._positions.reserve(open_order.user, open_order.order, qty)
        for execution in executions:
            self._remove_from_queue(execution.open_order)
            self._in_flight[execution.open_order.order.order_id] = side.offer.number
        return executions

    def _executable_qty(self, open_order: OpenOrder, offered: Decimal) -> Decimal:
        """How many shares of the order may be executed against an offer of `offered`."""
        order = open_order.order
        allowed = open_order.remaining_qty
        if order.reduce_only:
            allowed = min(allowed, self._positions.reducible_qty(open_order.user, order))
        if order.time_in_force is TimeInForce.FOK and min(allowed, offered) < order.qty:
            return Decimal(0)
        if order.time_in_force is TimeInForce.IOC and order.filled_qty:
            return Decimal(0)
        return normalize(min(allowed, offered))

    def _find_cancels(self, market: SymbolMarket, *, is_stale: bool) -> list[PendingCancel]:
        """The orders that must not rest any longer. Call it after `_match_side`."""
        found = list[tuple[str, str]]()
        for order_id, open_order in market.conditional_orders.items():
            order = open_order.order
            if not self.can_reduce(open_order):
                found.append((order_id, NOTHING_TO_REDUCE))
            elif order.time_in_force.is_immediate and not is_untriggered_stop(order):
                waiting = market.waiting_reason(order.side, is_stale=is_stale)
                found.append((order_id, reason_of_immediate_end(open_order, waiting)))
        proposals = (self.propose_cancel(order_id, reason) for order_id, reason in found)
        return [each for each in proposals if each is not None]

    def _place(self, open_order: OpenOrder) -> None:
        """Let an accepted order rest: a stop apart, any other in its queue."""
        order, market = open_order.order, self._markets[open_order.order.symbol]
        if not open_order.accepted:
            return
        if order.reduce_only or order.time_in_force.is_immediate:
            market.conditional_orders[order.order_id] = open_order
        if is_untriggered_stop(order):
            market.stops[order.order_id] = open_order
            self._placed_keys[order.order_id] = None
        else:
            key = priority_key(open_order)
            insort(market.side_for(order.side).priority_keys, key)
            self._placed_keys[order.order_id] = key

    def _remove_from_queue(self, open_order: OpenOrder) -> None:
        order, market = open_order.order, self._markets[open_order.order.symbol]
        if order.order_id not in self._placed_keys:
            return
        market.conditional_orders.pop(order.order_id, None)
        key = self._placed_keys.pop(order.order_id)
        if key is None:
            del market.stops[order.order_id]
        else:
            keys = market.side_for(order.side).priority_keys
            del keys[bisect_left(keys, key)]

    def _side_for(self, open_order: OpenOrder) -> QuoteSide:
        return self._markets[open_order.order.symbol].side_for(open_order.order.side)
