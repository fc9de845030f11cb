"""Snapshots of one stream by JetStream's API: all messages with their sequences and times.

The server sends a snapshot as a compressed archive, in chunks that the receiver acknowledges, and
takes it back the same way. From nats-server 2.15 on, a snapshot has all messages up to the last one
at its start, and its consumers have handled none beyond. A restore that is interrupted can leave a
part of the stream. Start at `receive_snapshot` and `send_snapshot`.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from nats.aio.msg import Msg

from tapewire.log.jetstream.compat import status_code
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.ports import AppendRejected, Unavailable

MIN_SERVER_VERSION = (2, 15)
"""Older servers may store consumers that are ahead of the messages."""
CHUNK_BYTES = 256 << 10
"""Bytes of one message. Every server accepts this much."""
SILENCE_TIMEOUT_SECONDS = 30.0
"""How long the server may take for the next chunk, and to take one."""
RESTORE_TIMEOUT_SECONDS = 900.0
"""How long the server may take to read a stream that it has received."""
IN_PROGRESS_WAIT_SECONDS = 15.0
"""How long a snapshot waits for another one of the same stream. The server ends that of a receiver
that was killed after five seconds."""
_RETRY_SECONDS = 0.5
_END_STATUSES = {"", "204"}
_IN_PROGRESS = "snapshot in progress"
_SERVER_METADATA_PREFIX = "_nats."


class StreamDescription(msgspec.Struct, frozen=True):
    """A stream as the server describes it."""

    config: dict[str, Any]
    state: dict[str, Any]


async def receive_snapshot(
    connection: NatsConnection, stream: str, write: Callable[[bytes], None]
) -> StreamDescription:
    """Pass a snapshot of `stream` and its consumers to `write`, chunk by chunk.

    Returns:
        The stream when the snapshot began.

    Raises:
        AppendRejected: there is no such stream, the server cannot read it, or is too old.
        Unavailable: the connection was lost, or the server stopped sending.
    """
    version = connection.client.connected_server_version
    if (version.major, version.minor) < MIN_SERVER_VERSION:
        wanted = ".".join(map(str, MIN_SERVER_VERSION))
        raise AppendRejected(f"nats-server {version} is too old for snapshots: use {wanted}")
    chunks: asyncio.Queue[Msg | str] = asyncio.Queue()

    async def receive(message: Msg) -> None:
        chunks.put_nowait(message)

    inbox = connection.client.new_inbox()
    subscription = await connection.subscribe(inbox, receive, chunks.put_nowait)
    try:
        description = await _request_snapshot(connection, stream, inbox)
        while True:
            chunk = await _next_chunk(stream, chunks)
            if not chunk.data:
                break
            write(chunk.data)
            if chunk.reply:
                await connection.publish(chunk.reply, b"")
    finally:
        await subscription.close()
    if status_code(chunk) not in _END_STATUSES:
        raise Unavailable(f"the snapshot of {stream} ended early: {chunk.headers}")
    return description


async def _request_snapshot(
    connection: NatsConnection, stream: str, inbox: str
) -> StreamDescription:
    request = {"deliver_subject": inbox, "chunk_size": CHUNK_BYTES}
    deadline = asyncio.get_running_loop().time() + IN_PROGRESS_WAIT_SECONDS
    while True:
        message = await connection.request(
            f"$JS.API.STREAM.SNAPSHOT.{stream}",
            msgspec.json.encode(request),
            timeout_seconds=SILENCE_TIMEOUT_SECONDS,
        )
        answer = msgspec.json.decode(message.data)
        error = answer.get("error")
        if error is None:
            return StreamDescription(_without_server_metadata(answer["config"]), answer["state"])
        description = str(error.get("description"))
        is_over = asyncio.get_running_loop().time() >= deadline
        if _IN_PROGRESS not in description or is_over:
            raise AppendRejected(f"no snapshot of {stream}: {description}")
        await asyncio.sleep(_RETRY_SECONDS)


async def _next_chunk(stream: str, chunks: asyncio.Queue[Msg | str]) -> Msg:
    try:
        async with asyncio.timeout(SILENCE_TIMEOUT_SECONDS):
            chunk = await chunks.get()
    except TimeoutError:
        raise Unavailable(f"the server stopped sending the snapshot of {stream}") from None
    if isinstance(chunk, str):
        raise Unavailable(f"the snapshot of {stream} is incomplete: {chunk}")
    return chunk


def _without_server_metadata(config: dict[str, Any]) -> dict[str, Any]:
    metadata = {
        key: value
        for key, value in (config.get("metadata") or {}).items()
        if not key.startswith(_SERVER_METADATA_PREFIX)
    }
    return {**config, "metadata": metadata}


async def send_snapshot(
    connection: NatsConnection, config: dict[str, Any], chunks: Iterable[bytes]
) -> None:
    """Restore a stream, which must not exist, with `config`.

    Raises:
        AppendRejected: the server rejects the configuration or the snapshot.
        Unavailable, OutcomeUnknown: the server does not answer.
    """
    name = config["name"]
    request = {"config": config}
    subject = f"$JS.API.STREAM.RESTORE.{name}"
    answer = msgspec.json.decode(
        (await connection.request(subject, msgspec.json.encode(request))).data
    )
    _raise_error(name, answer)
    deliver = answer["deliver_subject"]
    for chunk in chunks:
        reply = await connection.request(deliver, chunk, timeout_seconds=SILENCE_TIMEOUT_SECONDS)
        if reply.data:
            _raise_error(name, msgspec.json.decode(reply.data))
    end = await connection.request(deliver, b"", timeout_seconds=RESTORE_TIMEOUT_SECONDS)
    _raise_error(name, msgspec.json.decode(end.data))


def _raise_error(stream: str, answer: dict[str, Any]) -> None:
    error = answer.get("error")
    if error is not None:
        raise AppendRejected(f"restoring {stream}: {error.get('description')}")
