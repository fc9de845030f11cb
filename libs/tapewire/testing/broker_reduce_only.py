"""The contract of a broker: reduce-only orders never open a position, nor turn one around.

Tapewire leaves that to the venue, and so may the broker, if the venue can do it; otherwise it
rejects the order.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial

from tapewire.events import Order, PositionEvent, Side
from tapewire.testing.broker_trial import POLL_SECONDS, USER, BrokerTrial
from tapewire.testing.trial_class import TrialClass
from tapewire.testing.venue_driver import NotDriven, VenueDriver

PRICE = Decimal(100)


class ReduceOnlyContract(TrialClass):
    """What a broker does with reduce-only orders."""

    async def test_a_reduce_only_order_is_one_at_the_venue_or_is_rejected(self) -> None:
        async with self.start_trial() as trial:
            await _trade(trial, "10", Side.BUY)
            id_ = await trial.place(side=Side.SELL, limit="105", reduce_only=True)
            async with asyncio.timeout(10):
                while not (found := await trial.venue.find_orders(id_)):
                    order = await trial.order(id_)
                    if order.status.value == "rejected":
                        assert order.reason
                        return
                    await asyncio.sleep(POLL_SECONDS)
            assert [one.reduce_only for one in found] == [True]

    async def test_a_reduce_only_sell_closes_no_more_than_is_held(self) -> None:
        async with self._start_with_position("4") as trial:
            [id_] = await _place_exits(trial, "10")
            await trial.venue.offer([id_], Decimal(10), PRICE)
            await _wait_until_flat(trial, {id_: "4"})

    async def test_a_reduce_only_buy_covers_no_more_than_is_short(self) -> None:
        async with self._start_with_position("-5") as trial:
            [id_] = await _place_exits(trial, "8", side=Side.BUY)
            await trial.venue.offer([id_], Decimal(8), PRICE)
            await _wait_until_flat(trial, {id_: "5"})

    async def test_two_reduce_only_orders_that_compete_close_a_position_once(self) -> None:
        async with self._start_with_position("10") as trial:
            first, second = await _place_exits(trial, "10", "10")
            await trial.venue.offer([first, second], Decimal(20), PRICE)
            await _wait_until_flat(trial, {first: "10", second: "0"})

    async def test_two_reduce_only_orders_that_compete_for_a_part_share_it(self) -> None:
        async with self._start_with_position("10") as trial:
            first, second = await _place_exits(trial, "6", "8")
            await trial.venue.offer([first, second], Decimal(14), PRICE)
            await _wait_until_flat(trial, {first: "6", second: "4"})

    async def test_what_the_user_sells_beside_a_reduce_only_order_counts(self) -> None:
        async with self._start_with_position("10") as trial:
            [id_] = await _place_exits(trial, "10", limit="100")
            await _trade(trial, "7", Side.SELL, "99")
            await trial.venue.offer([id_], Decimal(10), PRICE)
            await _wait_until_flat(trial, {id_: "3"})

    async def test_what_is_executed_late_counts_for_a_reduce_only_order(self) -> None:
        async with self._start_with_position("10", answers=True) as trial:
            ordinary = await trial.place("7", side=Side.SELL)
            await trial.venue.accept(ordinary)
            await trial.wait_until_accepted(ordinary)
            [id_] = await _place_exits(trial, "10")
            await trial.venue.disconnect()
            await trial.venue.execute(ordinary, Decimal(7), PRICE)
            await trial.venue.offer([id_], Decimal(10), PRICE)
            await trial.venue.reconnect()
            await _wait_until_flat(trial, {ordinary: "7", id_: "3"})

    async def test_a_reduce_only_order_that_is_executed_after_its_cancel_counts(self) -> None:
        async with self._start_with_position("10", answers=True) as trial:
            first, second = await _place_exits(trial, "10", "10")
            await trial.request_cancel(first)
            await trial.venue.cancel(first)
            await trial.wait_for_status(first, "canceled")
            await trial.venue.execute(first, Decimal(4), PRICE)
            await trial.venue.offer([second], Decimal(10), PRICE)
            await _wait_until_flat(trial, {first: "4", second: "6"})

    async def test_a_reduce_only_order_that_is_replaced_stays_reduce_only(self) -> None:
        async with self._start_with_position("4", answers=True) as trial:
            [id_] = await _place_exits(trial, "6")
            await trial.request_replace(id_, qty="12")
            await trial.venue.replace(id_)
            await trial.wait_for_order(id_, lambda order: order.qty == 12, "replaced")
            await trial.venue.offer([id_], Decimal(12), PRICE)
            await _wait_until_flat(trial, {id_: "4"})

    async def test_a_bust_counts_for_a_reduce_only_order(self) -> None:
        async with self._start_with_position("10", answers=True) as trial:
            await _trade(trial, "5", Side.BUY)
            await trial.venue.bust_last_execution()
            [id_] = await _place_exits(trial, "20")
            await trial.venue.offer([id_], Decimal(20), PRICE)
            await _wait_until_flat(trial, {id_: "10"})

    @contextlib.asynccontextmanager
    async def _start_with_position(
        self, quantity: str, *, answers: bool = False
    ) -> AsyncIterator[BrokerTrial]:
        """A trial with the positions service, whose user holds `quantity` shares."""
        async with self.start_trial(answers=answers) as trial:
            if type(trial.venue).offer is VenueDriver.offer:
                raise NotDriven("offer")
            await trial.positions.start()
            side = Side.SELL if quantity.startswith("-") else Side.BUY
            await _trade(trial, quantity.removeprefix("-"), side)
            paid = str(Decimal(quantity) * PRICE)
            await trial.positions.wait_for(USER, trial.venue.symbol, quantity, paid=paid)
            yield trial


async def _trade(trial: BrokerTrial, qty: str, side: Side, limit: str = "100") -> None:
    """Execute an ordinary order in full."""
    id_ = await trial.place(qty, side=side, limit=limit)
    await trial.venue.accept(id_)
    await trial.wait_until_accepted(id_)
    await trial.venue.execute(id_, Decimal(qty), Decimal(limit))
    await trial.wait_for_status(id_, "filled", qty)


async def _place_exits(
    trial: BrokerTrial, *quantities: str, side: Side = Side.SELL, limit: str = "100"
) -> list[str]:
    """Place reduce-only orders, which the venue accepts. Returns their ids."""
    ids = []
    for qty in quantities:
        id_ = await trial.place(qty, side=side, limit=limit, reduce_only=True)
        await trial.venue.accept(id_)
        await trial.wait_until_accepted(id_)
        ids.append(id_)
    return ids


async def _wait_until_flat(trial: BrokerTrial, filled: dict[str, str]) -> None:
    """Wait until so much of each order is filled and the position is closed. Then it stays closed
    when more is offered, and never was on the other side."""
    for id_, qty in filled.items():
        await trial.wait_for_order(id_, partial(_is_filled, Decimal(qty)), f"{qty} filled")
    await trial.positions.wait_for(USER, trial.venue.symbol, "0")
    await trial.venue.offer(list(filled), Decimal(100), PRICE)
    await _trade(trial, "1", Side.BUY)
    await trial.positions.wait_for(USER, trial.venue.symbol, "1")
    assert {id_: (await trial.order(id_)).filled_qty for id_ in filled} == {
        id_: Decimal(qty) for id_, qty in filled.items()
    }
    quantities = [
        one.position.quantity for one in await trial.events() if isinstance(one, PositionEvent)
    ]
    assert all(one >= 0 for one in quantities) or all(one <= 0 for one in quantities[:-1])


def _is_filled(qty: Decimal, order: Order) -> bool:
    return order.filled_qty == qty
