"""Decimals are bounded before any arithmetic, stay exact, and have one spelling."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.decimals import (
    DecimalOutOfBounds,
    average_price,
    format_decimal,
    limit_places,
    normalize,
    parse_decimal,
    round_half_even,
    validate_decimal,
    validate_positive_decimal,
)


@pytest.mark.parametrize(
    ("number", "text"),
    [("1000", "1000"), ("1E+3", "1000"), ("10.50", "10.5"), ("0.000001", "0.000001"),
     ("-3", "-3"), ("0", "0"), ("NaN", "NaN"), ("1E+999999", "1E+999999"),
     ("1E-999999", "1E-999999")],
)  # fmt: skip
def test_numbers_are_formatted_for_people(number: str, text: str) -> None:
    assert format_decimal(Decimal(number)) == text


@given(st.decimals("0.000001", 1000, places=6))
def test_validation_changes_no_number(number: Decimal) -> None:
    validated = validate_positive_decimal(number, maximum=Decimal(1000), places=6)
    assert validated == number == normalize(number)


@pytest.mark.parametrize(
    ("number", "requirement"),
    [
        ("NaN", "must be a finite number"),
        ("sNaN", "must be a finite number"),
        ("-Infinity", "must be a finite number"),
        ("0", "must be above 0"),
        ("-1", "must be above 0"),
        ("1001", "must be at most 1000"),
        ("1E+999999", "must be at most 1000"),
        ("0.0000001", "must have at most 6 decimal places"),
        ("1E-999999", "must have at most 6 decimal places"),
    ],
)
def test_a_number_outside_its_bounds_is_rejected(number: str, requirement: str) -> None:
    with pytest.raises(DecimalOutOfBounds) as caught:
        validate_positive_decimal(Decimal(number), maximum=Decimal(1000), places=6)
    assert caught.value.requirement == requirement
    assert str(caught.value) == f"{requirement}, not {Decimal(number)}"


def test_a_number_below_the_minimum_is_rejected() -> None:
    with pytest.raises(DecimalOutOfBounds, match="must be at least -5, not -6"):
        validate_decimal(Decimal(-6), minimum=Decimal(-5), maximum=Decimal(5), places=0)


def test_an_error_shows_at_most_forty_characters_of_the_value() -> None:
    with pytest.raises(DecimalOutOfBounds, match=r"not 1{40}…$"):
        validate_positive_decimal(Decimal("1" * 10_000), maximum=Decimal(1), places=0)


@pytest.mark.parametrize(
    ("number", "normal"), [("10.50", "10.5"), ("1E+3", "1000"), ("-0.00", "0"), ("0E+5", "0")]
)
def test_normalize_gives_a_number_one_spelling(number: str, normal: str) -> None:
    assert str(normalize(Decimal(number))) == normal


@pytest.mark.parametrize(
    ("number", "limited"), [("10.50", "10.50"), ("1E+3", "1000"), ("-0", "0"), ("0.125", "0.12")]
)
def test_limit_places_keeps_trailing_zeros(number: str, limited: str) -> None:
    assert str(limit_places(Decimal(number), 2)) == limited


@pytest.mark.parametrize(("number", "rounded"), [("0.125", "0.12"), ("0.135", "0.14")])
def test_half_way_between_two_numbers_the_even_one_is_taken(number: str, rounded: str) -> None:
    assert round_half_even(Decimal(number), 2) == Decimal(rounded)


def test_an_average_price_has_six_places_and_ignores_the_current_context() -> None:
    with localcontext(prec=3):
        assert average_price(Decimal(200), Decimal(3)) == Decimal("66.666667")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_becomes_the_decimal_that_reads_as_it(value: float) -> None:
    assert float(parse_decimal(value)) == value


def test_a_text_that_is_no_number_is_rejected() -> None:
    with pytest.raises(ValueError, match="not a number"):
        parse_decimal("many")
