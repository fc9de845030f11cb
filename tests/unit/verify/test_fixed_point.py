"""Integer arithmetic: halves are rounded to even, all else is exact, and amounts that are not a
whole number of units are rejected."""

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
def test_divide_half_even_rounds_to_the_nearest_or_even_integer(
    dividend: int, divisor: int
) -> None:
    assert divide_half_even(dividend, divisor) == round(Fraction(dividend, divisor))


@given(some.integers(-(10**40), 10**40))
def test_units_are_converted_back_exactly(number: int) -> None:
    assert to_units(from_units(number, 21), 21) == number


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999999", "0.0000000001"])
def test_unrepresentable_amounts_are_rejected(value: str) -> None:
    with pytest.raises(UnrepresentableAmount):
        to_units(Decimal(value), 9)


def test_the_reference_index_finds_duplicates_and_dangling_references() -> None:
    register = ReferenceIndex()
    for number in range(1000):
        register.define(f"event {number}", number + 1)
    register.define("event 7", 2000)
    register.reference("event 8", 2001)
    register.reference("event 1000", 2002)
    assert [*register.duplicate_definitions()] == [(2000, 8)]
    assert [*register.dangling_references()] == [2002]
