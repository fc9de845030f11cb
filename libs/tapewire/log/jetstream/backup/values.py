"""The values of a stream that keeps one message per subject, copied to a file and back.

The file is compressed and holds a MessagePack pair of subject and value for each; of several pairs
with one subject the last counts. The stream is read in its order up to its end, so the copy is its
state at one sequence, however much is replaced meanwhile. Start at `copy_values` and `put_values`.
"""

import asyncio
import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO, cast

import msgspec

from tapewire.log.jetstream import stream_reads
from tapewire.log.jetstream.atomic_batch import is_batch_complete
from tapewire.log.jetstream.backup.folder import BadBackup, DigestingFile
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.latest_values import is_marker
from tapewire.log.ports import (
    CATCH_UP_PAGE_BYTES,
    CATCH_UP_PAGE_EVENTS,
    AppendRejected,
    Unavailable,
)

COMPRESSION_LEVEL = 1
"""Checkpoints are compressed already."""
PUTS_AT_ONCE = 128
LAG_RETRIES = 20
LAG_RETRY_SECONDS = 0.25
_LENGTH_BYTES = 4

Value = tuple[str, bytes]
"""Subject and value."""


class ValueWriter:
    """Writes values to a file of a backup."""

    def __init__(self, file: DigestingFile) -> None:
        self._archive = gzip.GzipFile(
            fileobj=cast("IO[bytes]", file), mode="wb", compresslevel=COMPRESSION_LEVEL, mtime=0
        )
        self.count = 0

    def write(self, value: Value) -> None:
        data = msgspec.msgpack.encode(value)
        self._archive.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)
        self.count += 1

    def close(self) -> None:
        """Complete the file's content."""
        self._archive.close()


def read_values(chunks: Iterable[bytes]) -> Iterator[Value]:
    """The values of a file. Raises BadBackup."""
    decompressor, data = zlib.decompressobj(wbits=31), b""
    try:
        for chunk in chunks:
            data += decompressor.decompress(chunk)
            while len(data) >= _LENGTH_BYTES:
                end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
                if len(data) < end:
                    break
                yield msgspec.msgpack.decode(data[_LENGTH_BYTES:end], type=Value)
                data = data[end:]
    except (zlib.error, msgspec.DecodeError) as error:
        raise BadBackup(f"a file of values is damaged: {error}") from error


async def copy_values(
    connection: NatsConnection, stream: str, writer: ValueWriter, report: Callable[[int], None]
) -> None:
    """Write the values of `stream`, markers excepted, as of a sequence after the call.

    Raises:
        Unavailable: the stream cannot be read, or a replica lags for too long.
    """
    after, is_complete, lag = 0, False, 0
    while not is_complete:
        # Every value that was replaced so far is found again up to this sequence.
        end = await stream_reads.last_sequence(connection, stream, ">")
        page = await stream_reads.read_page(
            connection,
            stream,
            ">",
            after=after,
            limit=CATCH_UP_PAGE_EVENTS,
            max_bytes=CATCH_UP_PAGE_BYTES,
        )
        for message in page.messages:
            headers = message.headers or {}
            after = int(headers["Nats-Sequence"])
            is_complete = is_batch_complete(headers)
            if not is_marker(message):
                writer.write((headers["Nats-Subject"], message.data))
        report(writer.count)
        if not page.messages:
            is_complete = True
        if page.remaining:
            is_complete = False
        elif after < end:
            is_complete, lag = False, lag + 1
            if lag > LAG_RETRIES:
                raise Unavailable(f"{stream} goes on after {after}, where a replica ends")
            await asyncio.sleep(LAG_RETRY_SECONDS)


async def put_values(
    connection: NatsConnection, stream: str, values: Iterable[Value], report: Callable[[int], None]
) -> None:
    """Replace the content of `stream` by `values`.

    Raises:
        AppendRejected: the server rejects a value.
        Unavailable, OutcomeUnknown: it does not answer.
    """
    await connection.request(f"$JS.API.STREAM.PURGE.{stream}")
    batch: dict[str, bytes] = {}
    count = 0
    for subject, data in values:
        batch[subject] = data
        if len(batch) == PUTS_AT_ONCE:
            count += await _put_batch(connection, stream, batch)
            report(count)
    await _put_batch(connection, stream, batch)


async def _put_batch(connection: NatsConnection, stream: str, batch: dict[str, bytes]) -> int:
    """Store the values of `batch`, and empty it; how many."""

    async def put(subject: str, data: bytes) -> None:
        answer = msgspec.json.decode((await connection.request(subject, data)).data)
        if "error" in answer:
            raise AppendRejected(f"{stream} {subject}: {answer['error'].get('description')}")

    count = len(batch)
    await asyncio.gather(*(put(subject, data) for subject, data in batch.items()))
    batch.clear()
    return count
