"""A recorded feed: a CSV file, plain or gz, streamed line by line.

Whether it is gz is read from its first bytes, not from its name. A line that is no tick is handed
on as the error that says why, so that whoever plays the file counts it and goes on; so is the place
where a damaged file cannot be read any further.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from services.prices.domain import BadHeader, BadLine, Columns, Tick, parse
from services.prices.feed.port import FeedError

LINE_BYTES = 4096
"""Longest line of a recording."""
SYMBOLS = 10_000
"""Most symbols in a recording; lines of further ones count as malformed."""
GZIP = b"\x1f\x8b"
"""What a gz file begins with (RFC 1952, 2.3.1)."""

UNREADABLE = (OSError, EOFError, zlib.error)
"""What reading a missing, foreign or damaged file raises; gzip's own errors are among them."""


class BreaksOff(BadLine):
    """The file cannot be read from this line on. What came before it is good."""


class Recording:
    """A source whose day is one reading of the file at `path`.

    Raises:
        FeedError: there is no such file, it cannot be read, or its header is not ours.
    """

    def __init__(self, path: Path) -> None:
        self.name = f"recording {path.name}"
        self._path = path
        with self._opened():
            pass

    def day(self) -> Iterator[Tick | BadLine]:
        """Each line as its tick, or as the error that says why it is none; empty lines are
        nothing. Raises FeedError when the file can no longer be opened."""
        symbols: set[str] = set()
        line = 1
        with self._opened() as (stream, columns):
            try:
                while raw := stream.readline(LINE_BYTES):
                    line += 1
                    if not _whole(stream, raw):
                        yield _too_long(line, raw)
                    elif raw.strip():
                        yield _item(columns, line, raw, symbols)
            except UNREADABLE as error:
                yield BreaksOff(line + 1, None, "", f"and all after it cannot be read: {error}")

    @contextmanager
    def _opened(self) -> Iterator[tuple[BinaryIO, Columns]]:
        """The file behind its header."""
        try:
            stream = _open(self._path)
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error
        with stream:
            try:
                columns = Columns.of(stream.readline(LINE_BYTES))
            except (*UNREADABLE, BadHeader) as error:
                raise self._unusable(str(error)) from error
            yield stream, columns

    def _unusable(self, why: str) -> FeedError:
        return FeedError(
            f"the feed {str(self._path)!r} cannot be played: {why}. "
            "Name a recorded feed (CSV, plain or gz), or none for the random walk."
        )


def _open(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():
        raise OSError("it is not a file")
    with path.open("rb") as file:
        packed = file.read(len(GZIP)) == GZIP
    # Without a buffer of its own, reading lines from gzip takes twice as long.
    return cast("BinaryIO", io.BufferedReader(gzip.open(path)) if packed else path.open("rb"))


def _whole(stream: BinaryIO, raw: bytes) -> bool:
    """Whether `raw` is all of its line; if not, read the rest and forget it."""
    if len(raw) < LINE_BYTES or raw.endswith(b"\n"):
        return True
    while len(raw) == LINE_BYTES and not raw.endswith(b"\n"):
        raw = stream.readline(LINE_BYTES)
    return False


def _too_long(line: int, raw: bytes) -> BadLine:
    return BadLine(line, None, raw.decode(errors="replace"), f"is longer than {LINE_BYTES} bytes")


def _item(columns: Columns, line: int, raw: bytes, symbols: set[str]) -> Tick | BadLine:
    try:
        tick = parse(columns, line, raw)
    except BadLine as bad:
        return bad
    if tick.symbol not in symbols:
        if len(symbols) == SYMBOLS:
            return BadLine(line, "symbol", tick.symbol, f"is one symbol more than {SYMBOLS}")
        symbols.add(tick.symbol)
    return tick
