"""The whole-number reckoning: half goes to even, nothing else is rounded; what is no number of
units is refused."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tapewire.verify.fixed_point import (
    UnrepresentableAmount,
    divide_half_even,
    from_units,
    to_units,
)
from tapewire.verify.reference_index import ReferenceIndex


@given(some.integers(-(10**30), 10**30), some.integers(-(10**12), 10**12).filter(bool))
def test_halves_is_the_nearest_whole_number_or_the_even_one(dividend: int, divisor: int) -> None:
    assert divide_half_even(dividend, divisor) == round(Fraction(dividend, divisor))


@given(some.integers(-(10**40), 10**40))
def test_units_and_back(number: int) -> None:
    assert to_units(from_units(number, 21), 21) == number


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999999", "0.0000000001"])
def test_what_is_no_amount(value: str) -> None:
    with pytest.raises(UnrepresentableAmount):
        to_units(Decimal(value), 9)


def test_a_register_knows_what_was_said_twice_and_what_never() -> None:
    register = ReferenceIndex()
    for number in range(1000):
        register.define(f"event {number}", number + 1)
    register.define("event 7", 2000)
    register.reference("event 8", 2001)
    register.reference("event 1000", 2002)
    assert [*register.duplicate_definitions()] == [(2000, 8)]
    assert [*register.dangling_references()] == [2002]
