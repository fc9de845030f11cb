"""What the author of a broker writes to have it tested: how to make it, and to drive its venue."""

import abc
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from tapewire.brokers import Broker, BrokerContext
from tapewire.events import Side


class NotDriven(Exception):
    """The venue cannot do this, or its driver does not know how: the test is skipped."""


class VenueOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of an order at the venue. `qty` is the whole order, what is filled included.
    `reduce_only`: the venue executes at most what brings the position closer to 0."""

    symbol: str
    side: Side
    qty: Decimal
    limit_price: Decimal | None
    reduce_only: bool = False


class VenueDriver(abc.ABC):
    """Drives the venue of a broker under test: an acceptor, a simulator or a test system.

    It outlives its brokers. An order is named by Tapewire's `orderId`. A method that concerns an
    order, or a request to cancel or replace it, first waits until that has arrived. The tests that
    need a method which is not overridden are skipped.
    """

    symbol: str = "IBM"
    """What the venue trades."""
    environment: Mapping[str, str] = {}
    """The settings of the broker."""

    @abc.abstractmethod
    def make_broker(self, context: BrokerContext) -> Broker:
        """A new broker, as Tapewire makes it."""

    async def start(self) -> None:
        """Start the venue. `environment` may be complete only then."""

    async def stop(self) -> None:
        """Stop the venue, and release what it holds."""

    async def accept(self, order_id: str) -> None:
        """Accept the order."""
        raise NotDriven("accept")

    async def reject(self, order_id: str, reason: str) -> None:
        """Reject the order, which is not accepted."""
        raise NotDriven("reject")

    async def execute(self, order_id: str, qty: Decimal, price: Decimal) -> None:
        """Execute a part of an accepted order, and report it at once."""
        raise NotDriven("execute")

    async def execute_unknown_order(self, qty: Decimal, price: Decimal) -> None:
        """Report the execution of an order that Tapewire never sent."""
        raise NotDriven("execute_unknown_order")

    async def repeat_last_execution(self) -> None:
        """Report the last execution once more, with the same id."""
        raise NotDriven("repeat_last_execution")

    async def offer(self, order_ids: Sequence[str], qty: Decimal, price: Decimal) -> None:
        """The market offers `qty` shares at `price` to these accepted orders, one after the other.
        Execute what the venue may, and report it at once: of a reduce-only order at most what
        brings the position of its account to 0, other executions that it has not reported yet
        included. Leave it out if the broker rejects reduce-only orders."""
        raise NotDriven("offer")

    async def correct_last_execution(self, qty: Decimal, price: Decimal) -> None:
        """Correct the last execution: it is `qty` shares at `price`. Report that at once, with an
        id of its own; after an earlier correction name the execution as the venue does then."""
        raise NotDriven("correct_last_execution")

    async def bust_last_execution(self) -> None:
        """Undo the last execution: it never happened. Report that at once, with an id of its
        own."""
        raise NotDriven("bust_last_execution")

    async def repeat_last_correction(self) -> None:
        """Report the last correction or bust once more, with the same id."""
        raise NotDriven("repeat_last_correction")

    async def cancel(self, order_id: str) -> None:
        """Cancel the order, as it was asked to."""
        raise NotDriven("cancel")

    async def reject_cancel(self, order_id: str, reason: str) -> None:
        """Refuse to cancel the order, as it was asked to."""
        raise NotDriven("reject_cancel")

    async def cancel_unasked(self, order_id: str, reason: str) -> None:
        """Cancel an order that nobody asked to cancel."""
        raise NotDriven("cancel_unasked")

    async def replace(self, order_id: str) -> None:
        """Replace the terms of the order, as it was asked to."""
        raise NotDriven("replace")

    async def reject_replace(self, order_id: str, reason: str) -> None:
        """Refuse to replace the terms of the order, as it was asked to."""
        raise NotDriven("reject_replace")

    async def disconnect(self) -> None:
        """Break the connection. What is executed from now on is reported after `reconnect`."""
        raise NotDriven("disconnect")

    async def reconnect(self) -> None:
        """Accept connections again."""
        raise NotDriven("reconnect")

    async def find_orders(self, order_id: str) -> list[VenueOrder]:
        """The orders that the venue works, or has worked, for this one; it does not wait."""
        raise NotDriven("find_orders")
