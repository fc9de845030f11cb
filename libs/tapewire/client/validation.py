"""Validates the arguments of the client's calls.

`tapewire.values` says what a number, a time and a symbol may be; names and texts are checked here.
Each function takes the field's name and the caller's value, and returns the value to store. It
raises `InvalidArgument`, which names both, before anything leaves the process.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

from tapewire.client.errors import InvalidArgument
from tapewire.events import CATALOGUE, CODEC, Event, EventType, Undecodable, UnknownType
from tapewire.log import EVERYBODY
from tapewire.values import (
    ANY_NUMBER,
    InvalidValue,
    Number,
    NumberRange,
    to_flag,
    to_plain_text,
    validate_time,
)
from tapewire.values import validate_number as validate_value
from tapewire.values import validate_price as validate_price_value
from tapewire.values import validate_symbol as validate_symbol_value

Checked = TypeVar("Checked")

MAX_NAME_CHARACTERS = 128
MAX_TEXT_CHARACTERS = 500

_CLIENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_EVENT_ID = re.compile(r"[\x21-\x7e]{1,128}")


def validate_number(field: str, value: Number, allowed: NumberRange = ANY_NUMBER) -> Decimal:
    """Return `value` as `tapewire.values.validate_number` does."""
    return _check(validate_value, field, value, allowed)


def validate_price(field: str, value: Number) -> Decimal:
    """Return `value` as `tapewire.values.validate_price` does."""
    return _check(validate_price_value, field, value)


def validate_symbol(field: str, value: str) -> str:
    """Return `value` as `tapewire.values.validate_symbol` does."""
    return _check(validate_symbol_value, field, value)


def validate_timestamp(field: str, value: datetime | None) -> datetime:
    """Return `value` as `tapewire.values.validate_time` does, or the current time if it is None."""
    return datetime.now(UTC) if value is None else _check(validate_time, field, value)


def validate_flag(field: str, value: bool) -> bool:
    """Return a truth value."""
    flag = to_flag(value)
    if flag is None:
        raise InvalidArgument(field, value, "must be True or False")
    return flag


def validate_name(field: str, value: str) -> str:
    """Return a user or id: 1 to 128 printable characters."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME_CHARACTERS:
        raise InvalidArgument(
            field, value, f"must be a text of 1 to {MAX_NAME_CHARACTERS} characters"
        )
    if not value.isprintable() or value.strip() != value:
        raise InvalidArgument(field, value, "must be printable, without a space at either end")
    return to_plain_text(value)


def validate_user_id(field: str, value: str) -> str:
    """Return the id of a single user."""
    user_id = validate_name(field, value)
    if user_id == EVERYBODY:
        raise InvalidArgument(field, value, f"names one user; {EVERYBODY} is everybody")
    return user_id


def validate_text(field: str, value: str, max_characters: int = MAX_TEXT_CHARACTERS) -> str:
    """Return a text for people."""
    if not isinstance(value, str) or len(value) > max_characters:
        raise InvalidArgument(
            field, value, f"must be a text of at most {max_characters} characters"
        )
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(field, value, "is no text that can be encoded") from None
    return to_plain_text(value)


def validate_client_name(field: str, value: str) -> str:
    """Return the name of a client or of a durable subscription."""
    if not isinstance(value, str) or not _CLIENT_NAME.fullmatch(value):
        raise InvalidArgument(field, value, "must be 1 to 64 of A-Z, a-z, 0-9, _ and -")
    return to_plain_text(value)


def validate_event_id(field: str, value: str) -> str:
    """Return the id of an event or a command."""
    if not isinstance(value, str) or not _EVENT_ID.fullmatch(value):
        raise InvalidArgument(field, value, "must be 1 to 128 printable ASCII characters, no space")
    return to_plain_text(value)


def validate_event(field: str, event: Event) -> EventType:
    """Return the type of `event`. Raises InvalidArgument if readers could not decode it."""
    try:
        kind = CATALOGUE.type_of(type(event))
    except UnknownType:
        wanted = "must be a type that @tapewire.event declared"
        raise InvalidArgument(field, type(event).__name__, wanted) from None
    try:
        CATALOGUE.decode(kind.tag, CODEC.encode(event))
    except (Undecodable, TypeError, ValueError) as error:
        raise InvalidArgument(field, kind.name, f"holds what its fields cannot: {error}") from error
    return kind


def _check(validate: Callable[..., Checked], field: str, *arguments: object) -> Checked:
    try:
        return validate(field, *arguments)
    except InvalidValue as error:
        raise InvalidArgument(field, error.value, error.requirement) from None
