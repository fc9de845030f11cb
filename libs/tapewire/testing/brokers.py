"""The contract of a broker, as tests: what `docs/brokers.md` promises, driven through its venue.

    class TestAcmeBroker(BrokerContract):
        def make_venue(self) -> VenueDriver:
            return AcmeVenue()

Each test runs the orders service on a journal in memory with the broker under test. Tests that the
venue's driver has no method for are skipped. Run them with pytest and pytest-asyncio. Start at
`BrokerContract`.
"""

from decimal import Decimal

from tapewire.events import Side
from tapewire.testing.broker_corrections import CorrectionContract
from tapewire.testing.broker_recovery import RecoveryContract
from tapewire.testing.broker_reduce_only import ReduceOnlyContract
from tapewire.testing.broker_requests import RequestContract
from tapewire.testing.broker_trial import BrokerTrial
from tapewire.testing.venue_driver import NotDriven, VenueDriver, VenueOrder

__all__ = ["BrokerContract", "BrokerTrial", "NotDriven", "VenueDriver", "VenueOrder"]

PRICE = Decimal(100)


class BrokerContract(RequestContract, RecoveryContract, CorrectionContract, ReduceOnlyContract):
    """Derive a test class from it, and return the driver of the venue in `make_venue`."""

    async def test_an_accepted_order_works_at_the_venue_once(self) -> None:
        async with self.start_trial() as trial:
            id_ = await trial.place()
            await trial.venue.accept(id_)
            await trial.wait_until_accepted(id_)
            assert (await trial.order(id_)).status.value == "new"
            assert await trial.venue.find_orders(id_) == [
                VenueOrder(
                    symbol=trial.venue.symbol, side=Side.BUY, qty=Decimal(10), limit_price=PRICE
                )
            ]

    async def test_a_rejected_order_says_why(self) -> None:
        async with self.start_trial() as trial:
            id_ = await trial.place("1000000", limit="1000.01")
            await trial.venue.reject(id_, "too large for you")
            order = await trial.wait_for_status(id_, "rejected")
            assert order.reason

    async def test_an_order_is_filled_by_its_execution(self) -> None:
        async with self.start_trial() as trial:
            id_ = await trial.place()
            await trial.venue.accept(id_)
            await trial.venue.execute(id_, Decimal(10), PRICE)
            order = await trial.wait_for_status(id_, "filled", "10")
            assert order.filled_avg_price == PRICE
            [trade] = await trial.trades(id_)
            assert (trade.qty, trade.price, trade.exceptions) == (Decimal(10), PRICE, ())

    async def test_a_sell_is_a_sell(self) -> None:
        async with self.start_trial() as trial:
            id_ = await trial.place(side=Side.SELL)
            await trial.venue.accept(id_)
            await trial.venue.execute(id_, Decimal(10), PRICE)
            await trial.wait_for_status(id_, "filled", "10")
            assert [one.side for one in await trial.trades(id_)] == [Side.SELL]
            assert [one.side for one in await trial.venue.find_orders(id_)] == [Side.SELL]

    async def test_executions_in_parts_are_as_many_trades_at_their_own_prices(self) -> None:
        async with self.start_trial() as trial:
            id_ = await trial.place()
            await trial.venue.accept(id_)
            await trial.venue.execute(id_, Decimal(4), PRICE)
            await trial.wait_for_status(id_, "partially_filled", "4")
            await trial.venue.execute(id_, Decimal(6), PRICE - 1)
            order = await trial.wait_for_status(id_, "filled", "10")
            assert order.filled_avg_price == Decimal("99.4")
            assert [one.qty for one in await trial.trades(id_)] == [Decimal(4), Decimal(6)]

    async def test_two_executions_that_are_alike_are_two(self) -> None:
        async with self.start_trial() as trial:
            id_ = await trial.place()
            await trial.venue.accept(id_)
            await trial.venue.execute(id_, Decimal(5), PRICE)
            await trial.wait_for_status(id_, "partially_filled", "5")
            await trial.venue.execute(id_, Decimal(5), PRICE)
            await trial.wait_for_status(id_, "filled", "10")
            assert len(await trial.trades(id_)) == 2

    async def test_orders_of_two_users_with_one_client_order_id_are_two_orders(self) -> None:
        async with self.start_trial() as trial:
            ids = {
                user: await trial.place(user=user, client_order_id="mine")
                for user in ("alice", "bob")
            }
            for id_ in ids.values():
                await trial.venue.accept(id_)
            await trial.venue.execute(ids["bob"], Decimal(10), PRICE)
            bob = await trial.wait_for_order(
                ids["bob"], lambda order: order.filled_qty == 10, "filled", "bob"
            )
            assert bob.status.value == "filled"

    async def test_an_execution_that_is_reported_twice_is_booked_once(self) -> None:
        async with self.start_trial() as trial:
            id_ = await trial.place()
            await trial.venue.accept(id_)
            await trial.venue.execute(id_, Decimal(4), PRICE)
            await trial.wait_for_status(id_, "partially_filled", "4")
            await trial.venue.repeat_last_execution()
            await trial.venue.execute(id_, Decimal(6), PRICE)
            await trial.wait_for_status(id_, "filled", "10")
            assert len(await trial.trades(id_)) == 2

    async def test_an_execution_before_the_acceptance_counts(self) -> None:
        async with self.start_trial(answers=True) as trial:
            id_ = await trial.place()
            await trial.venue.execute(id_, Decimal(10), PRICE)
            await trial.wait_for_status(id_, "filled", "10")

    async def test_the_execution_of_an_unknown_order_is_kept_for_operators(self) -> None:
        async with self.start_trial() as trial:
            await trial.venue.execute_unknown_order(Decimal(3), PRICE)
            kept = await trial.wait_for_unmatched_execution()
            assert (kept.execution.qty, kept.execution.price) == (Decimal(3), PRICE)
