"""The contract of a broker: restarts, lost connections, and a journal that is away."""

import asyncio
from decimal import Decimal

from tapewire.testing.trial_class import TrialClass

PRICE = Decimal(100)
SETTLE_SECONDS = 0.3
"""How long to wait for what must not happen."""
CANCELLATION_STEPS = 8
"""Each round cancels a broker one step of the event loop later after a disconnection."""


class RecoveryContract(TrialClass):
    """What a broker does after an interruption."""

    async def test_an_order_that_is_open_at_a_restart_is_not_sent_twice(self) -> None:
        async with self.start_trial() as trial:
            id_ = await trial.place()
            await trial.venue.accept(id_)
            await trial.wait_until_accepted(id_)
            await trial.stop_service()
            await trial.start_service()
            await trial.venue.execute(id_, Decimal(10), PRICE)
            await trial.wait_for_status(id_, "filled", "10")
            assert len(await trial.venue.find_orders(id_)) == 1

    async def test_an_order_that_is_placed_without_a_broker_is_sent_by_the_next_one(self) -> None:
        async with self.start_trial() as trial:
            await trial.stop_broker()
            id_ = await trial.place()
            await trial.stop_service()
            await trial.start_service()
            await trial.venue.accept(id_)
            await trial.wait_until_accepted(id_)

    async def test_what_is_executed_while_no_broker_runs_is_booked_by_the_next_one(self) -> None:
        async with self.start_trial(answers=True) as trial:
            id_ = await trial.place()
            await trial.venue.accept(id_)
            await trial.wait_until_accepted(id_)
            await trial.stop_service()
            await trial.venue.execute(id_, Decimal(10), PRICE)
            await trial.start_service()
            await trial.wait_for_status(id_, "filled", "10")
            await asyncio.sleep(SETTLE_SECONDS)
            assert len(await trial.trades(id_)) == 1

    async def test_a_cancel_that_is_asked_for_without_a_broker_is_sent_by_the_next_one(
        self,
    ) -> None:
        async with self.start_trial(answers=True) as trial:
            id_ = await trial.place()
            await trial.venue.accept(id_)
            await trial.wait_until_accepted(id_)
            await trial.stop_broker()
            await trial.request_cancel(id_)
            await trial.stop_service()
            await trial.start_service()
            await trial.venue.cancel(id_)
            await trial.wait_for_status(id_, "canceled")

    async def test_what_is_executed_while_disconnected_is_booked_once_afterwards(self) -> None:
        async with self.start_trial(answers=True) as trial:
            id_ = await trial.place()
            await trial.venue.accept(id_)
            await trial.venue.execute(id_, Decimal(2), PRICE)
            await trial.wait_for_status(id_, "partially_filled", "2")
            await trial.venue.disconnect()
            await trial.venue.execute(id_, Decimal(3), PRICE)
            await trial.venue.reconnect()
            await trial.wait_for_status(id_, "partially_filled", "5")
            await trial.venue.execute(id_, Decimal(5), PRICE)
            await trial.wait_for_status(id_, "filled", "10")
            assert len(await trial.trades(id_)) == 3

    async def test_what_the_venue_decides_while_disconnected_is_known_afterwards(self) -> None:
        async with self.start_trial(answers=True) as trial:
            id_ = await trial.place()
            await trial.wait_until_sent(id_)
            await trial.venue.disconnect()
            await trial.venue.accept(id_)
            await trial.venue.reconnect()
            await trial.wait_until_accepted(id_)
            await trial.venue.disconnect()
            await trial.venue.cancel_unasked(id_, "the market closes")
            await trial.venue.reconnect()
            await trial.wait_for_status(id_, "canceled")

    async def test_an_order_that_is_placed_while_disconnected_is_sent_afterwards(self) -> None:
        async with self.start_trial(answers=True) as trial:
            await trial.venue.disconnect()
            id_ = await trial.place()
            await asyncio.sleep(SETTLE_SECONDS)
            assert (await trial.order(id_)).status.is_open
            await trial.venue.reconnect()
            await trial.venue.accept(id_)
            await trial.wait_until_accepted(id_)
            assert len(await trial.venue.find_orders(id_)) == 1

    async def test_a_broker_ends_when_it_is_cancelled_while_its_connection_breaks(self) -> None:
        async with self.start_trial(answers=True) as trial:
            for steps in range(CANCELLATION_STEPS):
                id_ = await trial.place()
                await trial.venue.accept(id_)
                await trial.wait_until_accepted(id_)
                breaking = asyncio.ensure_future(trial.venue.disconnect())
                for _ in range(steps):
                    await asyncio.sleep(0)
                await trial.stop_service()
                await breaking
                await trial.venue.reconnect()
                await trial.start_service()

    async def test_what_is_executed_while_the_journal_is_away_is_booked_once(self) -> None:
        async with self.start_trial(answers=True) as trial:
            id_ = await trial.place()
            await trial.venue.accept(id_)
            await trial.wait_until_accepted(id_)
            trial.lose_journal(seconds=1.0)
            await trial.venue.execute(id_, Decimal(10), PRICE)
            await trial.wait_for_status(id_, "filled", "10")
            assert len(await trial.trades(id_)) == 1
