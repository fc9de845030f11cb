"""What holds of a position whatever is traded, in any order, split in any way, told twice."""

import random
from decimal import Decimal
from fractions import Fraction

from hypothesis import given as examples
from hypothesis import strategies as st

from tapewire.events import Position, Side, TradeExecuted
from tapewire_services.positions.domain.position import POSITION_DECIDER
from tests.unit.positions.invariants import MAX_ROUNDING_ERROR, find_violations, split_trade
from tests.unit.positions.spec import given, trade


@st.composite
def trades(draw: st.DrawFn) -> TradeExecuted:
    """Whole and broken quantities, so that positions are often closed exactly."""
    qty = draw(
        st.one_of(
            st.integers(1, 4).map(Decimal),
            st.decimals("0.001", 100, places=3),
            st.decimals("0.000000001", 10, places=9),
        )
    )
    price = draw(st.one_of(st.integers(0, 9).map(Decimal), st.decimals(0, 10**6, places=8)))
    fee = draw(st.one_of(st.just(Decimal(0)), st.decimals(-5, 5, places=4)))
    return trade(draw(st.sampled_from(Side)), str(qty), str(price), str(fee))


def cash(position: Position) -> Fraction:
    """What was received less what was paid: the same, whatever of it is called realized."""
    return Fraction(position.realized_pnl) - Fraction(position.cost_basis)


histories = st.lists(trades(), min_size=1, max_size=30)


@examples(histories)
def test_every_law_holds_after_every_trade(history: list[TradeExecuted]) -> None:
    assert find_violations(history) == []


@examples(histories, st.randoms())
def test_any_order_gives_the_same_quantity_fees_and_total_at_any_price(
    history: list[TradeExecuted], chance: random.Random
) -> None:
    shuffled = [*history]
    chance.shuffle(shuffled)
    one, other = given(*history).traded_state.position, given(*shuffled).traded_state.position
    assert (one.quantity, one.fees) == (other.quantity, other.fees)
    assert cash(one) == cash(other)


@examples(histories, trades(), st.lists(st.integers(1, 2000), max_size=6))
def test_any_split_of_a_fill_gives_the_same_position(
    history: list[TradeExecuted], last: TradeExecuted, weights: list[int]
) -> None:
    whole = given(*history, last).traded_state.position
    split = given(*history, *split_trade(last, weights)).traded_state.position
    assert (whole.quantity, whole.fees) == (split.quantity, split.fees)
    assert cash(whole) == cash(split)
    moved = abs(Fraction(whole.cost_basis) - Fraction(split.cost_basis))
    assert moved <= MAX_ROUNDING_ERROR * (1 + abs(Fraction(whole.quantity)))


@examples(histories, histories)
def test_a_position_that_closed_begins_anew_but_for_what_it_gained(
    first: list[TradeExecuted], then: list[TradeExecuted]
) -> None:
    held = given(*first).traded_state.position.quantity
    closing = trade(Side.SELL if held > 0 else Side.BUY, str(abs(held)), "7") if held else None
    before = [*first, *([closing] if closing is not None else [])]
    gained = given(*before).traded_state.position
    both, alone = given(*before, *then).traded_state.position, given(*then).traded_state.position
    assert (both.quantity, both.cost_basis) == (alone.quantity, alone.cost_basis)
    exact = [Fraction(one.realized_pnl) for one in (both, gained, alone)]
    assert exact[0] == exact[1] + exact[2]


@examples(histories)
def test_the_state_is_that_of_the_last_stored_event(history: list[TradeExecuted]) -> None:
    after = given(*history)
    assert POSITION_DECIDER.evolve(POSITION_DECIDER.initial_state, after.events[-1]) == after.state
