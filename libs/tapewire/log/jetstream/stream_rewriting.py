"""Moves the messages of a newest-wins stream to new files, so that no replaced message is left.

JetStream keeps messages in block files. A message that was replaced or removed stays in its file
until the server rewrites that file, which it does when less than half of it is in use. A file
without any message is deleted at once. `rewrite_stream` therefore fills the current block, and
stores again each message that is in an earlier one.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
from nats.aio.msg import Msg

from tapewire.log.jetstream import stream_reads
from tapewire.log.jetstream.atomic_batch import CONFLICT_CODES
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.ports import PAGE_BYTES, PAGE_EVENTS, AppendRejected

MAX_BLOCK_BYTES = 8 << 20
"""The largest block file of the server."""
_PADDING_BYTES = 256 << 10
_PADDING_MESSAGES = MAX_BLOCK_BYTES // _PADDING_BYTES + 2
_PADDING_TOKEN = "rewriting"  # noqa: S105 - no secret
_MAX_CONCURRENT_MESSAGES = 16
_TTL_HEADER = "Nats-TTL"
_MARKER_HEADERS = {"KV-Operation": "DEL"}
"""Readers of a bucket take the padding for a key without a value."""


async def rewrite_stream(connection: NatsConnection, stream: str, prefix: str) -> int:
    """Store every message of `stream` again that is in a block file of before the call, and count
    them. Messages that are replaced meanwhile stay replaced; others get new revisions.

    Args:
        prefix: what the subjects of the stream begin with, such as ``view``.

    Raises:
        AppendRejected: the stream has no room for the padding, 256 KiB.
        LogError: the stream cannot be read or written.
    """
    if not (await stream_reads.bounds(connection, stream)).last:
        return 0
    padding = f"{prefix}.{_PADDING_TOKEN}"
    for _ in range(_PADDING_MESSAGES):
        last = await _store(connection, padding, bytes(_PADDING_BYTES), _MARKER_HEADERS)
    slots = asyncio.Semaphore(_MAX_CONCURRENT_MESSAGES)

    async def store_again(message: Msg) -> bool:
        async with slots:
            return await _store_again(connection, message)

    count, after, more = 0, 0, True
    while more:
        page = await stream_reads.read_page(
            connection, stream, ">", after=after, limit=PAGE_EVENTS, max_bytes=PAGE_BYTES
        )
        messages = [one for one in page.messages if _sequence(one) < last]
        count += sum(await asyncio.gather(*map(store_again, messages)))
        more = page.remaining > 0 and len(messages) == len(page.messages)
        after = _sequence(page.messages[-1]) if page.messages else after
    await purge(connection, stream, padding)
    return count


async def purge(connection: NatsConnection, stream: str, filter_: str) -> int:
    """Remove all messages of `stream` that match `filter_`, and count them. Raises LogError."""
    request = msgspec.json.encode({"filter": filter_})
    message = await connection.request(f"$JS.API.STREAM.PURGE.{stream}", request)
    answer: dict[str, Any] = msgspec.json.decode(message.data)
    if "error" in answer:
        raise AppendRejected(f"{stream} {filter_}: {answer['error'].get('description')}")
    return int(answer.get("purged", 0))


async def _store_again(connection: NatsConnection, message: Msg) -> bool:
    """Store a message in its own place. False if it was replaced or has expired meanwhile."""
    found = message.headers or {}
    headers = {name: value for name, value in found.items() if not name.startswith("Nats-")}
    if _TTL_HEADER in found:
        age = datetime.now(UTC) - datetime.fromisoformat(found["Nats-Time-Stamp"])
        left = int(found[_TTL_HEADER].removesuffix("s")) - int(age.total_seconds())
        headers[_TTL_HEADER] = f"{max(left, 1)}s"
    headers["Nats-Expected-Last-Subject-Sequence"] = found["Nats-Sequence"]
    return bool(await _store(connection, found["Nats-Subject"], message.data, headers))


async def _store(
    connection: NatsConnection, subject: str, data: bytes, headers: dict[str, str]
) -> int:
    """The sequence of the stored message; 0 after a conflict."""
    answer = msgspec.json.decode((await connection.request(subject, data, headers)).data)
    error = answer.get("error")
    if error is None:
        return int(answer["seq"])
    if error.get("err_code") in CONFLICT_CODES:
        return 0
    raise AppendRejected(f"{subject.partition('.')[0]}: {error.get('description')}")


def _sequence(message: Msg) -> int:
    return int((message.headers or {})["Nats-Sequence"])
