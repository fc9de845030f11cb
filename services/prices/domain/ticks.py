"""Parses one line of a recorded feed into a tick, and says what of it cannot be taken.

The first line of a recording names its columns, in any order, and may name further ones. Numbers
and symbols are what `tapewire.feeds` takes. A side of the market or a trade with a fault is left
out, and the rest of its line counts. Start at `parse_tick`.
"""

import csv
import enum
import functools
import re
from collections.abc import Callable
from decimal import Decimal

import msgspec

from tapewire.feeds.ticks import (
    Pair,
    ValidTick,
    to_side,
    to_trade,
    validate_side,
    validate_tick_symbol,
    validate_trade,
)
from tapewire.values import InvalidValue

DAY_MS = 24 * 60 * 60 * 1000
"""Milliseconds in a day. `ms` is below it."""
REQUIRED_COLUMNS = ("ms", "symbol", "bid", "bid_size", "ask", "ask_size", "last", "last_size")
"""The columns that a header must name."""
MAX_SHOWN_CHARACTERS = 60
"""Characters of a bad value that an error message repeats."""

_MS_PATTERN = re.compile(r"[0-9]{1,8}\Z")
_PLAIN_NUMBER_PATTERN = re.compile(r"[0-9]{1,12}(\.[0-9]{1,8})?\Z")


class LineFault(enum.StrEnum):
    """Why a line cannot be taken; `tapewire.values.FaultReason` has the reasons of its values."""

    NOT_CSV = "not_csv"
    FIELD_COUNT = "field_count"
    TOO_LONG = "too_long"
    NOT_A_TIME = "not_a_time"
    TRUNCATED = "truncated"


class MalformedHeader(ValueError):
    """The first line does not name the columns of a recorded feed."""


class MalformedLine(ValueError):
    """A line cannot be taken, or a part of it. `column` is None if the line as a whole is
    malformed; `reason` is a `LineFault` or a `FaultReason`."""

    def __init__(
        self, line: int, column: str | None, value: str, problem: str, reason: str
    ) -> None:
        where = f"line {line}, column {column}" if column else f"line {line}"
        super().__init__(f"{where}: {value[:MAX_SHOWN_CHARACTERS]!r} {problem}")
        self.line = line
        self.column = column
        self.value = value[:MAX_SHOWN_CHARACTERS]
        self.problem = problem
        self.reason = reason


class RecordedTick(ValidTick, frozen=True, kw_only=True):
    """A tick at `ms`, in milliseconds since the first midnight of the recording."""

    ms: int


class ColumnLayout(msgspec.Struct, frozen=True):
    """Where a file has each of `REQUIRED_COLUMNS`, and how many fields its lines have."""

    field_count: int
    indexes: tuple[int, ...]

    @classmethod
    def from_header(cls, header: bytes) -> "ColumnLayout":
        """Parse the first line of a file.

        Raises:
            MalformedHeader: A column is missing or named twice, or the line is not CSV text.
        """
        try:
            names = [name.strip().lower() for name in _split_fields(header.decode("utf-8-sig"))]
        except (UnicodeDecodeError, csv.Error) as error:
            raise MalformedHeader(f"the first line is not CSV text ({error})") from error
        for column in REQUIRED_COLUMNS:
            if names.count(column) != 1:
                fault = "is missing" if column not in names else "is named twice"
                found = ",".join(names)[:MAX_SHOWN_CHARACTERS]
                raise MalformedHeader(
                    f"the first line must name the columns {','.join(REQUIRED_COLUMNS)}: "
                    f"{column!r} {fault} in {found!r}"
                )
        return cls(len(names), tuple(names.index(column) for column in REQUIRED_COLUMNS))


def parse_tick(
    columns: ColumnLayout, line: int, raw: bytes, on_fault: Callable[[MalformedLine], None]
) -> RecordedTick:
    """Parse line number `line`; the header is line 1.

    A side with a fault has no offer, and a trade with a fault is none; `on_fault` is called with
    each.

    Raises:
        MalformedLine: The line is not a tick. The error names the line, the column and the value.
    """
    fields = _decode_fields(line, raw)
    if len(fields) != columns.field_count:
        problem = f"has {len(fields)} fields, not {columns.field_count}"
        raise MalformedLine(line, None, ",".join(fields), problem, LineFault.FIELD_COUNT)
    ms, symbol, *numbers = [fields[index].strip() for index in columns.indexes]
    at, name = _parse_ms(line, ms), _parse_symbol(line, symbol)
    (bid, bid_size), (ask, ask_size), (last, last_size) = _parse_pairs(line, numbers, on_fault)
    return RecordedTick(
        ms=at,
        symbol=name,
        bid=bid,
        bid_size=bid_size,
        ask=ask,
        ask_size=ask_size,
        last=last,
        last_size=last_size,
    )


def _parse_pairs(
    line: int, texts: list[str], on_fault: Callable[[MalformedLine], None]
) -> tuple[Pair, Pair, Pair]:
    """Return bid, ask and trade; `texts` are price and size of each."""
    try:
        bid, bid_size, ask, ask_size, last, last_size = [_parse_plain_number(t) for t in texts]
        return to_side(bid, bid_size), to_side(ask, ask_size), to_trade(last, last_size)
    except ValueError:
        return _validate_pairs(line, texts, on_fault)


@functools.lru_cache(maxsize=16_384)
def _parse_plain_number(text: str) -> Decimal | None:
    """Return the number of most fields, which needs no rounding and no check of its bounds; None
    for an empty field. Prices and sizes come again and again.

    Raises:
        ValueError: The text is not of that form.
    """
    if _PLAIN_NUMBER_PATTERN.match(text):
        return Decimal(text)
    if text:
        raise ValueError(text)
    return None


def _validate_pairs(
    line: int, texts: list[str], on_fault: Callable[[MalformedLine], None]
) -> tuple[Pair, Pair, Pair]:
    """Like `_parse_pairs`, for any texts."""

    def handle_fault(error: InvalidValue) -> None:
        on_fault(_to_malformed_line(line, error))

    bid, bid_size, ask, ask_size, last, last_size = [text or None for text in texts]
    return (
        validate_side("bid", bid, bid_size, handle_fault),
        validate_side("ask", ask, ask_size, handle_fault),
        validate_trade(last, last_size, handle_fault),
    )


def _decode_fields(line: int, raw: bytes) -> list[str]:
    try:
        return _split_fields(raw.decode())
    except (UnicodeDecodeError, csv.Error) as error:
        shown = raw[:MAX_SHOWN_CHARACTERS].decode(errors="replace")
        problem = f"is no CSV text ({error})"
        raise MalformedLine(line, None, shown, problem, LineFault.NOT_CSV) from error


def _split_fields(text: str) -> list[str]:
    text = text.rstrip("\r\n")
    # A csv.reader costs more than the rest of the parsing, and few lines need it.
    return next(csv.reader([text], strict=True), []) if '"' in text else text.split(",")


def _parse_ms(line: int, text: str) -> int:
    if not _MS_PATTERN.match(text) or (ms := int(text)) >= DAY_MS:
        problem = f"is not a whole number from 0 to {DAY_MS - 1}"
        raise MalformedLine(line, "ms", text, problem, LineFault.NOT_A_TIME)
    return ms


def _parse_symbol(line: int, text: str) -> str:
    try:
        return validate_tick_symbol(text)
    except InvalidValue as error:
        raise _to_malformed_line(line, error) from None


def _to_malformed_line(line: int, error: InvalidValue) -> MalformedLine:
    text = "" if error.value is None else str(error.value)
    return MalformedLine(line, error.field, text, error.requirement, error.reason)
