"""A parser of the event stream format, exactly as the HTML standard defines it:
https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

It turns bytes into blocks (events). Chunks may end anywhere, also within a CRLF or a UTF-8
character. An incomplete block at the end is never returned. Start at `EventStreamParser.feed`.
"""

import codecs
import re
from dataclasses import dataclass

MAX_BLOCK_CHARACTERS = 16 * 1024 * 1024
"""A block with more characters than this is an error."""
_LINE_END = re.compile(r"\r\n|\n|\r")
_RETRY_PATTERN = re.compile(r"[0-9]+")
_MAX_RETRY_DIGITS = 15


class BlockTooLong(Exception):
    """A block exceeds `MAX_BLOCK_CHARACTERS`: the sender does not use this format."""

    def __init__(self) -> None:
        super().__init__(
            f"a block of the event stream has more than {MAX_BLOCK_CHARACTERS} characters"
        )


@dataclass(frozen=True, slots=True)
class EventBlock:
    """A block with data.

    `type` is the field `event`, "message" without one. `data` has the data lines, joined by LF.
    `id` is the id in this block; None without one ("" resets the id).
    """

    type: str
    data: str
    id: str | None


@dataclass(frozen=True, slots=True)
class IdBlock:
    """A block without data that has an id."""

    id: str


@dataclass(frozen=True, slots=True)
class RetryField:
    """The reconnection time in milliseconds."""

    milliseconds: int


@dataclass(frozen=True, slots=True)
class CommentLine:
    """A comment, without the colon and one space."""

    text: str


StreamPart = EventBlock | IdBlock | RetryField | CommentLine


class EventStreamParser:
    """Parses one response body; each connection needs its own parser."""

    def __init__(self) -> None:
        # utf-8-sig drops one byte order mark at the beginning.
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._line = ""
        self._is_after_cr = False
        self._type = ""
        self._data: list[str] = []
        self._data_size = 0
        self._id: str | None = None

    def feed(self, chunk: bytes) -> list[StreamPart]:
        """Return the parts that `chunk` completes.

        Raises:
            BlockTooLong: The parser cannot be used any more.
        """
        text = self._decoder.decode(chunk)
        if self._is_after_cr and text:
            # The CR has ended the line already, so no event waits for the LF of a CRLF.
            text = text.removeprefix("\n")
            self._is_after_cr = False
        if not text:
            return []
        self._is_after_cr = text.endswith("\r")
        parts: list[StreamPart] = []
        first, *others = _LINE_END.split(text)
        self._line += first
        for line in others:
            self._process_line(self._line, parts)
            self._line = line
        self._check_size()
        return parts

    def _process_line(self, line: str, parts: list[StreamPart]) -> None:
        if not line:
            self._end_block(parts)
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._data_size += len(value) + 1
            self._check_size()
        elif name == "event":
            self._type = value
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif name == "retry":
            if _RETRY_PATTERN.fullmatch(value):
                # No number of this length means something else: the delay is limited anyway.
                parts.append(RetryField(int(value[:_MAX_RETRY_DIGITS])))
        elif not name:
            parts.append(CommentLine(value))

    def _end_block(self, parts: list[StreamPart]) -> None:
        if self._data:
            parts.append(EventBlock(self._type or "message", "\n".join(self._data), self._id))
        elif self._id is not None:
            parts.append(IdBlock(self._id))
        self._type = ""
        self._data = []
        self._data_size = 0
        self._id = None

    def _check_size(self) -> None:
        if len(self._line) + self._data_size > MAX_BLOCK_CHARACTERS:
            raise BlockTooLong
