"""The orders service in this process, with the FIX broker, a log in memory and a foreign venue."""

from collections.abc import Mapping
from decimal import Decimal

import structlog

from fix_broker import FixBroker
from tapewire.brokers import BrokerContext, BrokerStore
from tapewire.events import Order
from tapewire.log.memory import MemoryServer
from tapewire.runtime.contracts.orders import ReplaceOrder, order_id
from tests.fix.foreign_venue import ForeignVenue, Link
from tests.harness.memory_process import make_context
from tests.harness.order_builders import USER
from tests.harness.orders_process import (
    OrdersLogSummary,
    OrdersProcess,
    clock,
    place_request,
    wait_for_log,
)


class FixOrdersProcess(OrdersProcess):
    """A process whose broker has the settings of `environment`. What it stores outlives it, and
    `problems` is what it said of itself."""

    def __init__(self, server: MemoryServer, environment: Mapping[str, str]) -> None:
        super().__init__(server, confirms_at_once=False)
        self.problems: list[str | None] = []
        self.context = BrokerContext(
            name="fix",
            environment=environment,
            store=BrokerStore(self.views, "fix", structlog.get_logger("orders.broker.fix")),
            logger=structlog.get_logger("orders.broker.fix"),
            clock=clock,
            set_problem=self.problems.append,
        )
        self.make_broker = lambda _: FixBroker(self.context)


class FixBrokerTrial:
    """A venue, a link to it, and a process whose broker uses both."""

    def __init__(self, server: MemoryServer, venue: ForeignVenue, link: Link) -> None:
        self.server, self.venue, self.link = server, venue, link
        self.process = FixOrdersProcess(server, venue.environment(link.port))

    async def start(self) -> None:
        await self.process.start()

    async def restart(self) -> None:
        """Kill the process, and start another one."""
        await self.process.kill()
        self.process = FixOrdersProcess(self.server, self.venue.environment(self.link.port))
        await self.start()

    async def place(self, name: str, qty: str = "100", limit: str | None = "100") -> str:
        """Place an order; its id."""
        request = place_request(qty, limit=limit, client_order_id=name)
        return (await self.process.place_order(request)).order.order_id

    async def place_at_venue(self, name: str, qty: str = "100") -> str:
        """Place an order, and wait until the venue has accepted it; its id."""
        id_ = await self.place(name, qty)
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

    def assert_no_faults(self) -> None:
        """The engine rejected nothing, and no order was sent twice."""
        assert self.venue.describe()["faults"] == []
