"""The orders service in this process, with the FIX broker and a log in memory."""

import structlog
from fix_broker import FixBroker

from tapewire.brokers import BrokerContext, BrokerStore
from tapewire.log.memory import MemoryServer
from tests.harness.orders_process import OrdersProcess, clock

HEARTBEAT_SECONDS = 1


class FixOrdersProcess(OrdersProcess):
    """A process whose broker speaks to the venue at `port`. What it stores outlives it; `problems`
    is what it said of itself."""

    def __init__(self, server: MemoryServer, port: int) -> None:
        super().__init__(server, confirms_at_once=False)
        self.problems: list[str | None] = []
        self.context = BrokerContext(
            name="fix",
            environ={
                "TAPEWIRE_FIX_PORT": str(port),
                "TAPEWIRE_FIX_SENDER_COMP_ID": "TAPEWIRE",
                "TAPEWIRE_FIX_TARGET_COMP_ID": "VENUE",
                "TAPEWIRE_FIX_HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS),
            },
            store=BrokerStore(self.views, "fix", structlog.get_logger("orders.broker.fix")),
            logger=structlog.get_logger("orders.broker.fix"),
            clock=clock,
            set_problem=self.problems.append,
        )
        self.make_broker = lambda _: FixBroker(self.context)
