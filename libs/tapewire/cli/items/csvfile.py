"""Items from CSV: UTF-8, commas, and a header that names the columns.

`title` and, unless the command line gives it, `source` must be among them; the others are `COLUMNS`
in any order. Lists (tickers, tags) are separated by semicolons. A row at fault is told and passed
over, whatever is wrong with it: too many cells, bytes that are no UTF-8, a field without an end.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING

from tapewire.cli.items.rows import (
    BadCell,
    Extra,
    Malformed,
    Row,
    Rows,
    Unreadable,
    score,
    sentiment,
    shown,
    timestamp,
)
from tapewire.runtime.contracts.insights import NewItem

if TYPE_CHECKING:
    from _csv import Reader

COLUMNS = (
    "title", "source", "url", "tickers", "tags", "sentiment", "score", "timestamp", "id", "text",
)  # fmt: skip
LINE_CHARACTERS = 2 << 20
"""What is read of a line. A longer one has a field that is too long (`csv.field_size_limit`, 128 Ki
characters), or more fields than there are columns: it is malformed either way."""


def rows(file: IO[bytes], extra: Extra) -> Rows:
    """Every row after the header. Raises Unreadable when the header will not do."""
    # A byte that is no UTF-8 becomes half a surrogate pair, so that it costs its row and no more.
    text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(_lines(text), strict=True)
    header = _header(reader, extra)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Malformed(line, str(error))
            continue
        if cells:
            yield _row(line, header, cells, extra)


def _lines(text: IO[str]) -> Iterator[str]:
    while line := text.readline(LINE_CHARACTERS):
        yield line
        rest = line
        while rest and not rest.endswith(("\n", "\r")):
            rest = text.readline(LINE_CHARACTERS)


def _header(reader: "Reader", extra: Extra) -> list[str]:
    try:
        header = [name.strip().lower() for name in next(reader)]
    except StopIteration:
        raise Unreadable(1, "an empty file has no header") from None
    except csv.Error as error:
        raise Unreadable(1, str(error)) from error
    known = f"the columns are {', '.join(COLUMNS)}"
    for name in header:
        if name not in COLUMNS:
            raise Unreadable(1, f"unknown column {shown(name)}; {known}")
        if header.count(name) > 1:
            raise Unreadable(1, f"the column {name} comes twice")
    for name in ("title", "source"):
        if name not in header and not (name == "source" and extra.source):
            raise Unreadable(1, f"no column {name}; {known}")
    return header


def _row(line: int, header: list[str], cells: list[str], extra: Extra) -> Row | Malformed:
    if len(cells) != len(header):
        return Malformed(line, f"{len(cells)} cells, the header has {len(header)}")
    named = dict(zip(header, cells, strict=True))
    try:
        for name, cell in named.items():
            _utf8(name, cell)
        return Row(line, _item(named, extra))
    except BadCell as error:
        return Malformed(line, str(error))


def _utf8(name: str, cell: str) -> None:
    try:
        cell.encode()
    except UnicodeEncodeError:
        raise BadCell(f"{name} {shown(cell)} is no UTF-8") from None


def _item(named: Mapping[str, str], extra: Extra) -> NewItem:
    def cell(name: str) -> str:
        return named.get(name, "").strip()

    return NewItem(
        title=cell("title"),
        source=cell("source") or extra.source or "",
        url=cell("url") or None,
        tickers=(*_list(cell("tickers")), *extra.tickers),
        tags=(*_list(cell("tags")), *extra.tags),
        sentiment=sentiment(cell("sentiment")),
        score=score(cell("score")),
        timestamp=timestamp(cell("timestamp")),
        id=cell("id") or None,
        text=cell("text"),
    )


def _list(cell: str) -> tuple[str, ...]:
    return tuple(part for part in (part.strip() for part in cell.split(";")) if part)
