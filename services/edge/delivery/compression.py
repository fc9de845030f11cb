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

COMPRESSION_LEVEL = 6
WINDOW_BITS = 12
WINDOW_BYTES = 1 << WINDOW_BITS
"""How far back a block refers at the most."""
MEMORY_LEVEL = 4
"""With the window, 16 + 8 KiB and 6 of zlib's own: 30 KiB a compressor, below the 32 promised."""
MIN_STANDALONE_BYTES = 1024
"""A shared block of fewer bytes saves too little alone: some five quotes."""
MIN_WRITES_TO_KEEP_COMPRESSOR = 3
"""So many own blocks between two calls of `rest` are worth a compressor that is kept; an opening
and a snapshot, after which most streams wait, are not."""

GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952: deflate, no name, no time, by an unknown system."""
FINAL_BLOCK = b"\x03\x00"
"""RFC 1951: an empty block that says it is the last."""

_CODING_PATTERN = re.compile(
    r"([!#$%&'*+.^_`|~0-9a-z-]+)(?:[ \t]*;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)


def accepts_gzip(header_values: Iterable[str]) -> bool:
    """Whether gzip serves a reader best whose ``Accept-Encoding`` has these values (RFC 9110,
    12.5.3): it may be sent, and plain text is not preferred by name. What is malformed is no wish;
    of contradictions the lowest weight holds, for plain text is always understood."""
    weights: dict[str, float] = {}
    for element in ",".join(header_values).lower().split(","):
        if coding := _CODING_PATTERN.fullmatch(element.strip(" \t")):
            weight = float(coding[2] or 1)
            weights[coding[1]] = min(weight, weights.get(coding[1], weight))
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


class SharedChunk(bytes):
    """A chunk that many readers get: plain bytes to whoever does not compress. By `Strand.next`."""

    compressor: "SharedCompressor"
    start_offset: int
    _continued_block: bytes | None = None
    _standalone_block: bytes | None = None

    def continued_block(self) -> bytes:
        """The block for readers in step."""
        if self._continued_block is None:
            self._continued_block = self.compressor.compress(self)
        return self._continued_block

    def standalone_block(self) -> bytes:
        """The block for any reader."""
        if self._standalone_block is None:
            self._standalone_block = _compress_standalone(self)
        return self._standalone_block


class SharedCompressor:
    """Chunks that follow one another, for many readers."""

    __slots__ = ("_compressed_bytes", "_deflate", "_total_bytes")

    def __init__(self) -> None:
        self._total_bytes = 0
        self._compressed_bytes = 0
        self._deflate: zlib._Compress | None = None

    def append_chunk(self, data: bytes) -> SharedChunk:
        """The strand's next chunk; it is compressed when somebody asks."""
        chunk = SharedChunk(data)
        chunk.compressor = self
        chunk.start_offset = self._total_bytes
        self._total_bytes += len(data)
        return chunk

    def compress(self, chunk: SharedChunk) -> bytes:
        """The block of `chunk` for readers in step. A slow reader may ask for an earlier one than
        was compressed last, or the first to ask in a while for a later one."""
        if chunk.start_offset < self._compressed_bytes:
            return chunk.standalone_block()
        if self._deflate is None or chunk.start_offset > self._compressed_bytes:
            self._deflate = _new_deflate()
        self._compressed_bytes = chunk.start_offset + len(chunk)
        return _compress_and_flush(self._deflate, chunk)


class GzipStream:
    """One reader's stream."""

    __slots__ = (
        "_crc",
        "_deflate",
        "_header_sent",
        "_own_write_count",
        "_shared_bytes",
        "_shared_compressor",
        "_shared_end_offset",
        "_total_bytes",
    )

    def __init__(self) -> None:
        self._header_sent = False
        self._crc = 0
        self._total_bytes = 0
        self._deflate: zlib._Compress | None = None
        self._own_write_count = 0
        self._shared_compressor: SharedCompressor | None = None
        self._shared_end_offset = 0
        self._shared_bytes = 0

    @property
    def is_idle(self) -> bool:
        """It holds no compressor."""
        return self._deflate is None

    def write(self, chunk: bytes) -> bytes:
        """What to send so that the reader can read all of `chunk` at once."""
        if not chunk:
            return b""
        self._crc = zlib.crc32(chunk, self._crc)
        self._total_bytes += len(chunk)
        if isinstance(chunk, SharedChunk):
            block = self._write_shared(chunk)
        else:
            self._shared_compressor = None
            block = self._compress(chunk)
        return block if self._header_sent else self._take_header() + block

    def end(self) -> bytes:
        """What makes the stream whole: nothing is written after it."""
        self._deflate = None
        trailer = struct.pack("<II", self._crc, self._total_bytes & 0xFFFFFFFF)
        return (b"" if self._header_sent else self._take_header()) + FINAL_BLOCK + trailer

    def release_if_idle(self) -> None:
        """Give the compressor back if it was not used since the last call."""
        if not self._own_write_count:
            self._deflate = None
        self._own_write_count = 0

    def _take_header(self) -> bytes:
        self._header_sent = True
        return GZIP_HEADER

    def _write_shared(self, chunk: SharedChunk) -> bytes:
        if (
            chunk.compressor is not self._shared_compressor
            or chunk.start_offset != self._shared_end_offset
        ):
            self._shared_compressor, self._shared_bytes = chunk.compressor, 0
        in_step = self._shared_bytes >= WINDOW_BYTES or self._shared_bytes == chunk.start_offset
        self._shared_bytes += len(chunk)
        self._shared_end_offset = chunk.start_offset + len(chunk)
        if in_step or len(chunk) >= MIN_STANDALONE_BYTES:
            self._deflate = None
            return chunk.continued_block() if in_step else chunk.standalone_block()
        return self._compress(chunk)

    def _compress(self, chunk: bytes) -> bytes:
        self._own_write_count += 1
        if self._deflate is None:
            if self._own_write_count < MIN_WRITES_TO_KEEP_COMPRESSOR:
                return _compress_standalone(chunk)
            self._deflate = _new_deflate()
        return _compress_and_flush(self._deflate, chunk)


def _new_deflate() -> "zlib._Compress":
    """Raw deflate: the gzip header and trailer are the stream's."""
    return zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, -WINDOW_BITS, MEMORY_LEVEL)


def _compress_and_flush(compressor: "zlib._Compress", chunk: bytes) -> bytes:
    return compressor.compress(chunk) + compressor.flush(zlib.Z_SYNC_FLUSH)


def _compress_standalone(chunk: bytes) -> bytes:
    """A block that refers to nothing before it."""
    return _compress_and_flush(
        zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS), chunk
    )
