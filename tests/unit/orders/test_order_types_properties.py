"""Properties of the book and the decider together, with every type of order and any timing.

Reports are stored in any order, and the book learns of stored events late. A model computes
positions from what was stored and proposed, and judges each proposal by itself.
"""

from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from hypothesis import given as examples
from hypothesis import strategies as st

from tapewire.brokers import OpenOrder
from tapewire.events import (
    CATALOGUE,
    CODEC,
    Order,
    OrderEvent,
    OrderPlaced,
    PriceUpdated,
    Side,
    TimeInForce,
    TradeExecuted,
)
from tapewire.log import CommandRejected, EventDraft, EventMetadata, RecordedEvent
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tapewire_services.orders.domain.commands import (
    AcceptOrderCommand,
    CancelOrderCommand,
    Command,
    FillOrderCommand,
    PlaceOrderCommand,
    ReplaceOrderCommand,
    TriggerOrderCommand,
)
from tapewire_services.orders.domain.open_orders import OpenOrders, loses_priority
from tapewire_services.orders.domain.order import ORDER_DECIDER
from tapewire_services.orders.domain.order_book import OrderBook
from tapewire_services.orders.domain.order_state import PlacedState, State, UnplacedState
from tapewire_services.orders.domain.proposals import (
    PendingCancel,
    PendingChange,
    PendingExecution,
)
from tests.harness import virtual_time
from tests.harness.order_builders import START, USER, order_type, quote
from tests.harness.verification import find_differences


class QuoteStep(NamedTuple):
    quote: PriceUpdated


class ReplaceStep(NamedTuple):
    number: int
    qty: Decimal


class CancelStep(NamedTuple):
    number: int


class SettlementStep(NamedTuple):
    """One of the proposals in flight is stored, or refused."""

    number: int


class FoldStep(NamedTuple):
    """The book folds the next stored events."""

    event_count: int


Step = QuoteStep | PlaceOrderCommand | ReplaceStep | CancelStep | SettlementStep | FoldStep
prices = st.sampled_from(["98", "99", "100", "101", "102"])


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    made = list[Step]()
    kinds = ["quote"] * 3 + ["place"] * 3 + ["settle"] * 4 + ["fold"] * 2 + ["replace", "cancel"]
    for number in range(draw(st.integers(5, 40))):
        match draw(st.sampled_from(kinds)):
            case "quote":
                bid = draw(prices)
                made_quote = quote(bid, str(int(bid) + 1), sizes=(draw(sizes), draw(sizes)))
                volume = Decimal(draw(st.sampled_from([0, 100])))
                price = Decimal(draw(prices))
                made.append(
                    QuoteStep(msgspec.structs.replace(made_quote, volume=volume, price=price))
                )
            case "place":
                made.append(draw(placements(number)))
            case "settle":
                made.append(SettlementStep(draw(st.integers(0, 5))))
            case "fold":
                made.append(FoldStep(draw(st.integers(1, 6))))
            case "replace":
                made.append(ReplaceStep(draw(st.integers(0, 9)), Decimal(draw(st.integers(1, 20)))))
            case _:
                made.append(CancelStep(draw(st.integers(0, 9))))
    return made


sizes = st.sampled_from(["3", "10", "1000"])


@st.composite
def placements(draw: st.DrawFn, number: int) -> PlaceOrderCommand:
    limit, stop = draw(st.none() | prices), draw(st.none() | prices)
    return PlaceOrderCommand(
        id=f"p{number}",
        at=START,
        user=USER,
        symbol="IBM",
        side=draw(st.sampled_from(Side)),
        type=order_type(limit, stop),
        qty=Decimal(draw(st.sampled_from(["1", "5", "12"]))),
        limit_price=None if limit is None else Decimal(limit),
        stop_price=None if stop is None else Decimal(stop),
        client_order_id=f"c{number}",
        time_in_force=draw(st.sampled_from(TimeInForce)),
        reduce_only=draw(st.booleans()),
    )


class Trial:
    """A journal, and a paper broker's book that follows it late."""

    def __init__(self) -> None:
        self.book, self.log = OrderBook(), OpenOrders()
        self.book.follow_positions(self.log.positions)
        self.states: dict[str, tuple[State, int]] = {}
        self.drafts: list[EventDraft] = []
        self.unfolded: list[RecordedEvent] = []
        self.in_flight: list[PendingExecution | PendingChange] = []
        self.position = Decimal(0)
        self.last: PriceUpdated | None = None

    def play(self, step: Step) -> None:
        match step:
            case QuoteStep():
                self.last = step.quote
                self.book.update_quote(step.quote)
            case PlaceOrderCommand():
                order = self.store("", step)
                assert order is not None
                self.store(order.order_id, AcceptOrderCommand(id="a", at=START, user=USER))
            case ReplaceStep() | CancelStep():
                self.request(step)
            case SettlementStep():
                if self.in_flight:
                    self.settle(self.in_flight.pop(step.number % len(self.in_flight)))
            case FoldStep():
                self.fold(step.event_count)
        self.match()

    def request(self, step: ReplaceStep | CancelStep) -> None:
        """What the user asks for takes effect at once."""
        if not self.states:
            return
        id_ = list(self.states)[step.number % len(self.states)]
        name = f"{type(step).__name__}{len(self.drafts)}"
        command: Command = CancelOrderCommand(id=name, at=START, user=USER, reason="enough")
        if isinstance(step, ReplaceStep):
            command = ReplaceOrderCommand(id=name, at=START, user=USER, qty=step.qty)
        self.store(id_, command)

    def store(self, order_id: str, command: Command) -> Order | None:
        """Decide and store. Returns the order, None if the command was rejected."""
        state, _ = self.states.get(order_id, (UnplacedState(), 0))
        try:
            decided = ORDER_DECIDER.decide(state, command)
        except CommandRejected:
            return None
        order = None if isinstance(state, UnplacedState) else state.order
        for new in decided:
            sequence = len(self.drafts) + 1
            metadata = EventMetadata(id=f"e{sequence}", correlation="c", causation=command.id)
            self.drafts.append(EventDraft(subject=new.subject, event=new.event, metadata=metadata))
            if isinstance(new.event, TradeExecuted):
                sign = 1 if new.event.side is Side.BUY else -1
                self.position += sign * new.event.qty
                continue
            assert isinstance(new.event, OrderEvent)
            order, state = new.event.order, ORDER_DECIDER.evolve(state, new.event)
            self.states[order.order_id] = (state, sequence)
            self.unfolded.append(
                RecordedEvent(
                    sequence=sequence,
                    subject=str(new.subject),
                    tag=CATALOGUE.tag_of(type(new.event)),
                    data=CODEC.encode(new.event),
                    metadata=metadata,
                    time=START,
                )
            )
        return order

    def fold(self, count: int) -> None:
        for _ in range(min(count, len(self.unfolded))):
            recorded = self.unfolded.pop(0)
            open_order = self.log.apply(recorded)
            if open_order is None:
                continue
            if isinstance(recorded.event, OrderPlaced):
                self.book.add_order(open_order)
            else:
                self.book.update_order(open_order)

    def match(self) -> None:
        for execution in self.book.match_orders("IBM"):
            self.check_execution(execution)
            self.in_flight.append(execution)
        for change in self.book.due_changes("IBM"):
            self.in_flight.append(change)
        for proposal in self.in_flight:
            assert self.book.is_in_flight(proposal.open_order.order.order_id)

    def check_execution(self, execution: PendingExecution) -> None:
        order = execution.open_order.order
        assert not (order.type.has_stop_price and order.triggered_at is None)
        if order.limit_price is not None:
            better = order.limit_price - execution.price
            assert (better if order.side is Side.BUY else -better) >= 0
        if order.time_in_force is TimeInForce.FOK:
            assert execution.qty == order.qty
        if order.time_in_force is TimeInForce.IOC:
            assert not order.filled_qty
        if order.reduce_only:
            assert execution.qty <= self.reducible_qty(order)

    def reducible_qty(self, order: Order) -> Decimal:
        """What is open on the other side of `order`, less what is proposed on its side."""
        proposed = sum(
            one.qty
            for one in self.in_flight
            if isinstance(one, PendingExecution) and one.open_order.order.side is order.side
        )
        return (-self.position if order.side is Side.BUY else self.position) - proposed

    def settle(self, proposal: PendingExecution | PendingChange) -> None:
        """Store the proposal as a broker does, and tell the book of the outcome."""
        before = proposal.open_order
        id_ = before.order.order_id
        if isinstance(proposal, PendingExecution):
            command: Command = FillOrderCommand(
                id=f"{id_}:fill:{before.order.filled_qty}", at=START, user=USER, qty=proposal.qty,
                price=proposal.price, filled_before=before.order.filled_qty, offer=proposal.offer,
            )  # fmt: skip
        elif isinstance(proposal, PendingCancel):
            command = CancelOrderCommand(
                id=f"{id_}:cancel", at=START, user=USER, reason=proposal.reason
            )
        else:
            command = TriggerOrderCommand(id=f"{id_}:trigger", at=START, user=USER)
        self.store(id_, command)
        after = self.newest(before)
        self.book.update_order(after)
        if isinstance(proposal, PendingExecution):
            is_filled = after.order.filled_qty > before.order.filled_qty
            assert is_filled or after.sequence > before.sequence
            self.book.settle_execution(proposal, is_filled=is_filled)
        else:
            self.book.settle_change(proposal)

    def newest(self, before: OpenOrder) -> OpenOrder:
        state, sequence = self.states[before.order.order_id]
        assert not isinstance(state, UnplacedState)
        if sequence <= before.sequence:
            return before
        since = sequence if loses_priority(before.order, state.order) else before.since
        accepted = before.accepted or not isinstance(state, PlacedState)
        return msgspec.structs.replace(
            before, order=state.order, sequence=sequence, since=since, accepted=accepted
        )

    def finish(self) -> None:
        """Store and fold everything that is left."""
        for _ in range(1000):
            self.fold(len(self.unfolded))
            self.match()
            if not self.in_flight:
                break
            self.settle(self.in_flight.pop())
        assert not self.in_flight
        self.check_resting_orders()

    def check_resting_orders(self) -> None:
        for open_order in self.log.orders():
            order = open_order.order
            is_stop = order.type.has_stop_price and order.triggered_at is None
            assert is_stop or not order.time_in_force.is_immediate
            if order.reduce_only:
                assert self.reducible_qty(order) > 0
            if is_stop and self.last is not None:
                assert not self.is_reached(order, self.last)

    @staticmethod
    def is_reached(order: Order, last: PriceUpdated) -> bool:
        assert order.stop_price is not None
        if order.side is Side.BUY:
            return (last.price if last.volume else last.ask) >= order.stop_price
        return (last.price if last.volume else last.bid) <= order.stop_price


async def find_differences_in(drafts: list[EventDraft]) -> list[str]:
    server = MemoryServer()
    log: Any = MemoryEventLog(server)
    for draft in drafts:
        await log.append([draft])
    return (await find_differences(log, MemoryLatestValueStore(server, prefix="view")))[0]


@examples(steps())
def test_every_proposal_keeps_the_rules_of_its_order_and_the_journal_is_right(
    sequence: list[Step],
) -> None:
    trial = Trial()
    for step in sequence:
        trial.play(step)
    trial.finish()
    assert virtual_time.run(find_differences_in(trial.drafts)) == []
