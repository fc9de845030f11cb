"""The position of a strategy and its cost, compared with exact fractions."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given as examples
from hypothesis import strategies as st

from tapewire.events import Side
from tapewire_services.strategies.domain.holding import Holding

trades = st.lists(
    st.tuples(
        st.sampled_from(Side),
        st.decimals("0.000001", "1000", places=6),
        st.decimals("0.01", "1000", places=4),
    ),
    max_size=30,
)


@examples(trades)
def test_the_entry_price_is_the_average_cost_of_the_position(
    done: list[tuple[Side, Decimal, Decimal]],
) -> None:
    holding, quantity, entry = Holding(), Fraction(0), Fraction(0)
    for side, qty, price in done:
        holding = holding.after_trade(side, qty, price)
        before, change = quantity, Fraction(qty) * (1 if side is Side.BUY else -1)
        quantity += change
        if before * quantity <= 0:
            entry = Fraction(price)
        elif before * change > 0:
            entry = (entry * abs(before) + Fraction(price) * abs(change)) / abs(quantity)
        assert Fraction(holding.quantity) == quantity
        if quantity:
            assert holding.entry_price is not None
            assert abs(Fraction(holding.entry_price) - entry) <= Fraction(1, 10**6)
        else:
            assert holding == Holding()


@examples(
    st.sampled_from(Side),
    st.lists(st.integers(1, 100).map(Decimal), min_size=1, max_size=8),
    st.decimals("0.01", "1000", places=4),
)
def test_one_fill_and_many_give_the_same_position(
    side: Side, parts: list[Decimal], price: Decimal
) -> None:
    start = Holding().after_trade(Side.BUY, Decimal(150), Decimal(77))
    whole = start.after_trade(side, sum(parts, Decimal(0)), price)
    bit_by_bit = start
    for part in parts:
        bit_by_bit = bit_by_bit.after_trade(side, part, price)
    assert bit_by_bit.quantity == whole.quantity
    assert bit_by_bit.entry_price == whole.entry_price
