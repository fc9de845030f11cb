"""Reads items from CSV: UTF-8, separated by commas, with a header that names the columns.

The header names any of `COLUMNS` in any order. `title` is required, and so is `source` unless the
command line gives it. Lists (tickers, tags) are separated by semicolons. A malformed row is
reported and skipped, whether it has too many cells, bytes that are not UTF-8, or a quote that is
not closed.

A quoted cell may have line breaks, so a quote that is not closed makes rows into text of its cell.
If a row of several lines is malformed, or if each of its lines would be a row, only its first line
is taken for malformed, and the other lines are read again. Start at `read_rows`.
"""

import csv
import io
from collections import deque
from collections.abc import Iterator, Mapping
from typing import IO

import msgspec

from tapewire.cli.items.rows import (
    InvalidCell,
    ItemDefaults,
    ItemRow,
    MalformedRow,
    Row,
    Rows,
    UnreadableFile,
    parse_score,
    parse_sentiment,
    parse_timestamp,
    shorten,
)
from tapewire.runtime.contracts.insights import NewItem

COLUMNS = (
    "title", "source", "url", "tickers", "tags", "sentiment", "score", "timestamp", "id", "text",
)  # fmt: skip
_END_OF_DATA = "unexpected end of data"
"""What `csv` says of a file that ends within quotes."""
MAX_LINE_CHARACTERS = 2 << 20
"""How much of a line is read. A longer line is malformed in any case: it has a field above
`csv.field_size_limit` (128 Ki characters) or more fields than there are columns."""


class _Lines:
    """The lines of a file, which can be given back to be read again."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self._returned: deque[str] = deque()
        self.number = 0
        """The number of the line that was read last."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else self._read_line()
        self.number += 1
        return line

    def give_back(self, lines: list[str]) -> None:
        """Read `lines`, which were the last ones, again."""
        self._returned.extendleft(reversed(lines))
        self.number -= len(lines)

    def _read_line(self) -> str:
        line = self._text.readline(MAX_LINE_CHARACTERS)
        if not line:
            raise StopIteration
        rest = line
        while rest and not rest.endswith(("\n", "\r")):
            rest = self._text.readline(MAX_LINE_CHARACTERS)
        return line


class _Record(msgspec.Struct, frozen=True):
    """The lines of one row, and its cells or the reason why it has none."""

    line: int
    lines: list[str]
    cells: list[str]
    error: str | None


def read_rows(file: IO[bytes], defaults: ItemDefaults) -> Rows:
    """Yield every row after the header. Raises UnreadableFile if the header is malformed."""
    # A byte that is not UTF-8 becomes a lone surrogate, so only its row is malformed.
    text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
    lines = _Lines(text)
    header = _check_header(_read_record(lines), defaults)
    while (record := _read_record(lines)) is not None:
        if _has_unclosed_quote(record, header, defaults):
            lines.give_back(record.lines[1:])
            reason = f"a quote is not closed: {shorten(record.lines[0].strip())}"
            yield MalformedRow(record.line, reason, "quote")
        elif record.error is not None:
            yield MalformedRow(record.line, record.error)
        elif record.cells:
            yield _parse_row(record.line, header, record.cells, defaults)


def _read_record(lines: _Lines) -> _Record | None:
    """Read the lines of one row; None at the end of the file."""
    first = lines.number + 1
    used: list[str] = []

    def read() -> Iterator[str]:
        for line in lines:
            used.append(line)
            yield line

    try:
        cells = next(csv.reader(read(), strict=True))
    except StopIteration:
        return None
    except csv.Error as error:
        return _Record(first, used, [], str(error))
    return _Record(first, used, cells, None)


def _has_unclosed_quote(record: _Record, header: list[str], defaults: ItemDefaults) -> bool:
    if record.error == _END_OF_DATA:
        return True
    following = record.lines[1:]
    if not following:
        return False
    if record.error is not None:
        return True
    if len(record.cells) != len(header):
        return any(_is_row(line, header, defaults) for line in following)
    return len(header) > 1 and all(_is_row(line, header, defaults) for line in record.lines)


def _is_row(line: str, header: list[str], defaults: ItemDefaults) -> bool:
    """Whether a line is a row with a title and a source, whatever its quotes."""
    try:
        cells = next(csv.reader([line], quoting=csv.QUOTE_NONE))
    except (csv.Error, StopIteration):
        return False
    row = _parse_row(0, header, [cell.strip('"') for cell in cells], defaults)
    return isinstance(row, ItemRow) and bool(row.item.title and row.item.source)


def _check_header(record: _Record | None, defaults: ItemDefaults) -> list[str]:
    if record is None:
        raise UnreadableFile(1, "an empty file has no header")
    if record.error is not None:
        raise UnreadableFile(1, record.error)
    header = [name.strip().lower() for name in record.cells]
    known = f"the columns are {', '.join(COLUMNS)}"
    for name in header:
        if name not in COLUMNS:
            raise UnreadableFile(1, f"unknown column {shorten(name)}; {known}")
        if header.count(name) > 1:
            raise UnreadableFile(1, f"the column {name} comes twice")
    for name in ("title", "source"):
        if name not in header and not (name == "source" and defaults.source):
            raise UnreadableFile(1, f"no column {name}; {known}")
    return header


def _parse_row(line: int, header: list[str], cells: list[str], defaults: ItemDefaults) -> Row:
    if len(cells) != len(header):
        return MalformedRow(line, f"{len(cells)} cells, the header has {len(header)}", "cells")
    named = dict(zip(header, cells, strict=True))
    try:
        for name, cell in named.items():
            _check_utf8(name, cell)
        return ItemRow(line, _build_item(named, defaults))
    except InvalidCell as error:
        return MalformedRow(line, str(error), error.column)


def _check_utf8(name: str, cell: str) -> None:
    try:
        cell.encode()
    except UnicodeEncodeError:
        raise InvalidCell(f"{name} {shorten(cell)} is no UTF-8") from None


def _build_item(cells: Mapping[str, str], defaults: ItemDefaults) -> NewItem:
    def cell(name: str) -> str:
        return cells.get(name, "").strip()

    return NewItem(
        title=cell("title"),
        source=cell("source") or defaults.source or "",
        url=cell("url") or None,
        tickers=(*_split_list(cell("tickers")), *defaults.tickers),
        tags=(*_split_list(cell("tags")), *defaults.tags),
        sentiment=parse_sentiment(cell("sentiment")),
        score=parse_score(cell("score")),
        timestamp=parse_timestamp(cell("timestamp")),
        id=cell("id") or None,
        text=cell("text"),
    )


def _split_list(cell: str) -> tuple[str, ...]:
    return tuple(part for part in (part.strip() for part in cell.split(";")) if part)
