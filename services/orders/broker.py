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

from services.orders.book import Book, Execution
from services.orders.commands import Accept, Command, Fail, Fill, Reject
from services.orders.deciding import REPORTS_AT_ONCE
from services.orders.exact import WIDE, plain
from services.orders.openorders import OpenOrder, Taken
from tapewire.log.market import Market

MAX_NOTIONAL = Decimal(1_000_000_000)
"""Dollars that the paper account may put into one order; a dearer one is rejected."""

Report = Callable[[OpenOrder, Command], Awaitable[OpenOrder]]
"""Have a command decided on an order; gives the order as it is in the log then, whether or not the
command was taken. Never fails for want of the log: it keeps trying. Await one report of an order
before making the next."""


class Broker(Protocol):
    """Executes orders somewhere. A new one is made whenever the lease is won."""

    def recall(self, taken: Iterable[Taken]) -> None:
        """What brokers before this one executed against the newest quotes: told once, first. A
        venue that keeps its own book has no use for it."""

    def placed(self, order: OpenOrder) -> None:
        """An order to work: just placed, or open when this broker began. Must not block."""

    def changed(self, order: OpenOrder) -> None:
        """The log holds a further event of a placed order, the last of which closes it. May tell
        what the broker reported itself, and later than it knows."""

    async def work(self, report: Report) -> None:
        """Execute until canceled."""

    @property
    def busy(self) -> int:
        """How much waits to be done now, or is under way; orders that wait for the market are not
        counted."""


class PaperBroker:
    """The embedded broker: fills at the touch, by the size on offer."""

    def __init__(
        self, market: Market, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._market = market
        self._clock = clock
        self._book = Book()
        self._todo: asyncio.Queue[OpenOrder | Execution] = asyncio.Queue()
        self._at_hand = 0

    @property
    def busy(self) -> int:
        return self._todo.qsize() + self._at_hand

    def recall(self, taken: Iterable[Taken]) -> None:
        self._book.recall(taken)

    def placed(self, order: OpenOrder) -> None:
        self._book.add(order)
        if order.accepted:
            self._match(order.order.symbol)
        else:
            self._todo.put_nowait(order)

    def changed(self, order: OpenOrder) -> None:
        self._book.update(order)
        self._match(order.order.symbol)

    async def work(self, report: Report) -> None:
        """The queue of things to do holds at most one a resting order, and each worker reports one
        of them, so reports on one order never overlap."""
        ignore = self._market.listen(self._match)
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(REPORTS_AT_ONCE):
                    workers.create_task(self._work(report))
        finally:
            ignore()

    def _match(self, symbol: str) -> None:
        if not self._book.rests(symbol):
            return
        quote = self._market.quote(symbol)
        if quote is None:
            return
        self._book.quote(quote)
        for execution in self._book.match(symbol):
            self._todo.put_nowait(execution)

    async def _work(self, report: Report) -> None:
        while True:
            todo = await self._todo.get()
            self._at_hand += 1
            if isinstance(todo, Execution):
                await self._execute(todo, report)
                self._match(todo.of.order.symbol)
            else:
                await self._answer(todo, report)
                self._match(todo.order.symbol)
            self._at_hand -= 1

    async def _answer(self, open_: OpenOrder, report: Report) -> None:
        """Accept the order, or reject it."""
        order_id, now = open_.order.order_id, self._clock()
        reason = self._objection(open_)
        command: Command = Accept(id=f"{order_id}:accept", at=now, user=open_.user)
        if reason is not None:
            command = Reject(id=f"{order_id}:reject", at=now, user=open_.user, reason=reason)
        self._book.update(await report(open_, command))

    async def _execute(self, execution: Execution, report: Report) -> None:
        before = execution.of
        now = await report(
            before,
            Fill(
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
        if not happened and now.order.status.open:
            now = await self._fail(now, report)
        self._book.update(now)
        self._book.settle(execution, happened=happened)

    async def _fail(self, open_: OpenOrder, report: Report) -> OpenOrder:
        """An execution was refused although the order is open and as it was: it would be refused
        for ever."""
        reason = "the broker could not execute the order"
        order_id = open_.order.order_id
        return await report(
            open_, Fail(id=f"{order_id}:fail", at=self._clock(), user=open_.user, reason=reason)
        )

    def _objection(self, open_: OpenOrder) -> str | None:
        order, quote = open_.order, self._market.quote(open_.order.symbol)
        price = order.limit_price or (quote.price if quote is not None else None)
        if price is None or not price.is_finite():
            return None
        notional = WIDE.multiply(order.qty, price)
        if notional <= MAX_NOTIONAL:
            return None
        return f"{plain(notional)} dollars are more than the account may put into one order"
