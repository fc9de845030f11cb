"""A recorded feed: a CSV file, plain or gzipped, read line by line.

The first bytes decide whether the file is gzipped, not its name. A malformed line is yielded as
the error that describes it, so the player can count it and continue. So is the point where a
damaged file cannot be read any further.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from tapewire.feeds import FeedError
from tapewire_services.prices.domain import (
    DAY_MS,
    ColumnLayout,
    LineFault,
    MalformedHeader,
    MalformedLine,
    RecordedTick,
    parse_tick,
)

MAX_LINE_BYTES = 4096
"""The longest line of a recording."""
MAX_CHECKED_LINES = 200_000
"""Lines among which a recording must have a tick: a few seconds of reading."""
MAX_LATE_MS = 60 * 60 * 1000
"""How late a line from before midnight may be, in milliseconds of the recording."""
GZIP_MAGIC = b"\x1f\x8b"
"""The first bytes of a gzip file (RFC 1952, 2.3.1)."""

READ_ERRORS = (OSError, EOFError, zlib.error)
"""What reading a missing, foreign or damaged file raises, including gzip's own errors."""


class RecordingFile:
    """A source whose every day is one pass over the file at `path`.

    Raises:
        FeedError: The file is missing or unreadable, or has the wrong header.
    """

    def __init__(self, path: Path) -> None:
        self.name = f"recording {path.name}"
        self._path = path
        with self._open_after_header():
            pass

    def read_day(self) -> Iterator[RecordedTick | MalformedLine]:
        """Yield every line as a tick, or as the error that says why it is not one. What cannot be
        taken of a tick precedes it. Empty lines are skipped. After a midnight `ms` goes on beyond a
        day.

        Raises:
            FeedError: The file can no longer be opened.
        """
        faults: list[MalformedLine] = []
        midnights = _MidnightCounter()
        line = 1
        with self._open_after_header() as (stream, columns):
            try:
                while raw := stream.readline(MAX_LINE_BYTES):
                    line += 1
                    if not _is_complete_line(stream, raw):
                        yield _build_line_too_long(line, raw)
                    elif raw.strip():
                        item = _parse_line(columns, line, raw, faults.append)
                        if faults:
                            yield from faults
                            faults.clear()
                        yield midnights.place(item) if isinstance(item, RecordedTick) else item
            except READ_ERRORS as error:
                problem = f"and all after it cannot be read: {error}"
                yield MalformedLine(line + 1, None, "", problem, LineFault.TRUNCATED)

    def check_has_tick(self, symbols: Collection[str] = ()) -> None:
        """Read until the first tick of `symbols`, any symbol if empty.

        Raises:
            FeedError: The file has none. One with more than `MAX_CHECKED_LINES` is not read on.
        """
        wanted = {*symbols, *(symbol.upper() for symbol in symbols)}
        line_count = 0
        first_fault: MalformedLine | None = None
        for item in islice(self.read_day(), MAX_CHECKED_LINES):
            line_count += 1
            if isinstance(item, MalformedLine):
                first_fault = first_fault or item
            elif not wanted or item.symbol in wanted:
                return
        if line_count == MAX_CHECKED_LINES:
            return
        of_symbols = f" of {', '.join(sorted(symbols))}" if symbols else ""
        fault = f"; the first fault: {first_fault}" if first_fault is not None else ""
        raise self._build_error(
            f"it has no tick{of_symbols} ({line_count:,} lines were read{fault})"
        )

    @contextmanager
    def _open_after_header(self) -> Iterator[tuple[BinaryIO, ColumnLayout]]:
        """The file, positioned after its header."""
        try:
            stream = _open_file(self._path)
        except OSError as error:
            raise self._build_error(error.strerror or str(error)) from error
        with stream:
            try:
                columns = ColumnLayout.from_header(stream.readline(MAX_LINE_BYTES))
            except (*READ_ERRORS, MalformedHeader) as error:
                raise self._build_error(str(error)) from error
            yield stream, columns

    def _build_error(self, reason: str) -> FeedError:
        return FeedError(
            f"the feed {str(self._path)!r} cannot be played: {reason}. "
            "Name a recorded feed (CSV, plain or gz), or none for the random walk."
        )


class _MidnightCounter:
    """Counts the midnights that a recording crosses: `ms` falls by more than half a day there. It
    falls by less where two lines are out of order."""

    def __init__(self) -> None:
        self._last_ms = 0
        self._offset_ms = 0

    def place(self, tick: RecordedTick) -> RecordedTick:
        """Return `tick`, the next of the recording, at its time since the first midnight."""
        ms = tick.ms + self._offset_ms
        if ms < self._last_ms - DAY_MS // 2:
            self._offset_ms += DAY_MS
            ms += DAY_MS
        elif self._offset_ms and self._last_ms - MAX_LATE_MS <= ms - DAY_MS:
            ms -= DAY_MS  # a late line of the day before
        self._last_ms = max(self._last_ms, ms)
        return tick if ms == tick.ms else msgspec.structs.replace(tick, ms=ms)


def _open_file(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():
        raise OSError("it is not a file")
    with path.open("rb") as file:
        packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    # Reading lines from an unbuffered GzipFile takes twice as long.
    return cast("BinaryIO", io.BufferedReader(gzip.open(path)) if packed else path.open("rb"))


def _is_complete_line(stream: BinaryIO, raw: bytes) -> bool:
    """Whether `raw` is a whole line. If not, skip the rest of the line."""
    if len(raw) < MAX_LINE_BYTES or raw.endswith(b"\n"):
        return True
    while len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
        raw = stream.readline(MAX_LINE_BYTES)
    return False


def _build_line_too_long(line: int, raw: bytes) -> MalformedLine:
    problem = f"is longer than {MAX_LINE_BYTES} bytes"
    return MalformedLine(line, None, raw.decode(errors="replace"), problem, LineFault.TOO_LONG)


def _parse_line(
    columns: ColumnLayout, line: int, raw: bytes, on_fault: Callable[[MalformedLine], None]
) -> RecordedTick | MalformedLine:
    try:
        return parse_tick(columns, line, raw, on_fault)
    except MalformedLine as bad:
        return bad
