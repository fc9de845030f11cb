"""When the reason that an order waits for becomes an event. Pure.

`OrderBook.waiting_orders` knows at any moment which orders rest and why. `WaitingMonitor` compares
this with what the log says of each order, `Order.waiting`, and proposes a change once it has lasted
for `HOLD_SECONDS`: a quote that flickers changes nothing. One order has at most `BURST_CHANGES`
such changes, and one more for each `SECONDS_PER_CHANGE` since the first. Start at
`WaitingMonitor.due_changes`.
"""

from collections.abc import Callable

import msgspec

from tapewire.brokers import OpenOrder
from tapewire.events import Order, WaitingReason
from tapewire_services.orders.domain.order_book import OrderBook

HOLD_SECONDS = 0.3
"""How long a change must have lasted."""
BURST_CHANGES = 8
SECONDS_PER_CHANGE = 60.0
FULL_CHECK_SECONDS = 60.0
"""How often closed orders are forgotten."""

Reasons = tuple[WaitingReason | None, WaitingReason | None]


class WaitingChange(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal to note that the order waits for `waiting`, or for nothing any more."""

    open_order: OpenOrder
    waiting: WaitingReason | None


class _WaitingOrder:
    """What one order waits for, and how often that was noted."""

    __slots__ = ("change_count", "first_change_at", "is_reporting", "observed", "since")

    def __init__(self, now: float) -> None:
        self.observed: tuple[WaitingReason | None, object] = (None, None)
        self.since = now
        self.is_reporting = False
        self.change_count = 0
        self.first_change_at = now

    @property
    def reason(self) -> WaitingReason | None:
        return self.observed[0]

    def observe(self, reason: WaitingReason | None, order: Order, now: float) -> None:
        """Take what the order waits for now. A fill begins another wait."""
        observed = (reason, order.filled_qty)
        if observed != self.observed:
            self.observed, self.since = observed, now

    def allows_change(self, now: float) -> bool:
        """Whether a change has lasted long enough and is within the order's budget."""
        budget = BURST_CHANGES + (now - self.first_change_at) // SECONDS_PER_CHANGE
        return now >= self.since + HOLD_SECONDS and self.change_count < budget

    def has_spent(self, now: float) -> bool:
        """Whether a part of the initial budget is spent at `now`."""
        return self.change_count > (now - self.first_change_at) // SECONDS_PER_CHANGE

    def note_change(self, now: float) -> None:
        if not self.change_count:
            self.first_change_at = now
        self.change_count += 1
        self.is_reporting = True


class WaitingMonitor:
    """Finds the orders of a book whose `waiting` is to be changed.

    Args:
        is_stale: whether the quote of a symbol is too old to execute against.
    """

    def __init__(self, book: OrderBook, is_stale: Callable[[str], bool]) -> None:
        self._book = book
        self._is_stale = is_stale
        self._orders: dict[str, dict[str, _WaitingOrder]] = {}
        """By symbol and id, the orders that wait, or were said to."""
        self._settled_reasons: dict[str, Reasons | None] = {}
        """The same symbols. While their reasons are these, there is nothing to change."""
        self._next_full_check = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to compare until the next `check_symbol`."""
        return not self._settled_reasons

    def is_watching(self, symbol: str) -> bool:
        """Whether an order of `symbol` waits, or was said to."""
        return symbol in self._settled_reasons

    def check_symbol(self, symbol: str) -> None:
        """Compare the orders of `symbol` in the next `due_changes`."""
        self._settled_reasons[symbol] = None

    def watch_order(self, open_order: OpenOrder, now: float) -> None:
        """Take an order of which the log says that it waits."""
        order = open_order.order
        self._orders.setdefault(order.symbol, {}).setdefault(order.order_id, _WaitingOrder(now))
        self.check_symbol(order.symbol)

    def settle(self, change: WaitingChange) -> None:
        """End a change, whether or not it became an event."""
        order = change.open_order.order
        watched = self._orders.get(order.symbol, {}).get(order.order_id)
        if watched is not None:
            watched.is_reporting = False
            self.check_symbol(order.symbol)

    def due_changes(self, now: float, limit: int) -> list[WaitingChange]:
        """At most `limit` changes to report now. Each order has one at a time, until `settle`."""
        changes: list[WaitingChange] = []
        if now >= self._next_full_check:
            self._next_full_check = now + FULL_CHECK_SECONDS
            self._settled_reasons = dict.fromkeys(self._settled_reasons)
        for symbol, settled in list(self._settled_reasons.items()):
            is_stale = self._is_stale(symbol)
            reasons = self._book.waiting_reasons(symbol, is_stale=is_stale)
            if reasons == settled:
                continue
            found, is_settled = self._compare(symbol, now, is_stale=is_stale)
            changes += self._begin_changes(found, now, limit - len(changes))
            self._settled_reasons[symbol] = reasons if is_settled else None
            if not self._orders[symbol]:
                del self._orders[symbol], self._settled_reasons[symbol]
        return changes

    def _compare(
        self, symbol: str, now: float, *, is_stale: bool
    ) -> tuple[list[tuple[OpenOrder, _WaitingOrder]], bool]:
        """The orders of `symbol` whose reason has changed for long enough, and whether no other
        change is under way."""
        waiting = {
            open_order.order.order_id: reason
            for open_order, reason in self._book.waiting_orders(symbol, is_stale=is_stale)
        }
        watched_orders = self._orders.setdefault(symbol, {})
        for order_id in waiting.keys() - watched_orders.keys():
            watched_orders[order_id] = _WaitingOrder(now)
        found, is_settled = list[tuple[OpenOrder, _WaitingOrder]](), True
        for order_id, watched in list(watched_orders.items()):
            open_order = self._book.order(order_id)
            if open_order is None:
                del watched_orders[order_id]
                continue
            if watched.is_reporting or self._book.is_in_flight(order_id):
                is_settled = False
                continue
            watched.observe(waiting.get(order_id), open_order.order, now)
            if watched.reason is open_order.order.waiting:
                if watched.reason is None and not watched.has_spent(now):
                    del watched_orders[order_id]
                continue
            is_settled = False
            if watched.allows_change(now):
                found.append((open_order, watched))
        return found, is_settled

    def _begin_changes(
        self, found: list[tuple[OpenOrder, _WaitingOrder]], now: float, limit: int
    ) -> list[WaitingChange]:
        for _, watched in found[:limit]:
            watched.note_change(now)
        return [
            WaitingChange(open_order=open_order, waiting=watched.reason)
            for open_order, watched in found[:limit]
        ]
