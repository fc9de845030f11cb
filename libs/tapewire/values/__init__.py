"""What a number, a time, a symbol and a text from outside may be.

Everything that enters Tapewire is checked here: lines of a feed, arguments of the producer library,
fields of requests. Each function takes the field's name and the caller's value, and returns a plain
value of the standard library, or raises `InvalidValue`, which names both.

Numbers of a feed and of a producer are data: `validate_number` rounds them to the decimal places
that there are. Numbers of a request are instructions: `validate_requested_number` rounds only the
noise of floating point, and rejects other digits that do not fit.

`scalars` reads the values of other libraries, `numbers` bounds numbers, `times` and `symbols` check
the rest. Start at `numbers.NumberRange`.
"""

from tapewire.values.errors import FaultReason, InvalidArgument, InvalidValue, show_value
from tapewire.values.numbers import (
    ANY_NUMBER,
    MAX_NUMBER,
    MAX_PLACES,
    NOT_NEGATIVE,
    POSITIVE,
    NumberRange,
    is_price,
    parse_number,
    validate_number,
    validate_price,
    validate_requested_number,
)
from tapewire.values.scalars import Number, to_decimal, to_flag, to_plain_text, to_plain_value
from tapewire.values.symbols import (
    MAX_SYMBOL_CHARACTERS,
    is_symbol,
    resolve_symbol,
    validate_symbol,
)
from tapewire.values.times import LAST_TIME, MAX_TIME, MIN_TIME, parse_time, validate_time

__all__ = [
    "ANY_NUMBER",
    "LAST_TIME",
    "MAX_NUMBER",
    "MAX_PLACES",
    "MAX_SYMBOL_CHARACTERS",
    "MAX_TIME",
    "MIN_TIME",
    "NOT_NEGATIVE",
    "POSITIVE",
    "FaultReason",
    "InvalidArgument",
    "InvalidValue",
    "Number",
    "NumberRange",
    "is_price",
    "is_symbol",
    "parse_number",
    "parse_time",
    "resolve_symbol",
    "show_value",
    "to_decimal",
    "to_flag",
    "to_plain_text",
    "to_plain_value",
    "validate_number",
    "validate_price",
    "validate_requested_number",
    "validate_symbol",
    "validate_time",
]
