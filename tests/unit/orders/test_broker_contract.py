"""The paper broker keeps the contract of brokers, as far as it applies to a simulation."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from tapewire.brokers import Broker, BrokerContext
from tapewire.events import Side
from tapewire.log import CommandRejected
from tapewire.testing.brokers import BrokerContract, BrokerTrial, NotDriven, VenueDriver, VenueOrder
from tapewire_services.orders.domain.open_orders import OpenOrders
from tapewire_services.orders.paper_broker import PaperBroker

pytestmark = pytest.mark.virtual_time


class PaperVenue(VenueDriver):
    """The market that the paper broker executes against. It accepts and rejects by itself."""

    trial: BrokerTrial

    def make_broker(self, context: BrokerContext) -> Broker:
        raise NotImplementedError(context)

    async def accept(self, order_id: str) -> None:
        """It does so already."""

    async def reject(self, order_id: str, reason: str) -> None:
        """The order must be worth too much."""

    async def execute(self, order_id: str, qty: Decimal, price: Decimal) -> None:
        try:
            order = await self.trial.order(order_id)
        except CommandRejected:
            raise NotDriven("way to execute a certain order of several") from None
        bid, ask = (price - 1, price) if order.side is Side.BUY else (price, price + 1)
        await self.trial.publish_quote(bid=bid, ask=ask, size=Decimal(0))
        await self.trial.publish_quote(bid=bid, ask=ask, size=qty)

    async def offer(self, order_ids: Sequence[str], qty: Decimal, price: Decimal) -> None:
        await self.execute(order_ids[0], qty, price)

    async def find_orders(self, order_id: str) -> list[VenueOrder]:
        """The order in the journal is the one that is worked."""
        order = await self.trial.order(order_id)
        return [
            VenueOrder(
                symbol=order.symbol,
                side=order.side,
                qty=order.qty,
                limit_price=order.limit_price,
                reduce_only=order.reduce_only,
            )
        ]


class PaperTrial(BrokerTrial):
    def make_broker(self, open_orders: OpenOrders) -> Broker:
        return PaperBroker(self.quote_cache).take_over(open_orders)


class TestPaperBroker(BrokerContract):
    def make_venue(self) -> VenueDriver:
        return PaperVenue()

    def make_trial(self) -> BrokerTrial:
        venue = PaperVenue()
        venue.trial = PaperTrial(venue)
        return venue.trial
