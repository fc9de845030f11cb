"""Whether the fields of what a venue reported can be booked and stored at all. Pure.

An adapter passes on what a venue said, so a field may hold anything: a price of NaN, a time without
a zone, a number where a text belongs. `split_invalid` puts such values aside as text. What is left
can be stored, and must not be booked. Start there.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

import msgspec

from tapewire.decimals import abbreviate
from tapewire.events import ReportedCorrection, ReportedExecution, Side

MAX_NUMBER_LENGTH = 100
"""Characters of a number; what can be booked has fewer."""
MAX_TEXT_LENGTH = 1000
"""Characters of a text; what can be booked has fewer."""
NUMBERS = frozenset({"qty", "price", "fee"})
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Reported = ReportedExecution | ReportedCorrection
"""What a venue says that it executed, or that it executed otherwise."""
ReportedT = TypeVar("ReportedT", bound=Reported)


def split_invalid(reported: ReportedT) -> tuple[ReportedT, Mapping[str, str], str]:
    """Return `reported` with a placeholder in place of each value that no execution can have; those
    values as text, abbreviated, by the names of their fields; and what is wrong with them. Nothing
    is wrong if the mapping is empty. The placeholders are 0, "", None, False and the year 1970.
    """
    changes: dict[str, object] = {}
    invalid: dict[str, str] = {}
    reasons: list[str] = []
    for field in msgspec.structs.fields(reported):
        value = getattr(reported, field.name)
        if value is None and field.default is None:
            continue
        requirement = _find_violation(field.name, value)
        if requirement is None:
            continue
        text = _describe(value)
        path = field.encode_name
        changes[field.name] = None if field.default is None else _placeholder(field.name)
        invalid[path] = text
        reasons.append(f"{path} {requirement}, not {text}")
    return msgspec.structs.replace(reported, **changes), invalid, "; ".join(reasons)


def _find_violation(name: str, value: object) -> str | None:
    """What `value` must be and is not; None if it is."""
    if name in NUMBERS:
        return _find_number_violation(value)
    if name == "timestamp":
        return _find_time_violation(value)
    if name == "side":
        return None if isinstance(value, Side) else "must be a Side"
    if name == "is_busted":
        return None if isinstance(value, bool) else "must be a bool"
    return _find_text_violation(value)


def _find_number_violation(value: object) -> str | None:
    if not isinstance(value, Decimal):
        return "must be a Decimal"
    if not value.is_finite():
        return "must be a finite number"
    if len(str(value)) > MAX_NUMBER_LENGTH:
        return f"must have at most {MAX_NUMBER_LENGTH} characters"
    return None


def _find_time_violation(value: object) -> str | None:
    if not isinstance(value, datetime):
        return "must be a datetime"
    if value.utcoffset() is None:
        return "must have a time zone"
    try:
        value.astimezone(UTC)
    except OverflowError:
        return "must be in the years 1 to 9999 in UTC"
    return None


def _find_text_violation(value: object) -> str | None:
    if not isinstance(value, str):
        return "must be text"
    if len(value) > MAX_TEXT_LENGTH:
        return f"must have at most {MAX_TEXT_LENGTH} characters"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "must have no half of a surrogate pair"
    return None


def _placeholder(name: str) -> object:
    if name in NUMBERS:
        return Decimal(0)
    if name == "timestamp":
        return EPOCH
    return False if name == "is_busted" else ""


def _describe(value: object) -> str:
    """The value as text that can be stored; with its type where that may be what is wrong."""
    if isinstance(value, str):
        text = ascii(value)
    elif isinstance(value, datetime):
        text = value.isoformat()
    elif isinstance(value, Decimal) or value is None:
        text = str(value)
    else:
        text = f"{type(value).__name__} {value!r}"
    return abbreviate(text).encode(errors="replace").decode()
