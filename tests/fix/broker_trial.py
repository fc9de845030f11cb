"""The orders service in this process, with the FIX broker, a log in memory and a foreign venue."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import structlog

from fix_broker import FixBroker
from tapewire.brokers import BrokerContext, BrokerStore
from tapewire.events import Order, TradeExecuted
from tapewire.log.memory import MemoryServer
from tapewire.runtime.contracts.orders import ReplaceOrder, order_id
from tests.fix.foreign_venue import ForeignVenue, Link, run_link
from tests.harness.memory_process import make_context
from tests.harness.order_builders import USER
from tests.harness.orders_process import (
    OrdersLogSummary,
    OrdersProcess,
    QuoteSimulator,
    clock,
    place_request,
    wait_for_log,
)
from tests.harness.verification import assert_verified


class FixOrdersProcess(OrdersProcess):
    """A process whose broker has the settings of `environment`. What it stores outlives it, and
    `problems` is what it said of itself."""

    def __init__(
        self,
        server: MemoryServer,
        environment: Mapping[str, str],
        broker_clock: Callable[[], datetime] = clock,
    ) -> None:
        super().__init__(server, confirms_at_once=False)
        self.problems: list[str | None] = []
        self.context = BrokerContext(
            name="fix",
            environment=environment,
            store=BrokerStore(self.views, "fix", structlog.get_logger("orders.broker.fix")),
            logger=structlog.get_logger("orders.broker.fix"),
            clock=broker_clock,
            set_problem=self.problems.append,
        )
        self.make_broker = lambda _: FixBroker(self.context)


class FixBrokerTrial:
    """A venue, a link to it, and a process whose broker uses both."""

    def __init__(
        self, server: MemoryServer, venue: ForeignVenue, link: Link, **settings: str
    ) -> None:
        self.server, self.venue, self.link = server, venue, link
        self.day = 0
        """The days that have passed for the broker."""
        self._settings = {f"TAPEWIRE_FIX_{name}": value for name, value in settings.items()}
        self.process = self._make_process()

    def _make_process(self) -> FixOrdersProcess:
        environment = {**self.venue.environment(self.link.port), **self._settings}
        return FixOrdersProcess(
            self.server, environment, lambda: clock() + timedelta(days=self.day)
        )

    async def start(self) -> None:
        await self.process.start()

    async def restart(self) -> None:
        """Kill the process, and start another one."""
        await self.process.kill()
        self.process = self._make_process()
        await self.start()

    async def place(self, name: str, qty: str = "100", **terms: object) -> str:
        """Place a limit order with other `terms`; its id."""
        request = place_request(qty, limit="100", client_order_id=name)
        request = msgspec.structs.replace(request, **terms)
        return (await self.process.place_order(request)).order.order_id

    async def place_at_venue(self, name: str, qty: str = "100", **terms: object) -> str:
        """Place an order, and wait until the venue has accepted it; its id."""
        id_ = await self.place(name, qty, **terms)
        await self.until(name, lambda order: order.venue_order_id is not None)
        return id_

    async def replace(self, id_: str, **terms: Decimal) -> None:
        request = ReplaceOrder(user_id=USER, order_id=id_, **terms)
        await self.process.service.replace(request, make_context())

    async def until(self, name: str, condition: object) -> OrdersLogSummary:
        """Wait until the order `name` fits: it has the status and filled quantity in a text, or
        meets a condition."""

        def fits(seen: OrdersLogSummary) -> bool:
            order = seen.orders.get(order_id(USER, name))
            if order is None:
                return False
            if callable(condition):
                return bool(condition(order))
            return f"{order.status.value} {order.filled_qty}" == condition

        return await wait_for_log(self.server, f"{name}: {condition}", fits)

    async def order(self, name: str) -> Order:
        return (await wait_for_log(self.server, name, lambda _: True)).order(name)

    async def executions(self) -> list[str | None]:
        """The ids of all executions that are booked, in their order."""
        seen = await wait_for_log(self.server, "the log", lambda _: True)
        events = (one.event for one in seen.events)
        return [one.execution_id for one in events if isinstance(one, TradeExecuted)]

    def assert_no_faults(self) -> None:
        """The engine rejected nothing, and no order was sent twice."""
        assert self.venue.describe()["faults"] == []


@contextlib.asynccontextmanager
async def run_trial(venue: ForeignVenue, **settings: str) -> AsyncIterator[FixBrokerTrial]:
    """A trial for as long as the block lasts. Raises AssertionError if something is wrong in the
    end."""
    async with run_link(venue.port) as link:
        server = MemoryServer()
        await QuoteSimulator(server).publish_quote()
        trial = FixBrokerTrial(server, venue, link, **settings)
        await trial.start()
        try:
            yield trial
            trial.process.raise_task_errors()
            trial.assert_no_faults()
            await assert_verified(server, allow_pending=True)
        finally:
            await trial.process.kill()
