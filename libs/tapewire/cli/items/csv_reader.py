"""Reads items from CSV: UTF-8, separated by commas, with a header that names the columns.

The header names any of `COLUMNS` in any order. `title` is required, and so is `source` unless the
command line gives it. Lists (tickers, tags) are separated by semicolons. A malformed row is
reported and skipped, whether it has too many cells, bytes that are not UTF-8, or an unclosed field.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING

from tapewire.cli.items.rows import (
    InvalidCell,
    ItemDefaults,
    ItemRow,
    MalformedRow,
    Rows,
    UnreadableFile,
    parse_score,
    parse_sentiment,
    parse_timestamp,
    shorten,
)
from tapewire.runtime.contracts.insights import NewItem

if TYPE_CHECKING:
    from _csv import Reader

COLUMNS = (
    "title", "source", "url", "tickers", "tags", "sentiment", "score", "timestamp", "id", "text",
)  # fmt: skip
MAX_LINE_CHARACTERS = 2 << 20
"""How much of a line is read. A longer line is malformed in any case: it has a field above
`csv.field_size_limit` (128 Ki characters) or more fields than there are columns."""


def read_rows(file: IO[bytes], defaults: ItemDefaults) -> Rows:
    """Yield every row after the header. Raises UnreadableFile if the header is malformed."""
    # A byte that is not UTF-8 becomes a lone surrogate, so only its row is malformed.
    text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(_read_lines(text), strict=True)
    header = _read_header(reader, defaults)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield MalformedRow(line, str(error))
            continue
        if cells:
            yield _parse_row(line, header, cells, defaults)


def _read_lines(text: IO[str]) -> Iterator[str]:
    while line := text.readline(MAX_LINE_CHARACTERS):
        yield line
        rest = line
        while rest and not rest.endswith(("\n", "\r")):
            rest = text.readline(MAX_LINE_CHARACTERS)


def _read_header(reader: "Reader", defaults: ItemDefaults) -> list[str]:
    try:
        header = [name.strip().lower() for name in next(reader)]
    except StopIteration:
        raise UnreadableFile(1, "an empty file has no header") from None
    except csv.Error as error:
        raise UnreadableFile(1, str(error)) from error
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


def _parse_row(
    line: int, header: list[str], cells: list[str], defaults: ItemDefaults
) -> ItemRow | MalformedRow:
    if len(cells) != len(header):
        return MalformedRow(line, f"{len(cells)} cells, the header has {len(header)}")
    named = dict(zip(header, cells, strict=True))
    try:
        for name, cell in named.items():
            _check_utf8(name, cell)
        return ItemRow(line, _build_item(named, defaults))
    except InvalidCell as error:
        return MalformedRow(line, str(error))


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
