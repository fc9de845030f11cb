"""The paper broker: a simulated broker that fills orders against live quotes.

It accepts orders, keeps them in a `SplitBook` and executes them against the quotes of a
`QuoteCache`. It also reports what an order waits for that it cannot execute, triggers stops, and
cancels what must not rest any longer. Start at `PaperBroker`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Self

from tapewire.brokers import MAX_CONCURRENT_REPORTS, Broker, BrokerReports, OpenOrder
from tapewire.decimals import WIDE_CONTEXT, normalize, round_half_even
from tapewire.events import NO_FEE, SplitExecuted, TimeInForce
from tapewire.log.quote_cache import QuoteCache
from tapewire.runtime.contracts.orders import NOTHING_TO_REDUCE
from tapewire.values import MAX_PLACES
from tapewire_services.orders.domain.open_orders import OpenOrders
from tapewire_services.orders.domain.proposals import (
    DAY_IS_OVER,
    PendingCancel,
    PendingChange,
    PendingExecution,
    PendingTrigger,
)
from tapewire_services.orders.domain.split_book import SplitBook
from tapewire_services.orders.domain.trading_day import MIDNIGHT, end_of_day
from tapewire_services.orders.domain.waiting_monitor import WaitingChange, WaitingMonitor

MAX_CONCURRENT_WAITING_CHANGES = 16
"""How many of them may say what an order waits for: executions need the others."""
CHECK_EXPIRY_SECONDS = 1.0
"""How often the broker looks for day orders that expire."""
CHECK_WAITING_SECONDS = 0.1
HOLD_POLL_SECONDS = 0.02
MAX_SOURCE_LAG = timedelta(minutes=5)
"""A quote that its producer dated longer before it was stored is an old one. A producer's clock may
be behind, but not by so much."""
MAX_NOTIONAL = Decimal(1_000_000_000)
"""Dollars of one order; the paper broker rejects an order that is worth more."""


WorkItem = OpenOrder | PendingExecution | PendingChange | WaitingChange
"""What is to be reported; an open order is to be accepted or rejected."""


class PaperBroker(Broker):
    """Fills orders at the best bid or ask, up to the quoted size.

    Args:
        is_stale: whether the quote of a symbol is too old to execute against; None: as the cache
            judges it, or if it was dated more than `MAX_SOURCE_LAG` before it was stored.
        fee_per_share: dollars.
        day_end: when day orders expire, UTC.
    """

    confirms_at_once = True

    def __init__(
        self,
        quote_cache: QuoteCache,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        is_stale: Callable[[str], bool] | None = None,
        *,
        fee_per_share: Decimal = NO_FEE,
        day_end: time = MIDNIGHT,
    ) -> None:
        self._quote_cache = quote_cache
        self._clock = clock
        self._fee_per_share = fee_per_share
        self._day_end = day_end
        self._day_orders: dict[str, datetime] = {}
        """When each open day order expires."""
        self._is_stale_by_age = is_stale or self._is_stale_quote
        self._held_symbols: set[str] = set()
        self._withdrawn: set[str] = set()
        """Orders of a symbol that was split, until they have the terms of the new shares."""
        self._book = SplitBook()
        self._waiting = WaitingMonitor(self._book, self._is_stale)
        self._waiting_changes_in_progress = 0
        self._has_waiting_orders = asyncio.Event()
        self._work_queue: asyncio.Queue[WorkItem] = asyncio.Queue()
        self._in_progress_count = 0

    @property
    def pending_count(self) -> int:
        return self._work_queue.qsize() + self._in_progress_count

    def take_over(self, open_orders: OpenOrders) -> Self:
        """Continue where earlier brokers ended: with what they executed against the newest quotes,
        and what users hold. Call it before any order is added. Returns the broker."""
        self._book.restore_consumed_liquidity(open_orders.consumed_liquidity())
        self._book.follow_positions(open_orders.positions)
        for split in open_orders.splits():
            self._quote_cache.add_split(split)
        return self

    def add_order(self, order: OpenOrder) -> None:
        self._book.add_order(order)
        if order.order.time_in_force is TimeInForce.DAY:
            placed_at = order.placed_at or order.order.timestamp
            self._day_orders[order.order.order_id] = end_of_day(placed_at, self._day_end)
        if order.order.waiting is not None:
            self._waiting.watch_order(order, _monotonic_seconds())
            self._has_waiting_orders.set()
        if order.accepted:
            self._match_symbol(order.order.symbol)
        else:
            self._work_queue.put_nowait(order)

    def update_order(self, order: OpenOrder) -> None:
        if order.order.order_id not in self._withdrawn:
            self._book.update_order(order)
        elif not order.order.status.is_open:
            self._withdrawn.discard(order.order.order_id)
        elif order.order.splits >= self._quote_cache.split_count(order.order.symbol):
            self._withdrawn.discard(order.order.order_id)
            self._book.add_order(order)
        if not order.order.status.is_open:
            self._day_orders.pop(order.order.order_id, None)
        self._match_symbol(order.order.symbol)

    @contextlib.asynccontextmanager
    async def hold_symbol(self, symbol: str) -> AsyncIterator[None]:
        """Execute and trigger nothing of `symbol` within the block, which begins when no report of
        an execution of it is in progress any more."""
        self._held_symbols.add(symbol)
        try:
            while self._book.has_in_flight(symbol):  # noqa: ASYNC110 - workers end flights
                await asyncio.sleep(HOLD_POLL_SECONDS)
            yield
        finally:
            self._held_symbols.discard(symbol)
            self._match_symbol(symbol)

    def symbol_split(self, split: SplitExecuted) -> None:
        """Execute nothing before there is a quote of the new shares, and no order before it has
        their terms."""
        self._quote_cache.add_split(split)
        self._withdrawn |= self._book.withdraw_orders(split.symbol)

    async def run(self, reports: BrokerReports) -> None:
        """The queue holds at most one acceptance, execution or change of an order, and one worker
        handles it, so these reports on one order never overlap. A report of what an order waits for
        may overlap with its execution, and changes nothing if it is stored later."""
        remove_listeners = (
            self._quote_cache.add_listener(self._match_symbol),
            self._quote_cache.add_freshness_listener(self._match_symbol),
        )
        try:
            async with asyncio.TaskGroup() as workers:
                workers.create_task(self._report_waiting_changes())
                workers.create_task(self._expire_day_orders())
                for _ in range(MAX_CONCURRENT_REPORTS):
                    workers.create_task(self._run_worker(reports))
        finally:
            for remove_listener in remove_listeners:
                remove_listener()

    def _is_stale(self, symbol: str) -> bool:
        return (
            symbol in self._held_symbols
            or self._quote_cache.awaits_quote_after_split(symbol)
            or self._is_stale_by_age(symbol)
        )

    def _is_stale_quote(self, symbol: str) -> bool:
        cache = self._quote_cache
        return cache.is_stale(symbol) or cache.source_lag(symbol) > MAX_SOURCE_LAG

    def _match_symbol(self, symbol: str) -> None:
        if not self._book.needs_quotes(symbol):
            return
        quote = self._quote_cache.quote(symbol)
        if quote is not None:
            self._book.update_quote(quote)
        has_orders, is_watching = self._book.has_orders(symbol), self._waiting.is_watching(symbol)
        if not has_orders and not is_watching:
            return
        is_stale = self._is_stale(symbol)
        for execution in self._book.match_orders(symbol, is_stale=is_stale):
            self._work_queue.put_nowait(execution)
        for change in self._book.due_changes(symbol, is_stale=is_stale):
            self._work_queue.put_nowait(change)
        if is_watching or self._book.has_waiting_orders(symbol, is_stale=is_stale):
            self._waiting.check_symbol(symbol)
            self._has_waiting_orders.set()

    async def _report_waiting_changes(self) -> None:
        while True:
            await self._has_waiting_orders.wait()
            limit = MAX_CONCURRENT_WAITING_CHANGES - self._waiting_changes_in_progress
            for change in self._waiting.due_changes(_monotonic_seconds(), limit):
                self._waiting_changes_in_progress += 1
                self._work_queue.put_nowait(change)
            if self._waiting.is_idle:
                self._has_waiting_orders.clear()
            await asyncio.sleep(CHECK_WAITING_SECONDS)

    async def _expire_day_orders(self) -> None:
        while True:
            await asyncio.sleep(CHECK_EXPIRY_SECONDS)
            now = self._clock()
            for order_id, expires_at in list(self._day_orders.items()):
                if now < expires_at:
                    continue
                cancel = self._book.propose_cancel(order_id, DAY_IS_OVER)
                if cancel is not None:
                    del self._day_orders[order_id]
                    self._work_queue.put_nowait(cancel)

    async def _run_worker(self, reports: BrokerReports) -> None:
        while True:
            item = await self._work_queue.get()
            self._in_progress_count += 1
            if isinstance(item, PendingExecution):
                await self._report_execution(item, reports)
                self._match_symbol(item.open_order.order.symbol)
            elif isinstance(item, PendingTrigger | PendingCancel):
                await self._report_change(item, reports)
                self._match_symbol(item.open_order.order.symbol)
            elif isinstance(item, WaitingChange):
                await self._report_waiting(item, reports)
            else:
                await self._accept_or_reject(item, reports)
                self._match_symbol(item.order.symbol)
            self._in_progress_count -= 1

    async def _report_waiting(self, change: WaitingChange, reports: BrokerReports) -> None:
        self._book.update_order(await reports.waiting(change.open_order, change.waiting))
        self._waiting_changes_in_progress -= 1
        self._waiting.settle(change)
        self._has_waiting_orders.set()

    async def _accept_or_reject(self, open_order: OpenOrder, reports: BrokerReports) -> None:
        reason = self._rejection_reason(open_order)
        if reason is None:
            self._book.update_order(await reports.accepted(open_order))
        else:
            self._book.update_order(await reports.rejected(open_order, reason))

    async def _report_change(self, change: PendingChange, reports: BrokerReports) -> None:
        if isinstance(change, PendingCancel):
            after = await reports.canceled(change.open_order, change.reason)
        else:
            after = await reports.triggered(change.open_order)
        self._book.update_order(after)
        self._book.settle_change(change)

    async def _report_execution(self, execution: PendingExecution, reports: BrokerReports) -> None:
        before = execution.open_order
        after = await reports.propose_fill(
            before,
            qty=execution.qty,
            price=execution.price,
            fee=self._fee(execution.qty),
            quoted_at=execution.quoted_at,
            offer=execution.offer,
        )
        is_filled = after.order.filled_qty > before.order.filled_qty
        if not is_filled and after.sequence == before.sequence:
            # It was refused although the order is open and unchanged: so would every later one be.
            after = await reports.failed(after, "the broker could not execute the order")
        self._book.update_order(after)
        self._book.settle_execution(execution, is_filled=is_filled)

    def _fee(self, qty: Decimal) -> Decimal:
        return round_half_even(WIDE_CONTEXT.multiply(qty, self._fee_per_share), MAX_PLACES)

    def _rejection_reason(self, open_order: OpenOrder) -> str | None:
        if not self._book.can_reduce(open_order):
            return NOTHING_TO_REDUCE
        order, quote = open_order.order, self._quote_cache.quote(open_order.order.symbol)
        price = order.limit_price or order.stop_price
        if price is None and quote is not None:
            price = quote.price
        if price is None or not price.is_finite():
            return None
        notional = WIDE_CONTEXT.multiply(order.qty, abs(price))
        if notional <= MAX_NOTIONAL:
            return None
        return f"{normalize(notional)} dollars are more than the account may put into one order"


def _monotonic_seconds() -> float:
    return asyncio.get_running_loop().time()
