"""What executes orders: the port, and the paper broker behind it.

A broker is told what was executed against the newest quotes (`recall`), then of every open order
in the order of the log (`placed`, `changed`), and says what it does through a `Report`. The paper
broker accepts what it is given, keeps it in a `book.Book` and executes it against the quotes of the
`Market`. An adapter of a real broker fits the same port: it sends what was placed under the order's
id, asks its venue what became of it after a restart (`placed` is said again of every open order),
and reports the venue's executions with the quantity filled before each.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

from tapewire.decimals import WIDE_CONTEXT, normalize
from tapewire.log.quote_cache import QuoteCache
from tapewire_services.orders.command_handler import MAX_CONCURRENT_REPORTS
from tapewire_services.orders.domain.commands import (
    AcceptOrderCommand,
    Command,
    FailOrderCommand,
    FillOrderCommand,
    RejectOrderCommand,
)
from tapewire_services.orders.domain.open_orders import ConsumedLiquidity, OpenOrder
from tapewire_services.orders.domain.order_book import OrderBook, PendingExecution

MAX_NOTIONAL = Decimal(1_000_000_000)
"""Dollars that the paper account may put into one order; a dearer one is rejected."""

ReportCommand = Callable[[OpenOrder, Command], Awaitable[OpenOrder]]
"""Have a command decided on an order; gives the order as it is in the log then, whether or not the
command was taken. Never fails for want of the log: it keeps trying. Await one report of an order
before making the next."""


class Broker(Protocol):
    """Executes orders somewhere. A new one is made whenever the lease is won."""

    def restore_consumed_liquidity(self, consumed: Iterable[ConsumedLiquidity]) -> None:
        """What brokers before this one executed against the newest quotes: told once, first. A
        venue that keeps its own book has no use for it."""

    def add_order(self, order: OpenOrder) -> None:
        """An order to work: just placed, or open when this broker began. Must not block."""

    def update_order(self, order: OpenOrder) -> None:
        """The log holds a further event of a placed order, the last of which closes it. May tell
        what the broker reported itself, and later than it knows."""

    async def run(self, report: ReportCommand) -> None:
        """Execute until canceled."""

    @property
    def pending_count(self) -> int:
        """How much waits to be done now, or is under way; orders that wait for the market are not
        counted."""


class PaperBroker:
    """The embedded broker: fills at the touch, by the size on offer."""

    def __init__(
        self, quote_cache: QuoteCache, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._quote_cache = quote_cache
        self._clock = clock
        self._book = OrderBook()
        self._work_queue: asyncio.Queue[OpenOrder | PendingExecution] = asyncio.Queue()
        self._in_progress_count = 0

    @property
    def pending_count(self) -> int:
        return self._work_queue.qsize() + self._in_progress_count

    def restore_consumed_liquidity(self, consumed: Iterable[ConsumedLiquidity]) -> None:
        self._book.restore_consumed_liquidity(consumed)

    def add_order(self, order: OpenOrder) -> None:
        self._book.add_order(order)
        if order.accepted:
            self._match_symbol(order.order.symbol)
        else:
            self._work_queue.put_nowait(order)

    def update_order(self, order: OpenOrder) -> None:
        self._book.update_order(order)
        self._match_symbol(order.order.symbol)

    async def run(self, report: ReportCommand) -> None:
        """The queue of things to do holds at most one a resting order, and each worker reports one
        of them, so reports on one order never overlap."""
        ignore = self._quote_cache.add_listener(self._match_symbol)
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(MAX_CONCURRENT_REPORTS):
                    workers.create_task(self._run_worker(report))
        finally:
            ignore()

    def _match_symbol(self, symbol: str) -> None:
        if not self._book.has_resting_orders(symbol):
            return
        quote = self._quote_cache.quote(symbol)
        if quote is None:
            return
        self._book.update_quote(quote)
        for execution in self._book.match_orders(symbol):
            self._work_queue.put_nowait(execution)

    async def _run_worker(self, report: ReportCommand) -> None:
        while True:
            todo = await self._work_queue.get()
            self._in_progress_count += 1
            if isinstance(todo, PendingExecution):
                await self._report_execution(todo, report)
                self._match_symbol(todo.open_order.order.symbol)
            else:
                await self._accept_or_reject(todo, report)
                self._match_symbol(todo.order.symbol)
            self._in_progress_count -= 1

    async def _accept_or_reject(self, open_order: OpenOrder, report: ReportCommand) -> None:
        """Accept the order, or reject it."""
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
        now = await report(
            before,
            FillOrderCommand(
                id=execution.command_id,
                at=self._clock(),
                user=before.user,
                qty=execution.qty,
                price=execution.price,
                filled_before=before.order.filled_qty,
                quoted_at=execution.quoted_at,
            ),
        )
        happened = now.order.filled_qty > before.order.filled_qty
        if not happened and now.order.status.is_open:
            now = await self._report_failure(now, report)
        self._book.update_order(now)
        self._book.settle_execution(execution, is_filled=happened)

    async def _report_failure(self, open_order: OpenOrder, report: ReportCommand) -> OpenOrder:
        """An execution was refused although the order is open and as it was: it would be refused
        for ever."""
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
        notional = WIDE_CONTEXT.multiply(order.qty, price)
        if notional <= MAX_NOTIONAL:
            return None
        return f"{normalize(notional)} dollars are more than the account may put into one order"
