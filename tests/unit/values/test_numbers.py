"""Numbers from outside: however they are written, the same number, or an error that names it."""

import time
from decimal import Decimal, localcontext
from enum import IntEnum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewire.events import CODEC
from tapewire.values import (
    ANY_NUMBER,
    MAX_NUMBER,
    NOT_NEGATIVE,
    POSITIVE,
    FaultReason,
    InvalidValue,
    NumberRange,
    validate_number,
    validate_price,
    validate_requested_number,
)
from tests.harness.foreign_values import ArrayScalar, DecimalSubclass, TextSubclass

QUICK_SECONDS = 0.5


class FloatSubclass(float):
    """As the floats of array libraries."""

    def __repr__(self) -> str:
        return f"foreign.float({float(self)})"


class Lots(IntEnum):
    """As an enumeration of sizes."""

    ROUND = 100


FLOAT32_OF_182_45 = 182.4499969482422

WRITTEN: list[tuple[object, str]] = [
    (0.1 + 0.2, "0.3"),
    (182.45000000000002, "182.45"),
    ((182.41 + 182.44 + 182.47) / 3, "182.44"),
    (1 / 3, "0.33333333"),
    (-0.1 - 0.2, "-0.3"),
    ("182.45000000000002", "182.45"),
    ("1e2", "100"),
    ("1.5E-7", "0.00000015"),
    ("+.5", "0.5"),
    ("5.", "5"),
    (" 5 ", "5"),
    (-37.63, "-37.63"),
    ("-0", "0"),
    (-0.0, "0"),
    (0.00001234, "0.00001234"),
    (Decimal("0.00000001"), "0.00000001"),
    (Decimal(1) / 3, "0.33333333"),
    (Fraction(2, 3), "0.66666667"),
    (10**11, "100000000000"),
    (Lots.ROUND, "100"),
    (DecimalSubclass("1.5"), "1.5"),
    (FloatSubclass(1.5), "1.5"),
    (TextSubclass("1.5"), "1.5"),
    (ArrayScalar(1.5, "f"), "1.5"),
    (ArrayScalar(FLOAT32_OF_182_45, "f", 4), "182.45"),
    (ArrayScalar(0.0999755859375, "f", 2), "0.1"),
    (ArrayScalar(7, "i"), "7"),
    (ArrayScalar(7, "u", 1), "7"),
]
"""Values as the world writes them, and the number."""


@pytest.mark.parametrize(("value", "number"), WRITTEN)
def test_a_number_is_the_same_however_it_is_written(value: Any, number: str) -> None:
    found = validate_number("price", value)
    assert (type(found), f"{found:f}") == (Decimal, number)


@pytest.mark.parametrize(("value", "number"), WRITTEN)
def test_an_encoded_number_is_the_one_that_a_service_reads(value: Any, number: str) -> None:
    if isinstance(value, str):
        return
    sent = CODEC.decode(CODEC.encode({"qty": value}), dict[str, Decimal])
    assert validate_number("qty", sent["qty"]) == Decimal(number)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (True, FaultReason.NOT_A_NUMBER),
        (ArrayScalar(True, "b", 1), FaultReason.NOT_A_NUMBER),
        (ArrayScalar(5, "M"), FaultReason.NOT_A_NUMBER),
        (ArrayScalar(5, "m"), FaultReason.NOT_A_NUMBER),
        (ArrayScalar(1 + 0j, "c", 16), FaultReason.NOT_A_NUMBER),
        (ArrayScalar([1.5, 2.5], "f"), FaultReason.NOT_A_NUMBER),
        (1 + 0j, FaultReason.NOT_A_NUMBER),
        (None, FaultReason.NOT_A_NUMBER),
        ("", FaultReason.NOT_A_NUMBER),
        ("1,000", FaultReason.NOT_A_NUMBER),
        ("1_000", FaultReason.NOT_A_NUMBER),
        ("0x10", FaultReason.NOT_A_NUMBER),
        ("\u0661", FaultReason.NOT_A_NUMBER),
        ("many", FaultReason.NOT_A_NUMBER),
        (b"1", FaultReason.NOT_A_NUMBER),
        ([1], FaultReason.NOT_A_NUMBER),
        (object(), FaultReason.NOT_A_NUMBER),
        (float("nan"), FaultReason.NOT_FINITE),
        (float("-inf"), FaultReason.NOT_FINITE),
        ("NaN", FaultReason.NOT_FINITE),
        ("-Infinity", FaultReason.NOT_FINITE),
        (Decimal("sNaN"), FaultReason.NOT_FINITE),
        (ArrayScalar(float("nan"), "f", 4), FaultReason.NOT_FINITE),
        (10**12, FaultReason.TOO_HIGH),
        (1e300, FaultReason.TOO_HIGH),
        ("1e999999", FaultReason.TOO_HIGH),
        pytest.param(10**5000, FaultReason.TOO_HIGH, id="5000 digits"),
        ("-1e999999", FaultReason.TOO_LOW),
        (-(10**12), FaultReason.TOO_LOW),
    ],
)
def test_what_is_no_number_is_refused_with_the_field_and_a_reason(
    value: Any, reason: FaultReason
) -> None:
    began = time.process_time()
    with pytest.raises(InvalidValue, match=r"^price must ") as caught:
        validate_number("price", value)
    assert (caught.value.field, caught.value.reason) == ("price", reason)
    assert caught.value.value is value
    assert len(str(caught.value)) < 150
    assert time.process_time() - began < QUICK_SECONDS


@given(st.decimals(min_value=-MAX_NUMBER, max_value=MAX_NUMBER, places=8))
def test_numbers_within_bounds_are_kept_exactly(value: Decimal) -> None:
    for given_ in (value, str(value), f"{value:f}", f"{value:e}", DecimalSubclass(value)):
        found = validate_number("x", given_)
        assert found == value == validate_requested_number("x", given_, ANY_NUMBER)
        assert int(found.as_tuple().exponent) <= 0


@given(st.floats(allow_nan=True, allow_infinity=True) | st.integers() | st.fractions())
def test_a_number_is_rounded_to_the_nearest_of_eight_places_or_refused(value: Any) -> None:
    try:
        found = validate_number("x", value)
    except InvalidValue as error:
        is_bounded = error.reason in (FaultReason.TOO_LOW, FaultReason.TOO_HIGH)
        assert abs(value) > MAX_NUMBER if is_bounded else value - value != 0
        return
    exact = Fraction(repr(value)) if isinstance(value, float) else Fraction(value)
    assert abs(Fraction(found) - exact) <= Fraction(1, 2 * 10**8)
    assert found * 10**8 % 1 == 0


@given(st.decimals(allow_nan=True, allow_infinity=True) | st.floats() | st.text(max_size=40))
def test_the_context_of_the_caller_changes_nothing(value: Any) -> None:
    def outcome() -> Decimal | str:
        try:
            return validate_price("x", value)
        except InvalidValue as error:
            return error.reason

    expected = outcome()
    with localcontext(prec=2):
        assert outcome() == expected


@given(
    st.integers(-(10**9), 10**9), st.integers(0, 6), st.floats(min_value=-4e-16, max_value=4e-16)
)
def test_the_noise_of_floats_is_rounded_away_in_requests(
    units: int, places: int, noise: float
) -> None:
    """A number with at most six places, after a calculation that was off by some last bits."""
    exact = Decimal(units).scaleb(-places)
    noisy = float(exact) * (1 + noise)
    allowed = NumberRange(places=6)
    assert validate_requested_number("qty", noisy, allowed) == exact
    assert validate_requested_number("qty", Decimal(repr(noisy)), allowed) == exact


@pytest.mark.parametrize("value", ["0.1234567", "1.0000001", "1e-7", "0." + "1" * 5000])
def test_digits_that_somebody_wrote_are_not_rounded_away_in_requests(value: str) -> None:
    with pytest.raises(InvalidValue, match=r"^qty must have at most 6 decimal places, not ") as it:
        validate_requested_number("qty", Decimal(value), NumberRange(places=6))
    assert it.value.reason is FaultReason.TOO_MANY_PLACES


@pytest.mark.parametrize(
    ("value", "allowed", "requirement"),
    [
        (0, POSITIVE, "must be above 0"),
        (-0.0, POSITIVE, "must be above 0"),
        (1e-12, POSITIVE, "must be above 0"),
        (5.551115123125783e-17, POSITIVE, "must be above 0"),
        (-1e-12, NOT_NEGATIVE, "must be at least 0"),
        (6, NumberRange(maximum=Decimal(5)), "must be at most 5"),
        (5.000000001, NumberRange(maximum=Decimal(5)), "must be at most 5"),
    ],
)
def test_a_number_is_within_its_bounds_after_the_rounding_too(
    value: Any, allowed: NumberRange, requirement: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        validate_number("qty", value, allowed)
    assert caught.value.requirement == requirement


@pytest.mark.parametrize("price", [0, "-37.63", 0.00000001, "-0.00000001"])
def test_a_price_may_be_zero_or_negative(price: Any) -> None:
    assert validate_price("price", price) == Decimal(str(price))


@pytest.mark.parametrize("price", ["1e-9", -1e-9, Fraction(1, 10**10)])
def test_a_price_does_not_become_zero_by_the_rounding(price: Any) -> None:
    with pytest.raises(InvalidValue, match=r"must be 0, or at least 0\.00000001 from it"):
        validate_price("price", price)


def test_scalars_of_the_libraries_that_programs_use() -> None:
    numpy = pytest.importorskip("numpy", reason="numpy is no dependency of the project")
    for value in (
        numpy.float64(182.45), numpy.float32(182.45), numpy.longdouble(182.45) * 1,
        numpy.array(182.45), numpy.array(182.45, dtype="f4"), numpy.str_("182.45"),
    ):  # fmt: skip
        assert validate_price("price", value) == Decimal("182.45")
    for value in (numpy.int64(7), numpy.uint8(7), numpy.float16(7)):
        assert validate_price("price", value) == 7
    for value in (numpy.bool_(True), numpy.datetime64(5, "ns"), numpy.complex128(1)):
        with pytest.raises(InvalidValue):
            validate_price("price", value)
