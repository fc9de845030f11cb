"""Restores the journal from a backup.

All services hold from the first change to the last, and a restore that was interrupted leaves them
so: the same command again completes it. The restored journal has a new epoch, which continues those
of the backup: ids and checkpoints up to its end stay valid, and later ones lead to a reset. Start
at `restore`.
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tapewire.log.jetstream import journal_admin
from tapewire.log.jetstream.atomic_batch import is_batch_complete
from tapewire.log.jetstream.backup.folder import BackupFolder, BackupManifest
from tapewire.log.jetstream.backup.values import Value, put_values, read_values
from tapewire.log.jetstream.backup.write import EVENTS_FILE, PARKED_FILE, VIEWS_FILE
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.journal_record import read_event_headers, read_extent
from tapewire.log.jetstream.provisioning import provision
from tapewire.log.jetstream.stream_changes import (
    MAX_BYTES_METADATA,
    is_own_limit,
    read_config,
)
from tapewire.log.jetstream.stream_snapshot import CHUNK_BYTES, send_snapshot
from tapewire.log.jetstream.streams import EVENTS, PARKED, VIEWS
from tapewire.log.ports import AppendRejected
from tapewire.log.work_progress import OnProgress, WorkProgress

BACKUP_METADATA = "tapewire-backup"
"""The key of the metadata of EVENTS that names the backup which it was restored from."""
HOLD_SECONDS = 6.0
"""Within this time every service notices that it must hold, and the server gives up a restore whose
sender was killed."""
MAX_ATTEMPTS = 5
"""Tries to create EVENTS. The server deletes the files of a stream after it has answered, so a new
stream may find some of them."""
RETRY_SECONDS = 1.0


class JournalInUse(Exception):
    """There is a journal with events, which a restore would delete."""


class RestoreOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `provision` needs, and whether a journal with events is replaced."""

    replicas: int
    journal_bytes: int
    durables: Mapping[str, str]
    replace: bool = False


class RestoreReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore did. `dropped` events of an incomplete batch are left out; `changes` are those
    of `provision`."""

    epoch: str
    dropped: int
    changes: list[str]


async def restore(
    connection: NatsConnection,
    folder: BackupFolder,
    manifest: BackupManifest,
    options: RestoreOptions,
    on_progress: OnProgress,
) -> RestoreReport | None:
    """Replace the journal, the checkpoints and the failed events by those of the backup.

    Returns:
        What was done; None if the journal comes from this backup already, and was not replaced.

    Raises:
        JournalInUse: there are events, and `options.replace` is false.
        BadBackup: a file cannot be read.
        AppendRejected: the server rejects a stream or its content.
        Unavailable, OutcomeUnknown: the server does not answer.
    """

    async def provision_all() -> list[str]:
        return await provision(
            connection,
            replicas=options.replicas,
            journal_bytes=options.journal_bytes,
            durables=options.durables,
            replace_journal=False,
        )

    await provision_all()
    before, losses = await journal_admin.find_recorded_losses(connection)
    is_interrupted = before.loss is not None and before.loss.reported_by == journal_admin.RESTORER
    event_count = before.extent.event_count if before.extent is not None else 0
    if event_count and not is_interrupted and not options.replace:
        if not losses and await _find_origin(connection) == manifest.id:
            return None
        raise JournalInUse(f"the journal holds {event_count:,} events, which would be deleted")
    await journal_admin.hold_for_restore(connection)
    if is_interrupted or (event_count and not losses):
        on_progress(WorkProgress("waiting until all services hold"))
        await asyncio.sleep(HOLD_SECONDS)
    await _restore_values(connection, folder, manifest, on_progress)
    await _restore_events(connection, folder, manifest, options, on_progress)
    dropped = await _drop_partial_batch(connection, manifest.last)
    *earlier, (epoch, last) = manifest.epochs
    record = await journal_admin.record_restored(
        connection, (*earlier, (epoch, last - dropped)), manifest.record, before
    )
    changes = await provision_all()
    await journal_admin.finish_restore(connection)
    return RestoreReport(epoch=record.epoch, dropped=dropped, changes=changes)


async def _find_origin(connection: NatsConnection) -> str | None:
    """The backup that EVENTS was restored from."""
    config = await read_config(connection, EVENTS) or {}
    return (config.get("metadata") or {}).get(BACKUP_METADATA)


async def _restore_values(
    connection: NatsConnection,
    folder: BackupFolder,
    manifest: BackupManifest,
    on_progress: OnProgress,
) -> None:
    views = read_values(folder.read(VIEWS_FILE))
    await put_values(
        connection, VIEWS, views, lambda n: on_progress(WorkProgress(VIEWS, n, unit="values"))
    )
    parked = read_values(folder.read(PARKED_FILE))
    known = (value for value in parked if _parked_sequence(value) <= manifest.last)
    await put_values(connection, PARKED, known, lambda _: None)


def _parked_sequence(value: Value) -> int:
    """The sequence of a failed event, from ``parked.{subscription}.{sequence}.{subject}``."""
    return int(value[0].split(".")[2])


async def _restore_events(
    connection: NatsConnection,
    folder: BackupFolder,
    manifest: BackupManifest,
    options: RestoreOptions,
    on_progress: OnProgress,
) -> None:
    config = _make_config(manifest, options)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        await connection.request(f"$JS.API.STREAM.DELETE.{EVENTS}")
        try:
            await send_snapshot(connection, config, _report_chunks(folder, manifest, on_progress))
            extent = await read_extent(connection)
            found = extent and (extent.bounds.first, extent.bounds.last, extent.event_count)
            expected = (manifest.first, manifest.last, manifest.events)
            if found == expected:
                return
            raise AppendRejected(f"{EVENTS} was restored as {found} instead of {expected}")
        except AppendRejected:
            if attempt == MAX_ATTEMPTS:
                raise
            await asyncio.sleep(RETRY_SECONDS)


def _make_config(manifest: BackupManifest, options: RestoreOptions) -> dict[str, Any]:
    """The configuration of EVENTS. Unless an operator has set its limit, it has none until
    `provision` sets it, so a server with less room takes it too."""
    config = {**manifest.config, "num_replicas": options.replicas}
    metadata = {**(config.get("metadata") or {}), BACKUP_METADATA: manifest.id}
    if is_own_limit(config):
        config["max_bytes"] = -1
        metadata.pop(MAX_BYTES_METADATA, None)
    return {**config, "metadata": metadata}


def _report_chunks(
    folder: BackupFolder, manifest: BackupManifest, on_progress: OnProgress
) -> Iterator[bytes]:
    total, done = manifest.files[EVENTS_FILE].bytes, 0
    for data in folder.read(EVENTS_FILE):
        for start in range(0, len(data), CHUNK_BYTES):
            chunk = data[start : start + CHUNK_BYTES]
            done += len(chunk)
            on_progress(WorkProgress(EVENTS, done, total, "bytes"))
            yield chunk


async def _drop_partial_batch(connection: NatsConnection, last: int) -> int:
    """Delete the events of an atomic batch that was being stored when the snapshot began, and is
    not complete; how many."""
    headers = await read_event_headers(connection, last) if last else None
    if headers is None or is_batch_complete(headers):
        return 0
    count = int(headers["Nats-Batch-Sequence"])
    for sequence in range(last, last - count, -1):
        request = msgspec.json.encode({"seq": sequence, "no_erase": True})
        await connection.request(f"$JS.API.STREAM.MSG.DELETE.{EVENTS}", request)
    return count
