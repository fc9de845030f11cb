"""Decimals stay exact, and have one spelling."""

from decimal import Decimal, localcontext

import pytest

from tapewire.decimals import (
    average_price,
    format_decimal,
    format_price,
    format_rounded,
    limit_places,
    normalize,
    percent_change,
    round_half_even,
)


@pytest.mark.parametrize(
    ("number", "text"),
    [("1000", "1000"), ("1E+3", "1000"), ("10.50", "10.5"), ("0.000001", "0.000001"),
     ("-3", "-3"), ("0", "0"), ("NaN", "NaN"), ("1E+999999", "1E+999999"),
     ("1E-999999", "1E-999999")],
)  # fmt: skip
def test_numbers_are_formatted_for_people(number: str, text: str) -> None:
    assert format_decimal(Decimal(number)) == text


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


def test_an_average_price_has_eight_places_and_ignores_the_current_context() -> None:
    with localcontext(prec=3):
        assert average_price(Decimal(200), Decimal(3)) == Decimal("66.66666667")


@pytest.mark.parametrize(
    ("price", "text"),
    [("182.4", "182.40"), ("100", "100.00"), ("0.00001234", "0.00001234"), ("1E-8", "0.00000001"),
     ("-37.63", "-37.63"), ("0", "0.00"), ("1E+3", "1000.00"), ("123456789012.12345678",) * 2,
     ("182.450000", "182.45"), ("NaN", "NaN")],
)  # fmt: skip
def test_a_price_shows_as_many_digits_as_it_has(price: str, text: str) -> None:
    assert format_price(Decimal(price)) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [("182.45678901", "182.4568"), ("0.000012345678", "0.00001235"), ("-37.6", "-37.6"),
     ("0.0512345", "0.05123"), ("0", "0"), ("1E-20", "0"), ("1234567.89012", "1234567.8901")],
)  # fmt: skip
def test_a_calculated_number_shows_four_places_or_digits(number: str, text: str) -> None:
    assert format_rounded(Decimal(number)) == text


@pytest.mark.parametrize(
    ("first", "last", "percent"),
    [("100", "105", "5"), ("-10", "-9", "10"), ("-10", "-11", "-10"), ("0", "5", "0"),
     ("-37.63", "10.01", "126.6011"), ("0.00001234", "0.00001235", "0.0810"),
     ("3", "4", "33.3333")],
)  # fmt: skip
def test_a_change_in_percent_is_positive_when_the_price_rises(
    first: str, last: str, percent: str
) -> None:
    with localcontext(prec=3):
        assert percent_change(Decimal(first), Decimal(last)) == Decimal(percent)
