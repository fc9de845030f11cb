"""Properties of the order book under any market, with brokers that take over from each other.

A model judges each quote by itself and counts what was executed against each offer. It knows
nothing of the book.
"""

from decimal import Decimal
from typing import NamedTuple

import msgspec
from hypothesis import given as examples
from hypothesis import strategies as st

from tapewire.brokers import OpenOrder
from tapewire.events import (
    CATALOGUE,
    CODEC,
    OrderFilled,
    OrderStatus,
    PriceUpdated,
    Side,
    WaitingReason,
)
from tapewire.log import EventMetadata, RecordedEvent
from tapewire_services.orders.domain.open_orders import OpenOrders
from tapewire_services.orders.domain.order_book import OrderBook
from tapewire_services.orders.domain.proposals import PendingExecution
from tests.harness.order_builders import START, USER, open_order, quote


class QuoteStep(NamedTuple):
    """A quote arrives, and is stale when orders are matched with it."""

    quote: PriceUpdated
    is_stale: bool


class CancelStep(NamedTuple):
    """The user cancels one of the open orders."""

    number: int


class TakeoverStep(NamedTuple):
    """Another broker takes over."""


Step = QuoteStep | OpenOrder | CancelStep | TakeoverStep

sides = st.tuples(
    st.sampled_from(["-1", "0", "98", "99", "100", "101"]),
    st.sampled_from(["0", "0.3", "5", "20"]),
)


@st.composite
def quoted_steps(draw: st.DrawFn) -> QuoteStep:
    (bid, bid_size), (ask, ask_size) = draw(sides), draw(sides)
    made = quote(bid, ask, sizes=(bid_size, ask_size), second=draw(st.integers(-3, 3)))
    return QuoteStep(
        msgspec.structs.replace(
            made,
            volume=Decimal(draw(st.sampled_from([0, 0, 100, 200]))),
            price=Decimal(draw(st.sampled_from(["98", "99", "100"]))),
        ),
        is_stale=draw(st.sampled_from([False, False, False, True])),
    )


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    made = list[Step]()
    for since in range(1, draw(st.integers(2, 25))):
        kind = draw(st.sampled_from(["quote"] * 4 + ["order"] * 3 + ["cancel", "take over"]))
        if kind == "quote":
            made.append(draw(quoted_steps()))
        elif kind == "cancel":
            made.append(CancelStep(draw(st.integers(0, 5))))
        elif kind == "take over":
            made.append(TakeoverStep())
        else:
            made.append(
                open_order(
                    draw(st.sampled_from(["0.1", "3", "5", "30"])),
                    since=since,
                    limit=draw(st.sampled_from([None, "98", "99", "100"])),
                    side=draw(st.sampled_from(Side)),
                )
            )
    return made


class ModelOffer:
    """One offer, and what was executed of it."""

    def __init__(self, price: Decimal, size: Decimal, volume: Decimal) -> None:
        self.price, self.size, self.volume = price, size, volume
        self.executed = Decimal(0)


class ModelSide:
    """One side of the market as quoted last."""

    def __init__(self) -> None:
        self.offer: ModelOffer | None = None

    def update(
        self, price: Decimal, size: Decimal, volume: Decimal, *, is_last_at_price: bool
    ) -> None:
        offer = self.offer
        if (
            offer is None
            or (price, size) != (offer.price, offer.size)
            or (volume != offer.volume and is_last_at_price)
        ):
            self.offer = ModelOffer(price, size, volume)

    @property
    def price(self) -> Decimal | None:
        """The quoted price; None if the side is absent."""
        if self.offer is None or not (self.offer.price or self.offer.size):
            return None
        return self.offer.price


class Model:
    """What may be executed, from the last quote alone."""

    def __init__(self) -> None:
        self.sides = {Side.BUY: ModelSide(), Side.SELL: ModelSide()}
        self.last: QuoteStep | None = None

    def on_quote(self, step: QuoteStep) -> None:
        self.last, new = step, step.quote
        self.sides[Side.BUY].update(
            new.ask, new.ask_size, new.volume, is_last_at_price=new.price >= new.ask
        )
        self.sides[Side.SELL].update(
            new.bid, new.bid_size, new.volume, is_last_at_price=new.price <= new.bid
        )

    @property
    def is_crossed(self) -> bool:
        bid, ask = self.sides[Side.SELL].price, self.sides[Side.BUY].price
        return bid is not None and ask is not None and bid > ask

    def check_execution(self, execution: PendingExecution) -> ModelOffer:
        """Check that the execution is allowed. Return the offer that it consumes."""
        order, side = execution.open_order.order, self.sides[execution.open_order.order.side]
        assert self.last is not None
        assert not self.last.is_stale
        assert not self.is_crossed
        assert side.offer is not None
        assert execution.price == side.price
        if order.limit_price is not None:
            assert is_marketable(execution.open_order, side)
        side.offer.executed += execution.qty
        assert side.offer.executed <= side.offer.size
        return side.offer

    def reason(self) -> WaitingReason:
        if self.last is None:
            return WaitingReason.NO_QUOTE
        if self.last.is_stale:
            return WaitingReason.STALE_QUOTE
        return WaitingReason.CROSSED if self.is_crossed else WaitingReason.NO_OFFER


def is_marketable(open_order_: OpenOrder, side: ModelSide) -> bool:
    limit = open_order_.order.limit_price
    if limit is None or side.price is None:
        return limit is None
    return side.price <= limit if open_order_.order.side is Side.BUY else side.price >= limit


class Trial:
    """The broker's side: its book, and the log's fold of what it reported."""

    def __init__(self) -> None:
        self.log = OpenOrders()
        self.orders: dict[str, OpenOrder] = {}
        self.model = Model()
        self.sequence = 1000
        self.book = OrderBook()
        self.in_flight: list[tuple[PendingExecution, ModelOffer]] = []

    def play(self, step: Step, outcomes: list[str]) -> None:
        if isinstance(step, QuoteStep):
            self.model.on_quote(step)
            self.book.update_quote(step.quote)
        elif isinstance(step, TakeoverStep):
            self.take_over()
        elif isinstance(step, CancelStep):
            self.cancel(step.number)
        else:
            self.orders[step.order.order_id] = step
            self.book.add_order(step)
        last = self.model.last
        is_stale = last is not None and last.is_stale
        self.match(is_stale=is_stale)
        while self.in_flight and outcomes and outcomes[-1] != "later":
            self.settle(is_filled=outcomes.pop() == "fill")
            self.match(is_stale=is_stale)
        if outcomes and outcomes[-1] == "later":
            outcomes.pop()
        self.check_waiting(is_stale=is_stale)

    def match(self, *, is_stale: bool) -> None:
        for execution in self.book.match_orders("IBM", is_stale=is_stale):
            self.in_flight.append((execution, self.model.check_execution(execution)))

    def check_waiting(self, *, is_stale: bool) -> None:
        waiting = {
            order.order.order_id: reason
            for order, reason in self.book.waiting_orders("IBM", is_stale=is_stale)
        }
        in_flight = {execution.open_order.order.order_id for execution, _ in self.in_flight}
        assert waiting == {
            order_id: self.model.reason()
            for order_id, order in self.orders.items()
            if order_id not in in_flight
            and is_marketable(order, self.model.sides[order.order.side])
        }

    def settle(self, *, is_filled: bool) -> None:
        """Store the fill that was proposed last, or end its order, as a broker does."""
        execution, offer = self.in_flight.pop()
        order_id = execution.open_order.order.order_id
        before = self.orders.get(order_id)
        if before is None:
            is_filled = False
        else:
            self.end_execution(execution, before, is_filled=is_filled)
        if not is_filled:
            offer.executed -= execution.qty
        self.book.settle_execution(execution, is_filled=is_filled)

    def end_execution(
        self, execution: PendingExecution, before: OpenOrder, *, is_filled: bool
    ) -> None:
        self.sequence += 1
        qty = before.order.filled_qty + (execution.qty if is_filled else 0)
        status = OrderStatus.PARTIALLY_FILLED if is_filled else OrderStatus.FAILED
        if qty == before.order.qty:
            status = OrderStatus.FILLED
        order = msgspec.structs.replace(before.order, filled_qty=qty, status=status)
        after = msgspec.structs.replace(before, order=order, sequence=self.sequence)
        if is_filled:
            self.store_fill(execution, after)
        self.update(after)

    def store_fill(self, execution: PendingExecution, after: OpenOrder) -> None:
        event = OrderFilled(
            order=after.order,
            command_id="fill",
            trade_id="t",
            qty=execution.qty,
            price=execution.price,
            quoted_at=execution.quoted_at,
            offer=execution.offer,
        )
        stored = RecordedEvent(
            sequence=after.sequence,
            subject=f"ev.{USER}.orders.{after.order.order_id}",
            tag=CATALOGUE.tag_of(OrderFilled),
            data=CODEC.encode(event),
            metadata=EventMetadata(id=f"e{after.sequence}", correlation="c"),
            time=START,
        )
        self.log.apply(stored)

    def update(self, after: OpenOrder) -> None:
        if after.order.status.is_open:
            self.orders[after.order.order_id] = after
        else:
            del self.orders[after.order.order_id]
        self.book.update_order(after)

    def cancel(self, number: int) -> None:
        if not self.orders:
            return
        self.sequence += 1
        before = list(self.orders.values())[number % len(self.orders)]
        order = msgspec.structs.replace(before.order, status=OrderStatus.CANCELED)
        self.update(msgspec.structs.replace(before, order=order, sequence=self.sequence))

    def take_over(self) -> None:
        """Begin with what the log has, and with the newest quote alone."""
        while self.in_flight:
            self.settle(is_filled=True)
        self.book = OrderBook()
        restored = OpenOrders.decode(self.log.encode())
        self.book.restore_consumed_liquidity(restored.consumed_liquidity())
        for order in self.orders.values():
            self.book.add_order(order)
        if self.model.last is not None:
            self.book.update_quote(self.model.last.quote)


@examples(steps(), st.lists(st.sampled_from(["fill", "fill", "fail", "later"]), max_size=40))
def test_nothing_executes_that_is_not_offered_and_what_waits_says_why(
    sequence: list[Step], outcomes: list[str]
) -> None:
    trial = Trial()
    for step in sequence:
        trial.play(step, outcomes)
