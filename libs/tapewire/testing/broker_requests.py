"""The contract of a broker: requests to cancel and to replace orders, and the venue's answers."""

from decimal import Decimal

from tapewire.events import AlertRaised, ExecutionException
from tapewire.testing.trial_class import TrialClass

PRICE = Decimal(100)


class RequestContract(TrialClass):
    """What a broker does with requests."""

    async def test_a_cancel_takes_effect(self) -> None:
        async with self.start_trial() as trial:
            id_ = await trial.place(limit="90")
            await trial.venue.accept(id_)
            await trial.wait_until_accepted(id_)
            requested = await trial.request_cancel(id_)
            if not trial.confirms_at_once:
                assert requested.status.value == "pending_cancel"
                await trial.venue.cancel(id_)
            await trial.wait_for_status(id_, "canceled")

    async def test_what_is_executed_before_the_cancel_counts(self) -> None:
        async with self.start_trial(answers=True) as trial:
            id_ = await trial.place()
            await trial.venue.accept(id_)
            await trial.wait_until_accepted(id_)
            await trial.request_cancel(id_)
            await trial.venue.execute(id_, Decimal(7), PRICE)
            await trial.wait_for_status(id_, "pending_cancel", "7")
            await trial.venue.cancel(id_)
            await trial.wait_for_status(id_, "canceled", "7")

    async def test_what_is_executed_after_the_cancel_counts_and_is_an_alert(self) -> None:
        async with self.start_trial(answers=True) as trial:
            id_ = await trial.place()
            await trial.venue.accept(id_)
            await trial.wait_until_accepted(id_)
            await trial.request_cancel(id_)
            await trial.venue.cancel(id_)
            await trial.wait_for_status(id_, "canceled")
            await trial.venue.execute(id_, Decimal(7), PRICE)
            await trial.wait_for_status(id_, "canceled", "7")
            [trade] = await trial.trades(id_)
            assert trade.exceptions == (ExecutionException.CLOSED_ORDER,)
            assert any(isinstance(one, AlertRaised) for one in await trial.events())

    async def test_a_rejected_cancel_leaves_the_order_working(self) -> None:
        async with self.start_trial(answers=True) as trial:
            id_ = await trial.place()
            await trial.venue.accept(id_)
            await trial.wait_until_accepted(id_)
            await trial.request_cancel(id_)
            await trial.venue.reject_cancel(id_, "too late")
            order = await trial.wait_for_status(id_, "new")
            assert order.reason
            await trial.request_cancel(id_)
            await trial.venue.cancel(id_)
            await trial.wait_for_status(id_, "canceled")

    async def test_a_cancel_that_nobody_asked_for_closes_the_order(self) -> None:
        async with self.start_trial(answers=True) as trial:
            id_ = await trial.place()
            await trial.venue.accept(id_)
            await trial.venue.execute(id_, Decimal(4), PRICE)
            await trial.wait_for_status(id_, "partially_filled", "4")
            await trial.venue.cancel_unasked(id_, "the market closes")
            order = await trial.wait_for_status(id_, "canceled", "4")
            assert order.reason

    async def test_a_replacement_takes_effect(self) -> None:
        async with self.start_trial() as trial:
            id_ = await trial.place(limit="90")
            await trial.venue.accept(id_)
            await trial.wait_until_accepted(id_)
            requested = await trial.request_replace(id_, qty="12", limit="91")
            if not trial.confirms_at_once:
                assert (requested.status.value, requested.qty) == ("pending_replace", Decimal(10))
                await trial.venue.replace(id_)
            order = await trial.wait_for_status(id_, "new")
            assert (order.qty, order.limit_price) == (Decimal(12), Decimal(91))
            [at_venue] = await trial.venue.find_orders(id_)
            assert (at_venue.qty, at_venue.limit_price) == (Decimal(12), Decimal(91))
            await trial.venue.execute(id_, Decimal(12), Decimal(91))
            await trial.wait_for_status(id_, "filled", "12")

    async def test_an_order_that_is_filled_while_it_asks_for_more_waits_for_the_answer(
        self,
    ) -> None:
        async with self.start_trial(answers=True) as trial:
            id_ = await trial.place()
            await trial.venue.accept(id_)
            await trial.wait_until_accepted(id_)
            await trial.request_replace(id_, qty="15")
            await trial.venue.execute(id_, Decimal(10), PRICE)
            await trial.wait_for_status(id_, "pending_replace", "10")
            await trial.venue.replace(id_)
            await trial.wait_for_status(id_, "partially_filled", "10")
            await trial.venue.execute(id_, Decimal(5), PRICE)
            await trial.wait_for_status(id_, "filled", "15")

    async def test_a_rejected_replacement_leaves_the_terms(self) -> None:
        async with self.start_trial(answers=True) as trial:
            id_ = await trial.place()
            await trial.venue.accept(id_)
            await trial.wait_until_accepted(id_)
            await trial.request_replace(id_, limit="101")
            await trial.venue.reject_replace(id_, "too late")
            order = await trial.wait_for_status(id_, "new")
            assert (order.limit_price, order.replacement) == (PRICE, None)
            assert order.reason

    async def test_a_replacement_and_a_cancel_after_it_are_both_answered(self) -> None:
        async with self.start_trial(answers=True) as trial:
            id_ = await trial.place()
            await trial.venue.accept(id_)
            await trial.wait_until_accepted(id_)
            await trial.request_replace(id_, qty="12")
            await trial.venue.replace(id_)
            await trial.wait_for_order(id_, lambda order: order.qty == 12, "replaced")
            await trial.request_cancel(id_)
            await trial.venue.cancel(id_)
            await trial.wait_for_status(id_, "canceled")
