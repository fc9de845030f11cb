"""The orders service in this process, on the log in memory.

`OrdersProcess` wires the parts as `tapewire_services.orders.__main__` does, without NATS. A test
can kill it at any moment and start another beside or after it.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from decimal import Decimal
from functools import partial

import msgspec

from tapewire.events import CODEC, Order, OrderEvent, OrderType, Side
from tapewire.log import (
    CommandHandler,
    RecordedEvent,
    Unavailable,
)
from tapewire.log.group_commit import GroupCommitLog
from tapewire.log.memory import Faults, MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.view_checkpointer import ViewCheckpointer
from tapewire.log.view_checkpoints import load
from tapewire.runtime import Settings
from tapewire.runtime.contracts.orders import (
    CancelOrder,
    OrderReply,
    PlaceOrder,
    order_id,
)
from tapewire.views import OrderHistory, OrdersView, PositionsView
from tapewire.views.account import AccountTerms
from tapewire_services.orders.broker_consumer import BrokerMaker
from tapewire_services.orders.broker_reporter import BrokerReporter
from tapewire_services.orders.broker_runner import BrokerRunner
from tapewire_services.orders.buying_power import BuyingPowerCheck
from tapewire_services.orders.domain.commands import Command
from tapewire_services.orders.domain.order import ORDER_DECIDER
from tapewire_services.orders.domain.order_state import State
from tapewire_services.orders.execution_booking import ExecutionBooking
from tapewire_services.orders.open_order_limit import OpenOrderLimit, count_open_orders
from tapewire_services.orders.paper_broker import PaperBroker
from tapewire_services.orders.service import OrdersService
from tapewire_services.orders.symbol_check import SymbolCheck
from tests.harness.memory_process import (
    MemoryProcess,
    make_clock,
    make_context,
    retry_until_answered,
)
from tests.harness.order_builders import START, USER, quote
from tests.harness.recorded_log import read_events

clock = make_clock(START)


class OrdersProcess(MemoryProcess):
    """One process of the service. It runs the broker if it is started with `with_broker`. Quotes
    become stale only `with_staleness`."""

    def __init__(
        self,
        server: MemoryServer,
        faults: Faults | None = None,
        *,
        with_staleness: bool = False,
        confirms_at_once: bool = True,
        terms: AccountTerms | None = None,
    ) -> None:
        super().__init__(server, faults)
        self.orders: CommandHandler[State, Command] = CommandHandler(
            GroupCommitLog(self.log), ORDER_DECIDER
        )
        self.projector = ViewCheckpointer(self.log, self.views, OrdersView, OrderHistory)
        limit = OpenOrderLimit(
            Settings().max_open_orders,
            partial(count_open_orders, self.log, self.views),
            asyncio.get_running_loop().time,
        )
        self.service = OrdersService(
            self.log,
            self.views,
            self.orders,
            SymbolCheck(self.quote_cache, self._load_positions),
            limit,
            clock,
            buying_power=(
                None
                if terms is None
                else BuyingPowerCheck(self.log, self.views, terms, self._price, clock)
            ),
            broker_confirms_at_once=confirms_at_once,
            count_splits=self.quote_cache.split_count,
        )
        self.booking = ExecutionBooking(self.log, self.orders, clock)
        self.reporter = BrokerReporter(self.orders, self.booking, self.rng, clock=clock)
        self.make_broker: BrokerMaker = lambda open_orders: PaperBroker(
            self.quote_cache, clock, None if with_staleness else never_stale
        ).take_over(open_orders)
        self.runner = BrokerRunner(
            self.log,
            self.views,
            self.reporter,
            lambda open_orders: self.make_broker(open_orders),
            self.rng,
        )

    def _price(self, symbol: str) -> Decimal | None:
        quoted = self.quote_cache.quote(symbol)
        return None if quoted is None else quoted.price

    async def _load_positions(self, user: str) -> PositionsView:
        return (await load(self.log, self.views, PositionsView, user))[0]

    async def start(
        self, *, with_broker: bool = True, with_projector: bool = False
    ) -> "OrdersProcess":
        await self.start_quotes()
        if with_projector:
            await self.log.subscribe_durable(
                self.projector.durable_name, "ev.*.orders.>", self.projector.handle
            )
            self.spawn(self.projector.run())
        if with_broker:
            self.spawn(self.runner.run())
        return self

    async def place_order(self, request: PlaceOrder) -> OrderReply:
        """Place an order under one command id, repeated until there is a reply."""
        context = make_context()
        return await retry_until_answered(lambda: self.service.place(request, context))

    async def cancel_order(self, order_id: str, user: str = USER) -> Order:
        request = CancelOrder(user_id=user, order_id=order_id)
        context = make_context()
        return (await retry_until_answered(lambda: self.service.cancel(request, context))).order


def place_request(
    qty: str = "10",
    *,
    limit: str | None = None,
    side: Side = Side.BUY,
    client_order_id: str | None = None,
    symbol: str = "IBM",
    user: str = USER,
) -> PlaceOrder:
    return PlaceOrder(
        user_id=user,
        symbol=symbol,
        side=side,
        type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        qty=Decimal(qty),
        limit_price=None if limit is None else Decimal(limit),
        client_order_id=client_order_id,
    )


def never_stale(_: str) -> bool:
    """How a broker judges quotes in tests that publish each only once."""
    return False


class QuoteSimulator:
    """Publishes quotes that move up and down, with sizes that fill orders in parts."""

    def __init__(self, server: MemoryServer, seed: int = 1) -> None:
        self._quote_store = MemoryLatestValueStore(server)
        self._rng = random.Random(seed)
        self._quote_number = 0
        self._last_published = ("IBM", b"")

    async def publish_quote(
        self,
        bid: str = "99",
        ask: str = "100",
        size: str = "1000",
        *,
        symbol: str = "IBM",
        skipped_quotes: int = 0,
    ) -> None:
        """Publish a quote after `skipped_quotes` that are never published."""
        self._quote_number += 1 + skipped_quotes
        published = quote(bid, ask, sizes=(size, size), second=self._quote_number, symbol=symbol)
        before = quote(second=self._quote_number - 1).timestamp
        published = msgspec.structs.replace(published, follows=before)
        self._last_published = (symbol, CODEC.encode(published))
        await self.repeat_quote()

    async def repeat_quote(self) -> None:
        """Confirm the last quote, as a feed does."""
        with contextlib.suppress(Unavailable):
            await self._quote_store.put_unacknowledged(*self._last_published)

    async def run(self) -> None:
        while True:
            bid = self._rng.randrange(95, 105)
            await self.publish_quote(str(bid), str(bid + 1), str(self._rng.randrange(0, 30)))
            await asyncio.sleep(0.1)


class OrdersLogSummary:
    """The events of the log, and each order as its last event has it."""

    def __init__(self, events: list[RecordedEvent]) -> None:
        self.events = events
        self.orders: dict[str, Order] = {
            recorded.event.order.order_id: recorded.event.order
            for recorded in events
            if isinstance(recorded.event, OrderEvent)
        }

    def order(self, client_order_id: str, user: str = USER) -> Order:
        """An order of `user`, which must be in the log."""
        return self.orders[order_id(user, client_order_id)]

    def open_orders(self) -> list[Order]:
        return [order for order in self.orders.values() if order.status.is_open]


async def read_log_summary(server: MemoryServer) -> OrdersLogSummary:
    """Read the whole log, through faults."""
    return OrdersLogSummary(await read_events(MemoryEventLog(server)))


async def wait_for_log(
    server: MemoryServer, description: str, condition: Callable[[OrdersLogSummary], object]
) -> OrdersLogSummary:
    """Wait until `condition` holds for the log, and return its summary."""
    for _ in range(10_000):
        with contextlib.suppress(Unavailable):
            seen = await read_log_summary(server)
            if condition(seen):
                return seen
        await asyncio.sleep(0.01)
    raise AssertionError(f"never: {description}; last seen: {order_statuses(seen)}")


def order_statuses(summary: OrdersLogSummary) -> list[str]:
    return [f"{order.status.value} {order.filled_qty}" for order in summary.orders.values()]
