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
    """An item and the line on which it begins. `label` names the row in messages, beside the
    line."""

    line: int
    item: NewItem
    label: str = ""


class MalformedRow(msgspec.Struct, frozen=True):
    """A row that is not an item: the line on which it begins, the reason, and the field or the part
    of the format that is at fault, by which reasons are counted."""

    line: int
    reason: str
    fault: str = "format"


class Notice(msgspec.Struct, frozen=True):
    """What the reader repaired or left out on a line. No row is lost by it."""

    line: int
    reason: str


Row = ItemRow | MalformedRow | Notice
Rows = Iterator[Row]


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
    """A cell has a text that its column does not allow. The message begins with the column."""

    @property
    def column(self) -> str:
        """The name of the column."""
        return str(self).split(maxsplit=1)[0]


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
