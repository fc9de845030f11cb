"""A market in IBM with the orders service, for tests of the strategy runner."""

import asyncio
from collections.abc import Callable

from tapewire.events import CODEC, MovingAverageCrossover, Strategy
from tapewire.log.memory import MemoryLatestValueStore, MemoryServer
from tapewire_services.strategies.decision_maker import DecisionMaker, RuleDecisionMaker
from tests.harness.order_builders import quote
from tests.harness.orders_process import OrdersProcess, QuoteSimulator
from tests.harness.strategies_process import StrategiesProcess, UnreliableOrderClient

TREND = MovingAverageCrossover(fast=2, slow=4)


class RunnerScenario:
    """A market in IBM, and the orders service with a client to it."""

    def __init__(self, server: MemoryServer) -> None:
        self.server = server
        self.quote_simulator = QuoteSimulator(server)
        self.orders_process = OrdersProcess(server)
        self.order_client = UnreliableOrderClient(self.orders_process)
        """Every process of the scenario places its orders through it."""

    async def start(self) -> None:
        await self.quote_simulator.publish_quote("100", "100")
        await self.orders_process.start()
        await asyncio.sleep(10)

    async def start_process(
        self, make_decision_maker: Callable[[Strategy], DecisionMaker] = RuleDecisionMaker
    ) -> StrategiesProcess:
        process = await StrategiesProcess(
            self.server, self.order_client, make_decision_maker=make_decision_maker
        ).start()
        await asyncio.sleep(1)  # until it has caught up, in virtual time
        return process

    async def put_quote(self, price: str, second: float) -> None:
        """Publish a quote with the timestamp `at(second)`, and wait half a second."""
        data = CODEC.encode(quote(price, price, sizes=("100000", "100000"), second=second))
        await MemoryLatestValueStore(self.server).put("IBM", data)
        await asyncio.sleep(0.5)

    async def publish_prices(self, *prices: str, size: str = "100000") -> None:
        """Publish quotes at these prices, half a second apart."""
        for price in prices:
            await self.quote_simulator.publish_quote(price, price, size)
            await asyncio.sleep(0.5)
