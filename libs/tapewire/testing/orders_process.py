"""One process of the orders service on a journal in memory, wired as the service wires itself."""

import asyncio
from collections.abc import Callable
from functools import partial

from tapewire.brokers import Broker
from tapewire.log import CommandHandler
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire.log.quote_cache import QuoteCache
from tapewire.log.view_checkpoints import load
from tapewire.runtime import Settings
from tapewire.views import PositionsView
from tapewire_services.orders.broker_health import BrokerHealth
from tapewire_services.orders.broker_reporter import BrokerReporter
from tapewire_services.orders.broker_runner import BrokerRunner
from tapewire_services.orders.domain.commands import Command
from tapewire_services.orders.domain.open_orders import OpenOrders
from tapewire_services.orders.domain.order import ORDER_DECIDER
from tapewire_services.orders.domain.order_state import State
from tapewire_services.orders.execution_booking import ExecutionBooking
from tapewire_services.orders.open_order_limit import OpenOrderLimit, count_open_orders
from tapewire_services.orders.service import OrdersService
from tapewire_services.orders.symbol_check import SymbolCheck


class TrialProcess:
    """One process of the orders service, with the broker's lease."""

    def __init__(
        self,
        server: MemoryServer,
        make_broker: Callable[[OpenOrders], Broker],
        health: BrokerHealth,
    ) -> None:
        self._log = log = MemoryEventLog(server)
        self._views = views = MemoryLatestValueStore(server, stream="VIEWS", prefix="view")
        self._quote_store = MemoryLatestValueStore(server)
        self.quote_cache = QuoteCache(self._quote_store)
        self._make_broker = make_broker
        self._handler: CommandHandler[State, Command] = CommandHandler(log, ORDER_DECIDER)
        reporter = BrokerReporter(self._handler, ExecutionBooking(log, self._handler))
        self._runner = BrokerRunner(
            log,
            views,
            reporter,
            make_broker,
            health=health,
            end_process=lambda: None,  # `stop_broker` says that it goes on
        )

    async def start(self) -> None:
        """Follow the quotes, and run a broker."""
        log, views = self._log, self._views
        await self.quote_cache.start()

        async def load_positions(user: str) -> PositionsView:
            return (await load(log, views, PositionsView, user))[0]

        self.confirms_at_once = self._make_broker(OpenOrders()).confirms_at_once
        self.service = OrdersService(
            log,
            views,
            self._handler,
            SymbolCheck(self.quote_cache, load_positions),
            OpenOrderLimit(
                Settings().max_open_orders,
                partial(count_open_orders, log, views),
                asyncio.get_running_loop().time,
            ),
            broker_confirms_at_once=self.confirms_at_once,
        )

        self._quotes_task = asyncio.create_task(self.quote_cache.run())
        self._broker_task = asyncio.create_task(self._runner.run())

    async def stop_broker(self, timeout_seconds: float) -> None:
        """End the broker. Raises AssertionError if it goes on, and what it raised."""
        self._broker_task.cancel()
        done, _ = await asyncio.wait([self._broker_task], timeout=timeout_seconds)
        assert done, "the broker went on after it was cancelled"
        if not self._broker_task.cancelled():
            self._broker_task.result()

    async def stop(self, timeout_seconds: float) -> None:
        """End the process. Raises as `stop_broker`."""
        self._quotes_task.cancel()
        try:
            await self.stop_broker(timeout_seconds)
        finally:
            for connection in (self._log, self._views, self._quote_store):
                connection.kill()
