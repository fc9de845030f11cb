"""The contract of a broker: executions that the venue corrects, or busts, after it reported them.

Each test looks at what users see of it: the order, its trades, the position, the account's cash and
the alerts.
"""

import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal

from tapewire.events import AlertLevel, AlertRaised, TradeCorrected
from tapewire.testing.broker_trial import USER, BrokerTrial
from tapewire.testing.trial_class import TrialClass

PRICE = Decimal(100)


class CorrectionContract(TrialClass):
    """What a broker does with corrections."""

    async def test_a_busted_execution_is_undone_once(self) -> None:
        async with self._start_with_order() as (trial, id_):
            await trial.venue.execute(id_, Decimal(4), PRICE)
            await trial.wait_for_status(id_, "partially_filled", "4")
            await trial.venue.bust_last_execution()
            await trial.wait_for_status(id_, "new")
            await trial.positions.wait_for(USER, trial.venue.symbol, "0", paid="0")
            await trial.venue.repeat_last_correction()
            await trial.venue.execute(id_, Decimal(10), PRICE)
            await trial.wait_for_status(id_, "filled", "10")
            await trial.positions.wait_for(USER, trial.venue.symbol, "10", paid="1000")
            assert await _corrections(trial, id_) == [("4 at 100", "0 at 100")]

    async def test_a_corrected_execution_counts_as_corrected_once(self) -> None:
        async with self._start_with_order() as (trial, id_):
            await trial.venue.execute(id_, Decimal(4), PRICE)
            await trial.wait_for_status(id_, "partially_filled", "4")
            await trial.venue.correct_last_execution(Decimal(3), Decimal(98))
            order = await trial.wait_for_status(id_, "partially_filled", "3")
            assert order.filled_avg_price == Decimal(98)
            await trial.positions.wait_for(USER, trial.venue.symbol, "3", paid="294")
            await trial.venue.repeat_last_correction()
            await trial.venue.execute(id_, Decimal(7), PRICE)
            order = await trial.wait_for_status(id_, "filled", "10")
            assert order.filled_avg_price == Decimal("99.4")
            await trial.positions.wait_for(USER, trial.venue.symbol, "10", paid="994")
            assert await _corrections(trial, id_) == [("4 at 100", "3 at 98")]

    async def test_an_execution_that_is_corrected_and_then_busted_is_undone(self) -> None:
        async with self._start_with_order() as (trial, id_):
            await trial.venue.execute(id_, Decimal(4), PRICE)
            await trial.wait_for_status(id_, "partially_filled", "4")
            await trial.venue.correct_last_execution(Decimal(4), Decimal(97))
            await trial.positions.wait_for(USER, trial.venue.symbol, "4", paid="388")
            await trial.venue.bust_last_execution()
            await trial.wait_for_status(id_, "new")
            await trial.positions.wait_for(USER, trial.venue.symbol, "0", paid="0")
            assert await _corrections(trial, id_) == [
                ("4 at 100", "4 at 97"),
                ("4 at 97", "0 at 97"),
            ]

    async def test_an_execution_is_named_by_its_last_correction_even_if_that_changed_nothing(
        self,
    ) -> None:
        async with self._start_with_order() as (trial, id_):
            await trial.venue.execute(id_, Decimal(4), PRICE)
            await trial.wait_for_status(id_, "partially_filled", "4")
            await trial.venue.correct_last_execution(Decimal(4), PRICE)
            await trial.venue.bust_last_execution()
            await trial.wait_for_status(id_, "new")
            await trial.positions.wait_for(USER, trial.venue.symbol, "0", paid="0")

    async def test_only_the_execution_that_is_named_is_busted(self) -> None:
        async with self._start_with_order() as (trial, id_):
            await trial.venue.execute(id_, Decimal(5), PRICE)
            await trial.wait_for_status(id_, "partially_filled", "5")
            await trial.venue.execute(id_, Decimal(3), PRICE - 1)
            await trial.wait_for_status(id_, "partially_filled", "8")
            await trial.venue.bust_last_execution()
            order = await trial.wait_for_status(id_, "partially_filled", "5")
            assert order.filled_avg_price == PRICE
            await trial.positions.wait_for(USER, trial.venue.symbol, "5", paid="500")
            assert await _corrections(trial, id_) == [("3 at 99", "0 at 99")]

    async def test_a_filled_order_of_which_an_execution_is_busted_is_canceled(self) -> None:
        async with self._start_with_order() as (trial, id_):
            await trial.venue.execute(id_, Decimal(4), PRICE)
            await trial.venue.execute(id_, Decimal(6), PRICE - 1)
            await trial.wait_for_status(id_, "filled", "10")
            await trial.venue.bust_last_execution()
            order = await trial.wait_for_status(id_, "canceled", "4")
            assert order.reason
            await trial.positions.wait_for(USER, trial.venue.symbol, "4", paid="400")
            await trial.venue.repeat_last_correction()
            another = await trial.place("6")
            await trial.venue.accept(another)
            await trial.venue.execute(another, Decimal(6), PRICE)
            await trial.positions.wait_for(USER, trial.venue.symbol, "10", paid="1000")
            assert await _corrections(trial, id_) == [("6 at 99", "0 at 99")]

    async def test_an_execution_of_a_canceled_order_is_busted(self) -> None:
        async with self._start_with_order() as (trial, id_):
            await trial.venue.execute(id_, Decimal(4), PRICE)
            await trial.wait_for_status(id_, "partially_filled", "4")
            await trial.venue.cancel_unasked(id_, "the market closes")
            await trial.wait_for_status(id_, "canceled", "4")
            await trial.venue.bust_last_execution()
            await trial.wait_for_status(id_, "canceled")
            await trial.positions.wait_for(USER, trial.venue.symbol, "0", paid="0")
            assert await _corrections(trial, id_) == [("4 at 100", "0 at 100")]

    async def test_what_is_corrected_while_no_broker_runs_is_booked_by_the_next_one(self) -> None:
        async with self._start_with_order() as (trial, id_):
            await trial.venue.execute(id_, Decimal(4), PRICE)
            await trial.wait_for_status(id_, "partially_filled", "4")
            await trial.stop_service()
            await trial.venue.correct_last_execution(Decimal(4), Decimal(98))
            await trial.start_service()
            await trial.positions.wait_for(USER, trial.venue.symbol, "4", paid="392")
            await trial.venue.execute(id_, Decimal(6), PRICE)
            await trial.wait_for_status(id_, "filled", "10")
            assert await _corrections(trial, id_) == [("4 at 100", "4 at 98")]

    async def test_what_is_busted_while_disconnected_is_undone_once_afterwards(self) -> None:
        async with self._start_with_order() as (trial, id_):
            await trial.venue.execute(id_, Decimal(4), PRICE)
            await trial.wait_for_status(id_, "partially_filled", "4")
            await trial.venue.disconnect()
            await trial.venue.bust_last_execution()
            await trial.venue.reconnect()
            await trial.wait_for_status(id_, "new")
            await trial.positions.wait_for(USER, trial.venue.symbol, "0", paid="0")
            assert await _corrections(trial, id_) == [("4 at 100", "0 at 100")]

    @contextlib.asynccontextmanager
    async def _start_with_order(self) -> AsyncIterator[tuple[BrokerTrial, str]]:
        """A trial with the positions service and an accepted order of 10 shares."""
        async with self.start_trial(answers=True) as trial:
            await trial.positions.start()
            id_ = await trial.place()
            await trial.venue.accept(id_)
            await trial.wait_until_accepted(id_)
            yield trial, id_


async def _corrections(trial: BrokerTrial, order_id: str) -> list[tuple[str, str]]:
    """What the trades of the order counted as before and after each correction. Raises
    AssertionError unless there is an alert of level `error` for each."""
    events = await trial.events()
    corrected = [
        one for one in events if isinstance(one, TradeCorrected) and one.order_id == order_id
    ]
    alerts = [one for one in events if isinstance(one, AlertRaised)]
    assert [one.level for one in alerts] == [AlertLevel.ERROR] * len(corrected)
    return [
        (f"{one.before.qty:f} at {one.before.price:f}", f"{one.qty:f} at {one.price:f}")
        for one in corrected
    ]
