"""The rows of a file of items, whatever its format, and the parsers of their cells.

Readers yield rows one by one, so a file of any size needs the memory of one row.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

import msgspec

from tapewire.events import Sentiment
from tapewire.runtime.contracts.insights import NewItem


class ItemRow(msgspec.Struct, frozen=True):
    """An item and the line on which it begins."""

    line: int
    item: NewItem


class MalformedRow(msgspec.Struct, frozen=True):
    """A row that is not an item: the line on which it begins, and the reason."""

    line: int
    reason: str


Rows = Iterator[ItemRow | MalformedRow]


class UnreadableFile(Exception):
    """The file cannot be read from `line` on."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line


class ItemDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """Values from the command line for every item of a file."""

    source: str | None = None
    tickers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class InvalidCell(ValueError):
    """A cell has a text that its column does not allow."""


def parse_score(text: str) -> Decimal | None:
    """Parse a score; None if `text` is empty. Raises InvalidCell."""
    if not text:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():  # JSON cannot express it
        raise InvalidCell(f"score {shorten(text)} is no number")
    return number


def parse_sentiment(text: str) -> Sentiment | None:
    """Parse a sentiment; None if `text` is empty. Raises InvalidCell."""
    if not text:
        return None
    try:
        return Sentiment(text.lower())
    except ValueError:
        words = ", ".join(one.value for one in Sentiment)
        raise InvalidCell(f"sentiment {shorten(text)} is none of {words}") from None


def parse_timestamp(text: str) -> datetime | None:
    """Parse a time in ISO 8601 and convert it to UTC; None if `text` is empty.

    UTC, because the JSON encoder does not write offsets with seconds. A time without an offset is
    returned as it is; the service rejects it.

    Raises:
        InvalidCell: The text is not a time.
    """
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        return at if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidCell(f"timestamp {shorten(text)} is not like 2026-03-02T14:30:00Z") from None


def shorten(text: str) -> str:
    """Return `text` quoted for an error message: short and on one line."""
    return ascii(text if len(text) <= 40 else f"{text[:40]}…")
