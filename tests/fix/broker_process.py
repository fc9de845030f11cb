"""The orders service in this process, with the FIX broker and a log in memory."""

from collections.abc import Mapping

import structlog

from fix_broker import FixBroker
from tapewire.brokers import BrokerContext, BrokerStore
from tapewire.log.memory import MemoryServer
from tests.harness.orders_process import OrdersProcess, clock


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
