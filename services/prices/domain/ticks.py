"""Parses one line of a recorded feed into a tick, or raises an error that says what is wrong.

The first line of a recording names its columns, in any order, and may name further ones. Every
number is checked against a bound, so a damaged line neither stalls the replay nor breaks later
arithmetic. Start at `parse_tick`.
"""

import csv
import re
from decimal import Decimal

import msgspec

DAY_MS = 24 * 60 * 60 * 1000
"""Milliseconds in a day. `ms` is below it."""
REQUIRED_COLUMNS = ("ms", "symbol", "bid", "bid_size", "ask", "ask_size", "last", "last_size")
"""The columns that a header must name."""
MAX_SHOWN_CHARACTERS = 60
"""Characters of a bad value that an error message repeats."""

_MS_PATTERN = re.compile(r"[0-9]{1,8}\Z")
_NUMBER_PATTERN = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?\Z")
_SYMBOL_PATTERN = re.compile(r"[A-Z0-9^][A-Z0-9.^/=_-]{0,31}\Z")


class MalformedHeader(ValueError):
    """The first line does not name the columns of a recorded feed."""


class MalformedLine(ValueError):
    """A line is not a tick. `column` is None if the line as a whole is malformed."""

    def __init__(self, line: int, column: str | None, value: str, problem: str) -> None:
        where = f"line {line}, column {column}" if column else f"line {line}"
        super().__init__(f"{where}: {value[:MAX_SHOWN_CHARACTERS]!r} {problem}")
        self.line = line
        self.column = column
        self.value = value[:MAX_SHOWN_CHARACTERS]
        self.problem = problem


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """A change in one symbol at `ms`, in milliseconds since the feed's midnight.

    Prices are dollars a share, sizes are shares. None means unchanged for bid and ask, and no trade
    for `last`.
    """

    ms: int
    symbol: str
    bid: Decimal | None = None
    bid_size: Decimal | None = None
    ask: Decimal | None = None
    ask_size: Decimal | None = None
    last: Decimal | None = None
    last_size: Decimal | None = None


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


def parse_tick(columns: ColumnLayout, line: int, raw: bytes) -> Tick:
    """Parse line number `line`; the header is line 1.

    Raises:
        MalformedLine: The line is not a tick. The error names the line, the column and the value.
    """
    fields = _decode_fields(line, raw)
    if len(fields) != columns.field_count:
        raise MalformedLine(
            line, None, ",".join(fields), f"has {len(fields)} fields, not {columns.field_count}"
        )
    ms, symbol, bid, bid_size, ask, ask_size, last, last_size = [
        fields[index].strip() for index in columns.indexes
    ]
    traded = _parse_price(line, "last", last)
    size = _parse_number(line, "last_size", last_size)
    if traded is None and size is not None:
        raise MalformedLine(line, "last", last, f"is no price, yet {last_size} shares were traded")
    return Tick(
        ms=_parse_ms(line, ms),
        symbol=_parse_symbol(line, symbol),
        bid=_parse_price(line, "bid", bid),
        bid_size=_parse_number(line, "bid_size", bid_size),
        ask=_parse_price(line, "ask", ask),
        ask_size=_parse_number(line, "ask_size", ask_size),
        last=traded,
        last_size=size,
    )


def normalize_symbol(text: str) -> str | None:
    """Return `text` trimmed and in upper case, or None if it cannot be a symbol."""
    symbol = text.strip().upper()
    return symbol if _SYMBOL_PATTERN.match(symbol) else None


def _decode_fields(line: int, raw: bytes) -> list[str]:
    try:
        return _split_fields(raw.decode())
    except (UnicodeDecodeError, csv.Error) as error:
        shown = raw[:MAX_SHOWN_CHARACTERS].decode(errors="replace")
        raise MalformedLine(line, None, shown, f"is no CSV text ({error})") from error


def _split_fields(text: str) -> list[str]:
    text = text.rstrip("\r\n")
    # A csv.reader costs more than the rest of the parsing, and few lines need it.
    return next(csv.reader([text], strict=True), []) if '"' in text else text.split(",")


def _parse_ms(line: int, text: str) -> int:
    if not _MS_PATTERN.match(text) or int(text) >= DAY_MS:
        raise MalformedLine(line, "ms", text, f"is not a whole number from 0 to {DAY_MS - 1}")
    return int(text)


def _parse_symbol(line: int, text: str) -> str:
    symbol = normalize_symbol(text)
    if symbol is None:
        raise MalformedLine(
            line, "symbol", text, "is not a symbol (up to 32 letters, digits, . ^ / = - and _)"
        )
    return symbol


def _parse_price(line: int, column: str, text: str) -> Decimal | None:
    price = _parse_number(line, column, text)
    if price is not None and not price:
        raise MalformedLine(line, column, text, "is not a price (above 0)")
    return price


def _parse_number(line: int, column: str, text: str) -> Decimal | None:
    if not text:
        return None
    if not _NUMBER_PATTERN.match(text):
        raise MalformedLine(
            line, column, text, "is not a number (up to 9 digits and 6 decimal places)"
        )
    return Decimal(text)
