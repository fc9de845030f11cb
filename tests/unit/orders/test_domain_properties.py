"""What holds of an order whatever it is told, in any order, any number of times."""

import random
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from tapewire.events import OrderEvent, OrderFilled, OrderStatus, Side, TradeExecuted
from tapewire.log import CommandRejected
from tapewire_services.orders.domain.commands import Command, FillOrderCommand
from tapewire_services.orders.domain.order import (
    ORDER_DECIDER,
    ClosedState,
    UnplacedState,
    WorkingState,
)
from tests.unit.orders.invariants import net_cash
from tests.unit.orders.spec import (
    Given,
    accept,
    at,
    cancel,
    fail,
    fill,
    given,
    place,
    reject,
)

QTY = Decimal("100.5")


OTHERS: dict[str, Callable[[str], Command]] = {
    "accept": accept,
    "cancel": cancel,
    "reject": reject,
    "fail": fail,
    "place": lambda id_: place(str(QTY), id=id_),
}


@st.composite
def commands(draw: st.DrawFn) -> Command:
    """Mostly fills, some of which name the wrong quantity before them."""
    number = draw(st.integers(0, 30))
    kind = draw(st.sampled_from(["fill"] * 8 + ["accept", "cancel", "reject", "fail", "place"]))
    if kind != "fill":
        return OTHERS[kind](f"{kind}{number}")
    qty = draw(st.decimals("0.000001", 60, places=6))
    price = draw(st.decimals("0.00000001", 1_000_000, places=8))
    return FillOrderCommand(
        id=f"fill{number}",
        at=at(draw(st.integers(-5, 5))),
        user="alice",
        qty=qty,
        price=price,
        filled_before=Decimal(-1 if draw(st.integers(0, 9)) == 0 else 0),
    )


def play(sequence: list[Command]) -> Given:
    """Decide all; a fill with 0 before it means: what is filled by then."""
    order = given(place(str(QTY)))
    for command in sequence:
        if isinstance(command, FillOrderCommand) and command.filled_before == 0:
            command = at_present(order, command)
        attempt(order, command)
    return order


def at_present(order: Given, command: FillOrderCommand) -> FillOrderCommand:
    assert not isinstance(order.state, UnplacedState)
    filled = order.state.order.filled_qty
    return FillOrderCommand(
        id=command.id,
        at=command.at,
        user=command.user,
        qty=command.qty,
        price=command.price,
        filled_before=filled,
    )


def attempt(order: Given, command: Command) -> int:
    try:
        return len(order.decide(command))
    except CommandRejected:
        return 0


@examples(st.lists(commands(), max_size=40))
def test_quantity_is_conserved_and_never_exceeded(sequence: list[Command]) -> None:
    order = play(sequence)
    events = order.events()
    filled = sum((event.qty for event in events if isinstance(event, OrderFilled)), Decimal(0))
    traded = sum((event.qty for event in events if isinstance(event, TradeExecuted)), Decimal(0))
    assert not isinstance(order.state, UnplacedState)
    assert filled == traded == order.state.order.filled_qty <= QTY
    assert (order.state.order.status is OrderStatus.FILLED) == (filled == QTY)


@examples(st.lists(commands(), max_size=40))
def test_the_average_is_that_of_the_exact_sum_however_many_fills(sequence: list[Command]) -> None:
    order = play(sequence)
    exact, filled = Fraction(0), Fraction(0)
    for event in order.events():
        if isinstance(event, OrderFilled):
            exact += Fraction(event.qty) * Fraction(event.price)
            filled += Fraction(event.qty)
            assert event.order.filled_avg_price is not None
            rounded = Fraction(round(exact / filled * 10**6), 10**6)
            assert Fraction(event.order.filled_avg_price) == rounded


@examples(st.lists(commands(), max_size=40), st.data())
def test_what_was_decided_before_changes_nothing(
    sequence: list[Command], data: st.DataObject
) -> None:
    order = play(sequence)
    before = order.state
    decided = [event.command_id for event in order.events() if isinstance(event, OrderEvent)]
    for id_ in decided:
        repeats: list[Command] = [fill("1", id=id_), cancel(id_), accept(id_), fail(id_)]
        again = data.draw(st.sampled_from(repeats))
        assert attempt(order, again) == 0
    assert attempt(order, place(str(QTY), id="again")) == 0
    assert order.state == before


@examples(st.lists(commands(), max_size=40))
def test_closed_is_the_last_word(sequence: list[Command]) -> None:
    order = play(sequence)
    closings = [
        number
        for number, event in enumerate(order.events())
        if isinstance(event, OrderEvent) and not event.order.status.is_open
    ]
    assert len(closings) <= 1
    if closings:
        after = order.events()[closings[0] + 1 :]
        assert all(isinstance(event, TradeExecuted) for event in after)
        assert isinstance(order.state, ClosedState)


@examples(st.lists(commands(), max_size=40))
def test_the_state_is_the_fold_of_the_stored_events(sequence: list[Command]) -> None:
    order = play(sequence)
    state = ORDER_DECIDER.initial_state
    for happening in order.new_events:
        if happening.subject.domain == "orders":
            state = ORDER_DECIDER.evolve(state, happening.event)
    assert state == order.state


def test_what_fell_out_of_the_memory_of_commands_is_still_not_done_twice() -> None:
    """An order remembers its last 64 commands. A first fill that is repeated after more than that
    used to look new; the quantity that it names as filled before it says that it is not."""
    order = given(place("100"), *(fill("1", filled_before=str(number)) for number in range(80)))
    assert isinstance(order.state, WorkingState)
    assert "f0" not in order.state.seen_command_ids
    order.when(fill("1")).then_rejected("conflict", "filledBefore")


@pytest.mark.parametrize("seed", range(20))
def test_any_split_of_a_fill_moves_the_same_shares_and_the_same_cash(seed: int) -> None:
    chance = random.Random(seed)
    price, left, parts = "99.37", Decimal(10), list[Decimal]()
    while left and len(parts) < 5:
        parts.append(min(left, Decimal(chance.randrange(1, 5_000_000)).scaleb(-6)))
        left -= parts[-1]
    parts += [left] if left else []
    order = given(place("10"))
    for number, qty in enumerate(parts):
        state: Any = order.state
        before = state.order.filled_qty
        order.decide(FillOrderCommand(id=f"f{number}", at=at(1), user="alice", qty=qty,
                          price=Decimal(price), filled_before=before))  # fmt: skip
    traded = [event for event in order.events() if isinstance(event, TradeExecuted)]
    assert net_cash(order.events()) == -10 * net_cash([TradeExecuted(
        trade_id="t", order_id="o", symbol="IBM", side=Side.SELL, qty=Decimal(1),
        price=Decimal(price), strategy_id=None, timestamp=at(0))])  # fmt: skip
    assert sum(one.qty for one in traded) == 10
    end: Any = order.state
    assert (end.order.status.value, str(end.order.filled_avg_price)) == ("filled", price)
