"""Writes a backup of the journal while the services run. Start at `back_up`."""

import secrets
from datetime import UTC, datetime
from functools import partial

from tapewire.log.jetstream.backup.folder import BackupFolder, BackupManifest
from tapewire.log.jetstream.backup.values import ValueWriter, copy_values
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.journal_record import JournalExtent, read_journal
from tapewire.log.jetstream.stream_snapshot import receive_snapshot
from tapewire.log.jetstream.streams import EVENTS, PARKED, VIEWS
from tapewire.log.ports import AppendRejected
from tapewire.log.work_progress import OnProgress, WorkProgress

EVENTS_FILE = f"{EVENTS}.snapshot"
VIEWS_FILE = f"{VIEWS}.values"
PARKED_FILE = f"{PARKED}.values"


class EventsRemoved(Exception):
    """Events were removed from the journal while it was copied. Make the backup again."""


async def back_up(
    connection: NatsConnection, folder: BackupFolder, on_progress: OnProgress
) -> BackupManifest:
    """Write a backup to `folder`: the journal as of one sequence, and what belongs to it.

    The checkpoints are copied before the journal: none may be ahead of it. Failed events are
    copied before and after: each of them is in one of the copies, or was handled before the end.

    Raises:
        EventsRemoved: by `tapewire journal archive` or `erase`, for example.
        AppendRejected: there is no journal, or the server cannot make a snapshot.
        Unavailable, OutcomeUnknown: the server does not answer.
        OSError: the files cannot be written.
    """
    before = _require_extent((await read_journal(connection)).extent)
    with folder.write(VIEWS_FILE) as file:
        writer = ValueWriter(file)
        await copy_values(connection, VIEWS, writer, partial(_report_values, on_progress))
        writer.close()
    with folder.write(PARKED_FILE) as parked_file:
        parked = ValueWriter(parked_file)
        await copy_values(connection, PARKED, parked, lambda _: None)
        with folder.write(EVENTS_FILE) as events_file:

            def write(chunk: bytes) -> None:
                events_file.write(chunk)
                note = f"compressed from {before.byte_count:,}"
                on_progress(WorkProgress(EVENTS, events_file.size, unit="bytes", note=note))

            snapshot = await receive_snapshot(connection, EVENTS, write)
        await copy_values(connection, PARKED, parked, lambda _: None)
        parked.close()
    journal = await read_journal(connection)
    after, state = _require_extent(journal.extent), snapshot.state
    was_removed = (before.bounds.epoch, before.bounds.first) != (
        after.bounds.epoch,
        after.bounds.first,
    )
    missing = {extent.bounds.last - extent.event_count for extent in (before, after)}
    if was_removed or missing != {state["last_seq"] - state["messages"]}:
        raise EventsRemoved("events were removed from the journal during the backup: make it again")
    manifest = BackupManifest(
        id=secrets.token_hex(8),
        created_at=datetime.now(UTC),
        epochs=(*before.bounds.earlier, (before.bounds.epoch, state["last_seq"])),
        first=before.bounds.first,
        last=state["last_seq"],
        events=state["messages"],
        config=snapshot.config,
        record=journal.record,
        files=folder.files,
    )
    folder.complete(manifest)
    return manifest


def _require_extent(extent: JournalExtent | None) -> JournalExtent:
    if extent is None:
        raise AppendRejected(f"there is no stream {EVENTS}")
    return extent


def _report_values(on_progress: OnProgress, count: int) -> None:
    on_progress(WorkProgress(VIEWS, count, unit="values"))
