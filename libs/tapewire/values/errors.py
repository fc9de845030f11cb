"""The errors of values that are rejected."""

import enum
from decimal import Decimal

from tapewire.decimals import MAX_SHOWN_CHARACTERS


class FaultReason(enum.StrEnum):
    """Why a value is rejected, for programs and counters."""

    NOT_A_NUMBER = "not_a_number"
    NOT_FINITE = "not_finite"
    TOO_LOW = "too_low"
    TOO_HIGH = "too_high"
    TOO_MANY_PLACES = "too_many_places"
    NOT_A_TIME = "not_a_time"
    NO_TIME_ZONE = "no_time_zone"
    TIME_OUT_OF_RANGE = "time_out_of_range"
    NOT_A_SYMBOL = "not_a_symbol"
    SIZE_WITHOUT_PRICE = "size_without_price"


class InvalidValue(ValueError):
    """The value of a field is rejected. `requirement` says what it must be, without the value."""

    def __init__(self, field: str, value: object, requirement: str, reason: FaultReason) -> None:
        super().__init__(f"{field} {requirement}, not {show_value(value)}")
        self.field = field
        self.value = value
        self.requirement = requirement
        self.reason = reason


class InvalidArgument(ValueError):
    """An argument is malformed. `field` and `value` say which."""

    def __init__(self, field: str, value: object, requirement: str) -> None:
        super().__init__(f"{field}={show_value(value)}: {requirement}")
        self.field = field
        self.value = value


def show_value(value: object) -> str:
    """Return `value` for an error message: one line of at most `MAX_SHOWN_CHARACTERS`. Never
    raises."""
    try:
        text = str(value) if isinstance(value, Decimal) else " ".join(repr(value).split())
    except Exception:  # an integer of 5,000 digits, or an object of another library
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"
