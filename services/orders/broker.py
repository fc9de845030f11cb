"""The broker port, and the paper broker behind it.

A broker receives the liquidity that earlier brokers consumed (`restore_consumed_liquidity`), then
every open order in the order of the log (`add_order`, `update_order`), and reports what it does as
commands. The paper broker accepts orders, keeps them in an `OrderBook` and executes them against
the quotes of a `QuoteCache`. It also reports what an order waits for that it cannot execute.

An adapter of a real broker fits the same port. It sends each added order under the order's id.
After a restart it receives every open order again and asks its venue what became of each. It
reports executions with the quantity that was filled before each of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

from tapewire.decimals import WIDE_CONTEXT, normalize
from tapewire.log.quote_cache import QuoteCache
from tapewire_services.orders.domain.commands import (
    AcceptOrderCommand,
    Command,
    FailOrderCommand,
    FillOrderCommand,
    NoteWaitingCommand,
    RejectOrderCommand,
)
from tapewire_services.orders.domain.open_orders import ConsumedLiquidity, OpenOrder
from tapewire_services.orders.domain.order_book import OrderBook, PendingExecution
from tapewire_services.orders.domain.waiting_monitor import WaitingChange, WaitingMonitor

MAX_CONCURRENT_REPORTS = 64
"""Reports of one broker that are in progress at the same time, each on another order."""
MAX_CONCURRENT_WAITING_CHANGES = 16
"""How many of them may say what an order waits for: executions need the others."""
CHECK_WAITING_SECONDS = 0.1
MAX_NOTIONAL = Decimal(1_000_000_000)
"""Dollars of one order; the paper broker rejects an order that is worth more."""

ReportCommand = Callable[[OpenOrder, Command], Awaitable[OpenOrder]]
"""Decides a command on an order and returns the order as the log then holds it, whether or not the
command was accepted. It retries while the log is away. Await one report on an order before the next
one."""


class Broker(Protocol):
    """Executes orders. A new broker is made whenever the lease is won or the log is recreated."""

    def restore_consumed_liquidity(self, consumed: Iterable[ConsumedLiquidity]) -> None:
        """Take over what earlier brokers executed against the newest quotes. Called once, first.
        A venue that keeps its own book ignores it."""

    def add_order(self, order: OpenOrder) -> None:
        """Work an order that was just placed, or was open when this broker started. Must not
        block."""

    def update_order(self, order: OpenOrder) -> None:
        """Take over a later state of an added order; the last one is closed. It may result from
        this broker's own report, and may be older than what `report` returned."""

    async def run(self, report: ReportCommand) -> None:
        """Execute orders until cancelled."""

    @property
    def pending_count(self) -> int:
        """The number of reports that wait or are in progress. Orders that wait for the market do
        not count."""


class PaperBroker:
    """Fills orders at the best bid or ask, up to the quoted size.

    Args:
        is_stale: whether the quote of a symbol is too old to execute against; None: as the cache
            judges it.
    """

    def __init__(
        self,
        quote_cache: QuoteCache,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        is_stale: Callable[[str], bool] | None = None,
    ) -> None:
        self._quote_cache = quote_cache
        self._clock = clock
        self._is_stale = is_stale or quote_cache.is_stale
        self._book = OrderBook()
        self._waiting = WaitingMonitor(self._book, self._is_stale)
        self._waiting_changes_in_progress = 0
        self._has_waiting_orders = asyncio.Event()
        self._work_queue: asyncio.Queue[OpenOrder | PendingExecution | WaitingChange] = (
            asyncio.Queue()
        )
        self._in_progress_count = 0

    @property
    def pending_count(self) -> int:
        return self._work_queue.qsize() + self._in_progress_count

    def restore_consumed_liquidity(self, consumed: Iterable[ConsumedLiquidity]) -> None:
        self._book.restore_consumed_liquidity(consumed)

    def add_order(self, order: OpenOrder) -> None:
        self._book.add_order(order)
        if order.order.waiting is not None:
            self._waiting.watch_order(order, _monotonic_seconds())
            self._has_waiting_orders.set()
        if order.accepted:
            self._match_symbol(order.order.symbol)
        else:
            self._work_queue.put_nowait(order)

    def update_order(self, order: OpenOrder) -> None:
        self._book.update_order(order)
        self._match_symbol(order.order.symbol)

    async def run(self, report: ReportCommand) -> None:
        """The queue holds at most one acceptance or execution of an order, and one worker handles
        it, so these reports on one order never overlap. A report of what an order waits for may
        overlap with its execution, and changes nothing if it is stored later."""
        remove_listeners = (
            self._quote_cache.add_listener(self._match_symbol),
            self._quote_cache.add_freshness_listener(self._match_symbol),
        )
        try:
            async with asyncio.TaskGroup() as workers:
                workers.create_task(self._report_waiting_changes())
                for _ in range(MAX_CONCURRENT_REPORTS):
                    workers.create_task(self._run_worker(report))
        finally:
            for remove_listener in remove_listeners:
                remove_listener()

    def _match_symbol(self, symbol: str) -> None:
        if not self._book.needs_quotes(symbol):
            return
        quote, is_stale = self._quote_cache.quote(symbol), self._is_stale(symbol)
        if quote is not None:
            self._book.update_quote(quote)
        for execution in self._book.match_orders(symbol, is_stale=is_stale):
            self._work_queue.put_nowait(execution)
        if self._waiting.is_watching(symbol) or self._book.has_waiting_orders(
            symbol, is_stale=is_stale
        ):
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

    async def _run_worker(self, report: ReportCommand) -> None:
        while True:
            item = await self._work_queue.get()
            self._in_progress_count += 1
            if isinstance(item, PendingExecution):
                await self._report_execution(item, report)
                self._match_symbol(item.open_order.order.symbol)
            elif isinstance(item, WaitingChange):
                await self._report_waiting(item, report)
            else:
                await self._accept_or_reject(item, report)
                self._match_symbol(item.order.symbol)
            self._in_progress_count -= 1

    async def _report_waiting(self, change: WaitingChange, report: ReportCommand) -> None:
        order = change.open_order
        command = NoteWaitingCommand(
            id=change.command_id,
            at=self._clock(),
            user=order.user,
            waiting=change.waiting,
            filled_before=order.order.filled_qty,
        )
        self._book.update_order(await report(order, command))
        self._waiting_changes_in_progress -= 1
        self._waiting.settle(change)
        self._has_waiting_orders.set()

    async def _accept_or_reject(self, open_order: OpenOrder, report: ReportCommand) -> None:
        order_id, now = open_order.order.order_id, self._clock()
        reason = self._rejection_reason(open_order)
        command: Command = AcceptOrderCommand(id=f"{order_id}:accept", at=now, user=open_order.user)
        if reason is not None:
            command = RejectOrderCommand(
                id=f"{order_id}:reject", at=now, user=open_order.user, reason=reason
            )
        self._book.update_order(await report(open_order, command))

    async def _report_execution(self, execution: PendingExecution, report: ReportCommand) -> None:
        before = execution.open_order
        after = await report(
            before,
            FillOrderCommand(
                id=execution.command_id,
                at=self._clock(),
                user=before.user,
                qty=execution.qty,
                price=execution.price,
                filled_before=before.order.filled_qty,
                quoted_at=execution.quoted_at,
                offer=execution.offer,
            ),
        )
        is_filled = after.order.filled_qty > before.order.filled_qty
        if not is_filled and after.order.status.is_open:
            after = await self._report_failure(after, report)
        self._book.update_order(after)
        self._book.settle_execution(execution, is_filled=is_filled)

    async def _report_failure(self, open_order: OpenOrder, report: ReportCommand) -> OpenOrder:
        """Fail an order whose execution was rejected although the order is open and unchanged:
        every later attempt would be rejected too."""
        reason = "the broker could not execute the order"
        order_id = open_order.order.order_id
        return await report(
            open_order,
            FailOrderCommand(
                id=f"{order_id}:fail", at=self._clock(), user=open_order.user, reason=reason
            ),
        )

    def _rejection_reason(self, open_order: OpenOrder) -> str | None:
        order, quote = open_order.order, self._quote_cache.quote(open_order.order.symbol)
        price = order.limit_price or (quote.price if quote is not None else None)
        if price is None or not price.is_finite():
            return None
        notional = WIDE_CONTEXT.multiply(order.qty, abs(price))
        if notional <= MAX_NOTIONAL:
            return None
        return f"{normalize(notional)} dollars are more than the account may put into one order"


def _monotonic_seconds() -> float:
    return asyncio.get_running_loop().time()
