"""What a file of items is made of, whatever its format: rows that can be sent, and others.

Readers make these one after the other, so a file of any size takes the memory of a row.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

import msgspec

from tapewire.events import Sentiment
from tapewire.runtime.contracts.insights import NewItem


class ItemRow(msgspec.Struct, frozen=True):
    """An item, and the line that it begins at."""

    line: int
    item: NewItem


class MalformedRow(msgspec.Struct, frozen=True):
    """A row that is no item: where it begins, and why."""

    line: int
    reason: str


Rows = Iterator[ItemRow | MalformedRow]


class UnreadableFile(Exception):
    """The rest of the file cannot be read; `line` is where."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line


class ItemDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says of every item of a file."""

    source: str | None = None
    tickers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class InvalidCell(ValueError):
    """A text that is not what its column holds."""


def parse_score(text: str) -> Decimal | None:
    """Raises BadCell."""
    if not text:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():  # which JSON has no word for
        raise InvalidCell(f"score {shorten(text)} is no number")
    return number


def parse_sentiment(text: str) -> Sentiment | None:
    """Raises BadCell."""
    if not text:
        return None
    try:
        return Sentiment(text.lower())
    except ValueError:
        words = ", ".join(one.value for one in Sentiment)
        raise InvalidCell(f"sentiment {shorten(text)} is none of {words}") from None


def parse_timestamp(text: str) -> datetime | None:
    """ISO 8601 with its offset, in UTC: JSON's writer knows no seconds of an offset. One without an
    offset stays so, for the service to refuse. Raises BadCell."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        return at if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidCell(f"timestamp {shorten(text)} is not like 2026-03-02T14:30:00Z") from None


def shorten(text: str) -> str:
    """`text` for an error message: short, on one line."""
    return ascii(text if len(text) <= 40 else f"{text[:40]}…")
