"""Validation of a command's fields, for the services that receive commands. Pure.

Each function raises `CommandRejected` with the code ``invalid``, the path of the field as requests
spell it in JSON, and a message that names the path, the bound and the value.
"""

from decimal import Decimal

from tapewire.decimals import abbreviate
from tapewire.log import CommandRejected
from tapewire.values import (
    InvalidValue,
    NumberRange,
    validate_requested_number,
)
from tapewire.values import validate_symbol as validate_symbol_value


def validate_decimal_field(path: str, value: Decimal, allowed: NumberRange) -> Decimal:
    """Return `value` as `tapewire.values.validate_requested_number` does.

    Raises:
        CommandRejected: `value` is not finite, is out of bounds, or has too many decimal places.
    """
    try:
        return validate_requested_number(path, value, allowed)
    except InvalidValue as error:
        raise CommandRejected("invalid", str(error), path) from None


def validate_symbol_field(path: str, value: str) -> None:
    """Raises CommandRejected unless `value` is a symbol (`tapewire.values.is_symbol`)."""
    try:
        validate_symbol_value(path, value)
    except InvalidValue as error:
        raise CommandRejected("invalid", str(error), path) from None


def validate_integer_field(path: str, value: int, *, minimum: int, maximum: int) -> None:
    """Raises CommandRejected if `value` is out of bounds."""
    if not minimum <= value <= maximum:
        raise CommandRejected(
            "invalid", f"{path} must be {minimum} to {maximum}, not {abbreviate(value)}", path
        )


def validate_length(path: str, value: str, *, maximum: int) -> None:
    """Raises CommandRejected if `value` is empty or has more than `maximum` characters."""
    if not 1 <= len(value) <= maximum:
        message = f"{path} must have 1 to {maximum} characters, not {len(value)}"
        raise CommandRejected("invalid", message, path)


def validate_text_field(path: str, value: str, *, max_length: int, is_ascii: bool = True) -> None:
    """Raises CommandRejected if `value` has the wrong length or is not printable; with `is_ascii`
    also if it has a character beyond ASCII."""
    validate_length(path, value, maximum=max_length)
    if not value.isprintable() or (is_ascii and not value.isascii()):
        kind = "printable ASCII" if is_ascii else "printable"
        raise CommandRejected(
            "invalid", f"{path} must be {kind}, not {abbreviate(ascii(value))}", path
        )
