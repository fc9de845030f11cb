"""The whole-number reckoning: half goes to even, nothing else is rounded; what is no number of
units is refused."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tapewire.verify.figures import NoFigure, decimal, halves, units
from tapewire.verify.register import Register


@given(some.integers(-(10**30), 10**30), some.integers(-(10**12), 10**12).filter(bool))
def test_halves_is_the_nearest_whole_number_or_the_even_one(dividend: int, divisor: int) -> None:
    assert halves(dividend, divisor) == round(Fraction(dividend, divisor))


@given(some.integers(-(10**40), 10**40))
def test_units_and_back(number: int) -> None:
    assert units(decimal(number, 21), 21) == number


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999999", "0.0000000001"])
def test_what_is_no_amount(value: str) -> None:
    with pytest.raises(NoFigure):
        units(Decimal(value), 9)


def test_a_register_knows_what_was_said_twice_and_what_never() -> None:
    register = Register()
    for number in range(1000):
        register.claim(f"event {number}", number + 1)
    register.claim("event 7", 2000)
    register.refer("event 8", 2001)
    register.refer("event 1000", 2002)
    assert [*register.repeated()] == [(2000, 8)]
    assert [*register.dangling()] == [2002]
