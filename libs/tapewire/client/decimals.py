"""What callers give, checked and made exact: numbers, words, moments.

A number may be an int, a Decimal, a text, or a float, which stands for the shortest decimal that
reads as it (182.45 is 182.45). Sizes are looked at before any arithmetic.
"""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from tapewire.client.errors import InvalidArgument
from tapewire.log import EVERYBODY

Number = int | float | str | Decimal

MAX_INTEGER_DIGITS = 12
MAX_DECIMAL_PLACES = 8
MAX_NAME_CHARACTERS = 128
MAX_TEXT_CHARACTERS = 500


def validate_number(
    field: str,
    value: Number,
    *,
    minimum: Decimal | None = None,
    exclusive_minimum: Decimal | None = None,
) -> Decimal:
    """`value` exactly, with up to `MOST_DIGITS` digits before the point and `PLACES` after it.
    Raises BadCall."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise InvalidArgument(
            field, value, "must be a number: an int, a float, a Decimal or a text"
        )
    try:
        found = value if isinstance(value, Decimal) else Decimal(str(value))
    except (InvalidOperation, ValueError):
        raise InvalidArgument(field, value, "is no number") from None
    if not found.is_finite():
        raise InvalidArgument(field, value, "must be finite")
    if found and found.adjusted() >= MAX_INTEGER_DIGITS:
        raise InvalidArgument(
            field, value, f"must have at most {MAX_INTEGER_DIGITS} digits before the point"
        )
    if found and (
        found.adjusted() < -MAX_DECIMAL_PLACES or found != round(found, MAX_DECIMAL_PLACES)
    ):
        raise InvalidArgument(
            field, value, f"must have at most {MAX_DECIMAL_PLACES} decimal places"
        )
    if minimum is not None and found < minimum:
        raise InvalidArgument(field, value, f"must be at least {minimum:f}")
    if exclusive_minimum is not None and found <= exclusive_minimum:
        raise InvalidArgument(field, value, f"must be above {exclusive_minimum:f}")
    return normalize(found)


def normalize(value: Decimal) -> Decimal:
    """The same number without an exponent above 0 and without decimal places beyond `PLACES`."""
    if not value:
        return Decimal(0)
    places = -int(value.as_tuple().exponent)
    return round(value, min(max(places, 0), MAX_DECIMAL_PLACES))


def validate_price(field: str, value: Number) -> Decimal:
    """A price: above 0. Raises BadCall."""
    return validate_number(field, value, exclusive_minimum=Decimal(0))


def validate_name(field: str, value: str) -> str:
    """A user, symbol or id: 1 to 128 printable characters. Raises BadCall."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME_CHARACTERS:
        raise InvalidArgument(
            field, value, f"must be a text of 1 to {MAX_NAME_CHARACTERS} characters"
        )
    if not value.isprintable() or value.strip() != value:
        raise InvalidArgument(field, value, "must be printable, without a space at either end")
    return value


def validate_user_id(field: str, value: str) -> str:
    """A user's id. Raises BadCall."""
    if validate_name(field, value) == EVERYBODY:
        raise InvalidArgument(field, value, f"names one user; {EVERYBODY} is everybody")
    return value


def validate_text(field: str, value: str, max_characters: int = MAX_TEXT_CHARACTERS) -> str:
    """A text for people. Raises BadCall."""
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
    """`value` in UTC; now when there is none. Raises BadCall."""
    if value is None:
        return datetime.now(UTC)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidArgument(
            field, value, "must be a datetime with a time zone, such as datetime.now(UTC)"
        )
    return value.astimezone(UTC)
