"""Reads values as other libraries hold them, by protocol: no library is imported.

Callers pass scalars of array and data-frame libraries, fractions, and subclasses of `str`,
`datetime`, `Decimal`, `int` and `float`. A scalar of an array library has ``item()``, which returns
what it holds, and perhaps ``dtype``, which says how.
"""

import numbers
import re
import struct
from datetime import datetime
from decimal import Decimal
from typing import Any, SupportsFloat

from tapewire.decimals import WIDE_CONTEXT

Number = int | float | str | Decimal | SupportsFloat
"""A number as a caller may write it: also a scalar of an array library, or a text."""

NUMBER_PATTERN = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,9})?")
"""A number in a text."""
_NOT_FINITE_PATTERN = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_NUMBER_KINDS = frozenset("biuf")
"""``dtype.kind`` of truth values and numbers. Times of array libraries are no numbers, although
they hold one."""
_FLOAT_FORMATS = {2: ("e", 5), 4: ("f", 9)}
"""By bytes of a float: its format in `struct`, and the digits that tell any two of them apart."""


def to_decimal(value: object) -> Decimal | None:
    """Return the number that `value` is, perhaps NaN or infinite; None if it is none.

    A float becomes the shortest decimal that reads as that float: 182.45 becomes exactly 182.45.
    Truth values are no numbers.
    """
    kind = type(value)
    if kind is Decimal:
        return value  # type: ignore[return-value]
    if kind is float:
        return Decimal(repr(value))
    if kind is int:
        return Decimal(value)  # type: ignore[arg-type]
    if isinstance(value, str):
        text = to_plain_text(value).strip()
        is_number = NUMBER_PATTERN.fullmatch(text) or _NOT_FINITE_PATTERN.fullmatch(text)
        return Decimal(text) if is_number else None
    if isinstance(value, Decimal):
        return Decimal(value)
    return _scalar_to_decimal(value)


def to_flag(value: object) -> bool | None:
    """Return the truth value that `value` is; None if it is none."""
    plain = _unwrap(value)
    return plain if isinstance(plain, bool) else None


def to_plain_text(text: str) -> str:
    """Return the characters of `text`, which may be an instance of a subclass, as a `str`."""
    return str.__str__(text)


def to_plain_time(time: datetime) -> datetime:
    """Return `time`, which may be an instance of a subclass, as a `datetime`."""
    return datetime(
        time.year,
        time.month,
        time.day,
        time.hour,
        time.minute,
        time.second,
        time.microsecond,
        time.tzinfo,
        fold=time.fold,
    )


def to_plain_value(value: object) -> Any:
    """Return `value` as a value of the standard library. An encoder calls this for values that it
    does not know.

    Raises:
        TypeError: `value` is neither a text, a time, a truth value nor a number.
    """
    if isinstance(value, str):
        return to_plain_text(value)
    if isinstance(value, datetime):
        return to_plain_time(value)
    flag = to_flag(value)
    if flag is not None:
        return flag
    number = to_decimal(value)
    if number is None:
        raise TypeError(f"objects of type {type(value).__name__} cannot be encoded")
    return number


def _scalar_to_decimal(value: object) -> Decimal | None:
    plain = _unwrap(value)
    if isinstance(plain, bool):
        return None
    if isinstance(plain, numbers.Rational):
        numerator, denominator = Decimal(int(plain.numerator)), Decimal(int(plain.denominator))
        return numerator if denominator == 1 else WIDE_CONTEXT.divide(numerator, denominator)
    if not isinstance(plain, SupportsFloat) or isinstance(plain, str):
        return None
    try:
        number = float(plain)
    except (TypeError, ValueError, OverflowError):
        return None
    return Decimal(_shortest_digits(number, getattr(_dtype(value), "itemsize", None)))


def _unwrap(value: object) -> Any:
    """Return what a scalar of an array library holds, None if it is no number; any other value as
    it is."""
    item = getattr(value, "item", None)
    if not callable(item) or isinstance(value, int | float):
        return value
    if getattr(_dtype(value), "kind", "f") not in _NUMBER_KINDS:
        return None
    try:
        return item()
    except (TypeError, ValueError, RuntimeError):  # it has more than one element
        return None


def _dtype(value: object) -> object:
    return getattr(value, "dtype", None)


def _shortest_digits(number: float, size_bytes: object) -> str:
    """Return the shortest text that reads as `number`. A float of 32 bits that was read as one of
    64 bits has digits that it never had: 182.45 is 182.4499969482422."""
    if size_bytes in _FLOAT_FORMATS:
        layout, max_digits = _FLOAT_FORMATS[size_bytes]
        try:
            packed = struct.pack(layout, number)
            for digits in range(1, max_digits + 1):
                text = f"{number:.{digits}g}"
                if struct.pack(layout, float(text)) == packed:
                    return text
        except OverflowError:
            pass
    return float.__repr__(number)
