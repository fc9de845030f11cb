"""gzip streams that let no event wait, with blocks that many of them share. Pure.

`Gzip` is one reader's stream: each `write` ends in a flush, so that all of it can be read at once,
and `end` makes the stream whole. A chunk that many readers get is a `Shared`, cut from a `Strand`
(what a lane sends, one chunk after the other); it is compressed once and appended to all streams.

A block may refer back to the bytes before it. A reader that just got the last `WINDOW_BYTES` of a
strand, however they were compressed then, is in step with it, and takes blocks that refer back to
them; any other reader takes a block that stands alone, or when that would save little, one of its
own. Its own compressor begins anew after a foreign block, which it did not see (docs/adr/0011), and
is there only while the stream is busy: `rest` takes it back.
Start reading at `Gzip.write`.
"""

import re
import struct
import zlib
from collections.abc import Iterable

LEVEL = 6
WINDOW_BITS = 12
WINDOW_BYTES = 1 << WINDOW_BITS
"""How far back a block refers at the most."""
MEMORY_LEVEL = 4
"""With the window, 16 + 8 KiB and 6 of zlib's own: 30 KiB a compressor, below the 32 promised."""
ALONE_BYTES = 1024
"""A shared block of fewer bytes saves too little alone: some five quotes."""
BUSY_WRITES = 3
"""So many own blocks between two calls of `rest` are worth a compressor that is kept; an opening
and a snapshot, after which most streams wait, are not."""

HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952: deflate, no name, no time, by an unknown system."""
LAST_BLOCK = b"\x03\x00"
"""RFC 1951: an empty block that says it is the last."""

_CODING = re.compile(
    r"([!#$%&'*+.^_`|~0-9a-z-]+)(?:[ \t]*;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)


def accepts(fields: Iterable[str]) -> bool:
    """Whether gzip serves a reader best whose ``Accept-Encoding`` has these values (RFC 9110,
    12.5.3): it may be sent, and plain text is not preferred by name. What is malformed is no wish;
    of contradictions the lowest weight holds, for plain text is always understood."""
    weights: dict[str, float] = {}
    for element in ",".join(fields).lower().split(","):
        if coding := _CODING.fullmatch(element.strip(" \t")):
            weight = float(coding[2] or 1)
            weights[coding[1]] = min(weight, weights.get(coding[1], weight))
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


class Shared(bytes):
    """A chunk that many readers get: plain bytes to whoever does not compress. By `Strand.next`."""

    strand: "Strand"
    start: int
    _continued: bytes | None = None
    _alone: bytes | None = None

    def continued(self) -> bytes:
        """The block for readers in step."""
        if self._continued is None:
            self._continued = self.strand.compress(self)
        return self._continued

    def alone(self) -> bytes:
        """The block for any reader."""
        if self._alone is None:
            self._alone = _alone(self)
        return self._alone


class Strand:
    """Chunks that follow one another, for many readers."""

    __slots__ = ("_compressed", "_compressor", "_length")

    def __init__(self) -> None:
        self._length = 0
        self._compressed = 0
        self._compressor: zlib._Compress | None = None

    def next(self, data: bytes) -> Shared:
        """The strand's next chunk; it is compressed when somebody asks."""
        chunk = Shared(data)
        chunk.strand = self
        chunk.start = self._length
        self._length += len(data)
        return chunk

    def compress(self, chunk: Shared) -> bytes:
        """The block of `chunk` for readers in step. A slow reader may ask for an earlier one than
        was compressed last, or the first to ask in a while for a later one."""
        if chunk.start < self._compressed:
            return chunk.alone()
        if self._compressor is None or chunk.start > self._compressed:
            self._compressor = _compressor()
        self._compressed = chunk.start + len(chunk)
        return _flushed(self._compressor, chunk)


class Gzip:
    """One reader's stream."""

    __slots__ = ("_begun", "_crc", "_in_common", "_length", "_own", "_strand", "_upto", "_writes")

    def __init__(self) -> None:
        self._begun = False
        self._crc = 0
        self._length = 0
        self._own: zlib._Compress | None = None
        self._writes = 0
        self._strand: Strand | None = None
        self._upto = 0
        self._in_common = 0

    @property
    def resting(self) -> bool:
        """It holds no compressor."""
        return self._own is None

    def write(self, chunk: bytes) -> bytes:
        """What to send so that the reader can read all of `chunk` at once."""
        if not chunk:
            return b""
        self._crc = zlib.crc32(chunk, self._crc)
        self._length += len(chunk)
        if isinstance(chunk, Shared):
            block = self._share(chunk)
        else:
            self._strand = None
            block = self._compress(chunk)
        return block if self._begun else self._begin() + block

    def end(self) -> bytes:
        """What makes the stream whole: nothing is written after it."""
        self._own = None
        trailer = struct.pack("<II", self._crc, self._length & 0xFFFFFFFF)
        return (b"" if self._begun else self._begin()) + LAST_BLOCK + trailer

    def rest(self) -> None:
        """Give the compressor back if it was not used since the last call."""
        if not self._writes:
            self._own = None
        self._writes = 0

    def _begin(self) -> bytes:
        self._begun = True
        return HEADER

    def _share(self, chunk: Shared) -> bytes:
        if chunk.strand is not self._strand or chunk.start != self._upto:
            self._strand, self._in_common = chunk.strand, 0
        in_step = self._in_common >= WINDOW_BYTES or self._in_common == chunk.start
        self._in_common += len(chunk)
        self._upto = chunk.start + len(chunk)
        if in_step or len(chunk) >= ALONE_BYTES:
            self._own = None
            return chunk.continued() if in_step else chunk.alone()
        return self._compress(chunk)

    def _compress(self, chunk: bytes) -> bytes:
        self._writes += 1
        if self._own is None:
            if self._writes < BUSY_WRITES:
                return _alone(chunk)
            self._own = _compressor()
        return _flushed(self._own, chunk)


def _compressor() -> "zlib._Compress":
    """Raw deflate: the gzip header and trailer are the stream's."""
    return zlib.compressobj(LEVEL, zlib.DEFLATED, -WINDOW_BITS, MEMORY_LEVEL)


def _flushed(compressor: "zlib._Compress", chunk: bytes) -> bytes:
    return compressor.compress(chunk) + compressor.flush(zlib.Z_SYNC_FLUSH)


def _alone(chunk: bytes) -> bytes:
    """A block that refers to nothing before it."""
    return _flushed(zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS), chunk)
