"""gzip streams with chunks that can be decompressed immediately, and with blocks that many streams
share. Pure.

`GzipStream` is the stream of one reader: each `write` ends with a flush, and `end` completes the
stream. A conflation group sends its chunks through a `SharedCompressor`: a `SharedChunk` is
compressed once and appended to the streams of all readers.

A block may refer to the bytes before it. A reader that has just received the last `WINDOW_BYTES` of
the shared chunks, however they were compressed, is in step and takes blocks that refer to them. Any
other reader takes a standalone block, or, when that would save little, a block of its own
compressor. Its own compressor starts again after a shared block, which it did not see
(docs/adr/0011), and exists only while the stream is busy (`release_if_idle`). Start reading at
`GzipStream.write`.
"""

import re
import struct
import zlib
from collections.abc import Iterable

COMPRESSION_LEVEL = 6
WINDOW_BITS = 12
WINDOW_BYTES = 1 << WINDOW_BITS
"""How far back a block can refer."""
MEMORY_LEVEL = 4
"""With the window, 16 + 8 KiB and 6 KiB of zlib's own: 30 KiB per compressor; 32 are promised."""
MIN_STANDALONE_BYTES = 1024
"""A smaller standalone block saves too little; this is about five quotes."""
MIN_WRITES_TO_KEEP_COMPRESSOR = 3
"""Own blocks between two calls of `release_if_idle` from which on a compressor is kept. An opening
and a snapshot are fewer; most streams then wait."""

GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952: deflate, without a name or time, from an unknown system."""
FINAL_BLOCK = b"\x03\x00"
"""RFC 1951: an empty block marked as the last one."""

_CODING_PATTERN = re.compile(
    r"([!#$%&'*+.^_`|~0-9a-z-]+)(?:[ \t]*;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)


def accepts_gzip(header_values: Iterable[str]) -> bool:
    """Whether to send gzip to a client with these ``Accept-Encoding`` values (RFC 9110, 12.5.3).

    gzip must be acceptable, and the identity coding must not be preferred by name. Malformed
    elements are ignored. Of contradictory weights the lowest applies, because every client
    understands uncompressed text.
    """
    weights: dict[str, float] = {}
    for element in ",".join(header_values).lower().split(","):
        if coding := _CODING_PATTERN.fullmatch(element.strip(" \t")):
            weight = float(coding[2] or 1)
            weights[coding[1]] = min(weight, weights.get(coding[1], weight))
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


class SharedChunk(bytes):
    """A chunk for many readers, from `SharedCompressor.append_chunk`. It is plain bytes for a
    stream without compression."""

    compressor: "SharedCompressor"
    start_offset: int
    _continued_block: bytes | None = None
    _standalone_block: bytes | None = None

    def continued_block(self) -> bytes:
        """The block for readers that are in step."""
        if self._continued_block is None:
            self._continued_block = self.compressor.compress(self)
        return self._continued_block

    def standalone_block(self) -> bytes:
        """The block for any reader."""
        if self._standalone_block is None:
            self._standalone_block = _compress_standalone(self)
        return self._standalone_block


class SharedCompressor:
    """Compresses consecutive chunks for many readers."""

    __slots__ = ("_compressed_bytes", "_deflate", "_total_bytes")

    def __init__(self) -> None:
        self._total_bytes = 0
        self._compressed_bytes = 0
        self._deflate: zlib._Compress | None = None

    def append_chunk(self, data: bytes) -> SharedChunk:
        """Return `data` as the next chunk; it is compressed when a reader first asks for it."""
        chunk = SharedChunk(data)
        chunk.compressor = self
        chunk.start_offset = self._total_bytes
        self._total_bytes += len(data)
        return chunk

    def compress(self, chunk: SharedChunk) -> bytes:
        """Return the block of `chunk` for readers in step. A slow reader may ask for an earlier
        chunk than the last one compressed; chunks in between may never be asked for."""
        if chunk.start_offset < self._compressed_bytes:
            return chunk.standalone_block()
        if self._deflate is None or chunk.start_offset > self._compressed_bytes:
            self._deflate = _new_deflate()
        self._compressed_bytes = chunk.start_offset + len(chunk)
        return _compress_and_flush(self._deflate, chunk)


class GzipStream:
    """The gzip stream of one reader."""

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
        """Whether the stream holds no compressor."""
        return self._deflate is None

    def write(self, chunk: bytes) -> bytes:
        """Return the bytes to send, from which the reader can decompress all of `chunk` at once."""
        if not chunk:
            return b""
        self._crc = zlib.crc32(chunk, self._crc)
        self._total_bytes += len(chunk)
        if isinstance(chunk, SharedChunk):
            block = self._write_shared(chunk)
        else:
            self._shared_compressor = None
            block = self._compress(chunk)
        return block if self._header_sent else self._begin() + block

    def end(self) -> bytes:
        """Return the end of the stream; nothing may be written after it."""
        self._deflate = None
        trailer = struct.pack("<II", self._crc, self._total_bytes & 0xFFFFFFFF)
        return (b"" if self._header_sent else self._begin()) + FINAL_BLOCK + trailer

    def release_if_idle(self) -> None:
        """Release the compressor if it was not used since the last call."""
        if not self._own_write_count:
            self._deflate = None
        self._own_write_count = 0

    def _begin(self) -> bytes:
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
    """Raw deflate: `GzipStream` writes the gzip header and trailer."""
    return zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, -WINDOW_BITS, MEMORY_LEVEL)


def _compress_and_flush(compressor: "zlib._Compress", chunk: bytes) -> bytes:
    return compressor.compress(chunk) + compressor.flush(zlib.Z_SYNC_FLUSH)


def _compress_standalone(chunk: bytes) -> bytes:
    """A block that does not refer to earlier bytes."""
    return _compress_and_flush(
        zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS), chunk
    )
