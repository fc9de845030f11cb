"""Validates the arguments of the client's calls: numbers, names, texts and times.

Each function takes the field's name and the caller's value, and returns the value to store. It
raises `InvalidArgument`, which names both, before anything leaves the process.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal

from tapewire.client.errors import InvalidArgument
from tapewire.decimals import (
    DecimalOutOfBounds,
    Number,
    limit_places,
    parse_decimal,
    validate_decimal,
)
from tapewire.events import CATALOGUE, CODEC, Event, EventType, Undecodable, UnknownType
from tapewire.log import EVERYBODY

MAX_DECIMAL_PLACES = 8
MAX_NUMBER = Decimal(10) ** 12 - Decimal(1).scaleb(-MAX_DECIMAL_PLACES)
"""Twelve digits before the point, and `MAX_DECIMAL_PLACES` after it."""
MAX_NAME_CHARACTERS = 128
MAX_TEXT_CHARACTERS = 500

_CLIENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_EVENT_ID = re.compile(r"[\x21-\x7e]{1,128}")


def validate_number(field: str, value: Number, *, minimum: Decimal = -MAX_NUMBER) -> Decimal:
    """Return the exact value of a number from `minimum` to `MAX_NUMBER`.

    Trailing zeros stay; a float becomes the shortest decimal that reads as that float.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise InvalidArgument(field, value, "must be an int, a float, a Decimal or a text")
    try:
        number = parse_decimal(value)
        validate_decimal(number, minimum=minimum, maximum=MAX_NUMBER, places=MAX_DECIMAL_PLACES)
    except DecimalOutOfBounds as error:
        raise InvalidArgument(field, value, error.requirement) from None
    except ValueError:
        raise InvalidArgument(field, value, "must be a number") from None
    return limit_places(number, MAX_DECIMAL_PLACES)


def validate_positive_number(field: str, value: Number) -> Decimal:
    """Like `validate_number`, for a number above 0."""
    number = validate_number(field, value)
    if number <= 0:
        raise InvalidArgument(field, value, "must be above 0")
    return number


def validate_name(field: str, value: str) -> str:
    """Return a user, symbol or id: 1 to 128 printable characters."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME_CHARACTERS:
        raise InvalidArgument(
            field, value, f"must be a text of 1 to {MAX_NAME_CHARACTERS} characters"
        )
    if not value.isprintable() or value.strip() != value:
        raise InvalidArgument(field, value, "must be printable, without a space at either end")
    return value


def validate_user_id(field: str, value: str) -> str:
    """Return the id of a single user."""
    if validate_name(field, value) == EVERYBODY:
        raise InvalidArgument(field, value, f"names one user; {EVERYBODY} is everybody")
    return value


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
    return value


def validate_timestamp(field: str, value: datetime | None) -> datetime:
    """Return `value` in UTC, or the current time if it is None."""
    if value is None:
        return datetime.now(UTC)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidArgument(
            field, value, "must be a datetime with a time zone, such as datetime.now(UTC)"
        )
    return value.astimezone(UTC)


def validate_client_name(field: str, value: str) -> str:
    """Return the name of a client or of a durable subscription."""
    if not isinstance(value, str) or not _CLIENT_NAME.fullmatch(value):
        raise InvalidArgument(field, value, "must be 1 to 64 of A-Z, a-z, 0-9, _ and -")
    return value


def validate_event_id(field: str, value: str) -> str:
    """Return the id of an event or a command."""
    if not isinstance(value, str) or not _EVENT_ID.fullmatch(value):
        raise InvalidArgument(field, value, "must be 1 to 128 printable ASCII characters, no space")
    return value


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
