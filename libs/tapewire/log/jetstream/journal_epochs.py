"""The epochs of the journal, which the metadata of EVENTS name for every reader of the log."""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from tapewire.log.jetstream import stream_reads
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.streams import EVENTS
from tapewire.log.ports import AppendRejected

MAX_EARLIER_EPOCHS = 32
"""Epochs that a journal continues. Ids of older ones lead to a reset."""
_EPOCH_SUFFIX_CHARACTERS = 4
_EPOCH_CHARACTERS = 11
"""Characters of an epoch that derives from a creation time."""
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


async def continue_epochs(connection: NatsConnection, earlier: tuple[tuple[str, int], ...]) -> str:
    """Give EVENTS a new epoch that continues `earlier` ones, the latest last; the epoch."""
    suffix = "".join(secrets.choice(_DIGITS) for _ in range(_EPOCH_SUFFIX_CHARACTERS))
    epoch = earlier[-1][0][:_EPOCH_CHARACTERS] + suffix
    await write_epochs(connection, epoch, earlier[-MAX_EARLIER_EPOCHS:])
    return epoch


async def write_epochs(
    connection: NatsConnection, epoch: str, earlier: tuple[tuple[str, int], ...]
) -> None:
    """Name the current epoch and the earlier ones. Raises the errors of `write_metadata`."""
    names = {
        stream_reads.EPOCH_METADATA: epoch,
        stream_reads.EARLIER_EPOCHS_METADATA: ",".join(f"{name}:{end}" for name, end in earlier),
    }
    await write_metadata(connection, names)


async def write_metadata(connection: NatsConnection, metadata: Mapping[str, str]) -> None:
    """Add to the metadata of EVENTS.

    Raises:
        AppendRejected: there is no stream EVENTS, or the server rejects its metadata.
        Unavailable, OutcomeUnknown: the server does not answer.
    """
    info = await _request_api(connection, f"$JS.API.STREAM.INFO.{EVENTS}", {})
    config = info["config"]
    config["metadata"] = {**(config.get("metadata") or {}), **metadata}
    await _request_api(connection, f"$JS.API.STREAM.UPDATE.{EVENTS}", config)


async def _request_api(
    connection: NatsConnection, subject: str, request: dict[str, Any]
) -> dict[str, Any]:
    message = await connection.request(subject, msgspec.json.encode(request))
    answer: dict[str, Any] = msgspec.json.decode(message.data)
    error = answer.get("error")
    if error is not None:
        raise AppendRejected(f"{subject}: {error.get('description')}")
    return answer


def new_epoch() -> str:
    """An epoch that no journal had before: the present time, as of a stream's creation."""
    return stream_reads.epoch_from_created(datetime.now(UTC).isoformat())
