"""What callers give, checked and made exact: numbers, words, moments.

A number may be an int, a Decimal, a text, or a float, which stands for the shortest decimal that
reads as it (182.45 is 182.45). Sizes are looked at before any arithmetic.
"""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from tapewire.log import EVERYBODY
from tapewire.producer.errors import BadCall

Number = int | float | str | Decimal

MOST_DIGITS = 12
PLACES = 8
NAME_CHARACTERS = 128
TEXT_CHARACTERS = 500


def number(
    field: str, value: Number, *, least: Decimal | None = None, above: Decimal | None = None
) -> Decimal:
    """`value` exactly, with up to `MOST_DIGITS` digits before the point and `PLACES` after it.
    Raises BadCall."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise BadCall(field, value, "must be a number: an int, a float, a Decimal or a text")
    try:
        found = value if isinstance(value, Decimal) else Decimal(str(value))
    except (InvalidOperation, ValueError):
        raise BadCall(field, value, "is no number") from None
    if not found.is_finite():
        raise BadCall(field, value, "must be finite")
    if found and found.adjusted() >= MOST_DIGITS:
        raise BadCall(field, value, f"must have at most {MOST_DIGITS} digits before the point")
    if found and (found.adjusted() < -PLACES or found != round(found, PLACES)):
        raise BadCall(field, value, f"must have at most {PLACES} decimal places")
    if least is not None and found < least:
        raise BadCall(field, value, f"must be at least {least:f}")
    if above is not None and found <= above:
        raise BadCall(field, value, f"must be above {above:f}")
    return plain(found)


def plain(value: Decimal) -> Decimal:
    """The same number without an exponent above 0 and without decimal places beyond `PLACES`."""
    if not value:
        return Decimal(0)
    places = -int(value.as_tuple().exponent)
    return round(value, min(max(places, 0), PLACES))


def price(field: str, value: Number) -> Decimal:
    """A price: above 0. Raises BadCall."""
    return number(field, value, above=Decimal(0))


def name(field: str, value: str) -> str:
    """A user, symbol or id: 1 to 128 printable characters. Raises BadCall."""
    if not isinstance(value, str) or not 1 <= len(value) <= NAME_CHARACTERS:
        raise BadCall(field, value, f"must be a text of 1 to {NAME_CHARACTERS} characters")
    if not value.isprintable() or value.strip() != value:
        raise BadCall(field, value, "must be printable, without a space at either end")
    return value


def user(field: str, value: str) -> str:
    """A user's id. Raises BadCall."""
    if name(field, value) == EVERYBODY:
        raise BadCall(field, value, f"names one user; {EVERYBODY} is everybody")
    return value


def words(field: str, value: str, most: int = TEXT_CHARACTERS) -> str:
    """A text for people. Raises BadCall."""
    if not isinstance(value, str) or len(value) > most:
        raise BadCall(field, value, f"must be a text of at most {most} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadCall(field, value, "is no text that can be encoded") from None
    return value


def moment(field: str, value: datetime | None) -> datetime:
    """`value` in UTC; now when there is none. Raises BadCall."""
    if value is None:
        return datetime.now(UTC)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise BadCall(
            field, value, "must be a datetime with a time zone, such as datetime.now(UTC)"
        )
    return value.astimezone(UTC)
