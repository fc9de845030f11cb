"""Checks times from outside."""

from datetime import UTC, datetime, timedelta

from tapewire.values.errors import FaultReason, InvalidValue
from tapewire.values.scalars import to_plain_time

MIN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
MAX_TIME = datetime(2262, 1, 1, tzinfo=UTC)
"""Between these, nanoseconds since 1970 fit into 64 bits. NATS and array libraries count so."""
LAST_TIME = MAX_TIME - timedelta(seconds=1)
"""What a later end of a period counts as."""


def validate_time(field: str, value: object) -> datetime:
    """Return `value` in UTC, as a plain `datetime`.

    Raises:
        InvalidValue: `value` is no datetime, has no time zone, or is not from `MIN_TIME` to
            `MAX_TIME`.
    """
    if not isinstance(value, datetime):
        requirement = "must be a datetime with a time zone, such as datetime.now(UTC)"
        raise InvalidValue(field, value, requirement, FaultReason.NOT_A_TIME)
    try:
        offset = value.utcoffset()
        if offset is None:
            requirement = "must have a time zone, as datetime.now(UTC) has"
            raise InvalidValue(field, value, requirement, FaultReason.NO_TIME_ZONE)
        time = to_plain_time(value).replace(tzinfo=UTC) - offset
    except OverflowError:
        time = MAX_TIME
    except InvalidValue:
        raise
    except (TypeError, ValueError):  # the missing time of data-frame libraries is a datetime too
        raise InvalidValue(field, value, "must be a time", FaultReason.NOT_A_TIME) from None
    if not MIN_TIME <= time < MAX_TIME:
        requirement = f"must be from {MIN_TIME.year} to {MAX_TIME.year - 1}"
        raise InvalidValue(field, value, requirement, FaultReason.TIME_OUT_OF_RANGE)
    return time


def parse_time(field: str, text: str, *, latest: datetime | None = None) -> datetime:
    """Return the time that `text` says in ISO 8601, in UTC; without an offset it is UTC.

    Args:
        latest: a later time counts as this one, however late it is.

    Raises:
        InvalidValue: `text` is no time, or not from `MIN_TIME` to `MAX_TIME`.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        requirement = "must be a time such as 2026-03-02T14:30:00Z"
        raise InvalidValue(field, text, requirement, FaultReason.NOT_A_TIME) from None
    if latest is not None and time.year >= MAX_TIME.year:
        return latest
    time = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    try:
        checked = validate_time(field, time)
    except InvalidValue as error:
        raise InvalidValue(field, text, error.requirement, error.reason) from None
    return checked if latest is None else min(checked, latest)
