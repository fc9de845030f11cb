"""Bounds numbers from outside, and gives them the decimal places that there are."""

from decimal import Decimal
from typing import NoReturn

import msgspec

from tapewire.decimals import limit_places, round_half_even
from tapewire.values.errors import FaultReason, InvalidValue
from tapewire.values.scalars import to_decimal

MAX_PLACES = 8
"""Decimal places of prices, limits, quantities and sizes."""
SMALLEST_STEP = Decimal((0, (1,), -MAX_PLACES))
MAX_NUMBER = 10**12 - SMALLEST_STEP
"""Twelve digits before the point, and `MAX_PLACES` after it."""
EXACT_FLOAT_DIGITS, MAX_FLOAT_DIGITS = 15, 17
"""Significant digits that a binary float holds exactly, and that it is written with at most. A
number between the two is the result of a calculation with floats."""


class NumberRange(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers that a field may have: from `minimum` to `maximum`, with at most `places` decimal
    places. `is_minimum_excluded`: above the minimum."""

    minimum: Decimal = -MAX_NUMBER
    maximum: Decimal = MAX_NUMBER
    places: int = MAX_PLACES
    is_minimum_excluded: bool = False


ANY_NUMBER = NumberRange()
"""A price, which may be negative, or a position."""
NOT_NEGATIVE = NumberRange(minimum=Decimal(0))
"""A size or a volume."""
POSITIVE = NumberRange(minimum=Decimal(0), is_minimum_excluded=True)
"""A quantity."""


def validate_number(field: str, value: object, allowed: NumberRange = ANY_NUMBER) -> Decimal:
    """Return a number of the data, rounded half to even to the places of `allowed`.

    The zeros at the end of a number that fits stay: 10.50 stays 10.50. 1e2 becomes 100.

    Raises:
        InvalidValue: `value` is no number, or is out of bounds.
    """
    number = parse_number(field, value)
    _check_bounds(field, value, number, allowed)
    fits = -int(number.as_tuple().exponent) <= allowed.places
    round_ = limit_places if fits else round_half_even
    rounded = round_(number, allowed.places)
    if allowed.is_minimum_excluded and rounded <= allowed.minimum:
        _raise_too_low(field, value, allowed)
    return rounded


def validate_price(field: str, value: object) -> Decimal:
    """Like `validate_number`, for a price. Prices may be 0 or negative, but a price that is not 0
    must not become 0 by the rounding."""
    price = validate_number(field, value)
    if not price and parse_number(field, value):
        requirement = f"must be 0, or at least {SMALLEST_STEP:f} from it"
        raise InvalidValue(field, value, requirement, FaultReason.TOO_LOW)
    return price


def is_price(value: Decimal) -> bool:
    """Whether a stored decimal is a price: finite, within bounds, and 0 or at least
    `SMALLEST_STEP` from it."""
    return (
        value.is_finite()
        and -MAX_NUMBER <= value <= MAX_NUMBER
        and (not value or value.adjusted() >= -MAX_PLACES)
    )


def validate_requested_number(field: str, value: object, allowed: NumberRange) -> Decimal:
    """Return a number of a request, normalized (10.50 becomes 10.5, 1E+3 becomes 1000).

    The noise of floats is rounded half to even to the places of `allowed`: 0.1 + 0.2 becomes 0.3.

    Raises:
        InvalidValue: `value` is no number, is out of bounds, or was written with more places.
    """
    number = parse_number(field, value)
    _check_bounds(field, value, number, allowed)
    rounded = round_half_even(number, allowed.places)
    if rounded != number and not _has_float_noise(number):
        requirement = f"must have at most {allowed.places} decimal places"
        raise InvalidValue(field, value, requirement, FaultReason.TOO_MANY_PLACES)
    if allowed.is_minimum_excluded and rounded <= allowed.minimum:
        _raise_too_low(field, value, allowed)
    return rounded


def parse_number(field: str, value: object) -> Decimal:
    """Return `value` as a finite decimal of any size. `scalars.to_decimal` says what is one.

    Raises:
        InvalidValue: `value` is no finite number.
    """
    number = to_decimal(value)
    if number is None:
        raise InvalidValue(field, value, "must be a number", FaultReason.NOT_A_NUMBER)
    if not number.is_finite():
        raise InvalidValue(field, value, "must be a finite number", FaultReason.NOT_FINITE)
    return number


def _has_float_noise(number: Decimal) -> bool:
    return EXACT_FLOAT_DIGITS < len(number.as_tuple().digits) <= MAX_FLOAT_DIGITS


def _check_bounds(field: str, value: object, number: Decimal, allowed: NumberRange) -> None:
    """Bound the number before any arithmetic: arithmetic on 1e999999 takes seconds."""
    if number < allowed.minimum or (allowed.is_minimum_excluded and number == allowed.minimum):
        _raise_too_low(field, value, allowed)
    if number > allowed.maximum:
        requirement = f"must be at most {allowed.maximum:f}"
        raise InvalidValue(field, value, requirement, FaultReason.TOO_HIGH)


def _raise_too_low(field: str, value: object, allowed: NumberRange) -> NoReturn:
    wanted = "above" if allowed.is_minimum_excluded else "at least"
    raise InvalidValue(field, value, f"must be {wanted} {allowed.minimum:f}", FaultReason.TOO_LOW)
