"""Administration of the journal's incarnation: what `tapewire provision` and `tapewire journal` do.

An incarnation begins when EVENTS is created and when an operator accepts a loss. It has one epoch
at a time. A new epoch begins, and continues the earlier ones, when the server was restarted and
no process is left that knows how far the journal had reached: if the server's volume was set back
meanwhile, clients that saw more than the journal now holds have ids that the new epoch does not
continue (docs/adr/0015). Start at `ensure_record`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from tapewire.events import CODEC
from tapewire.log.jetstream import stream_reads
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.journal_epochs import (
    MAX_EARLIER_EPOCHS,
    continue_epochs,
    new_epoch,
    write_epochs,
    write_metadata,
)
from tapewire.log.jetstream.journal_record import (
    INCARNATION_KEY,
    LOSS_KEY,
    MARK_KEY,
    HighWaterMark,
    IncarnationRecord,
    JournalAndRecords,
    JournalExtent,
    LossReport,
    all_epochs,
    count_missing,
    find_losses,
    journal_store,
    read_event_id,
    read_extent,
    read_journal,
)
from tapewire.log.ports import AppendRejected, Unavailable

RESTORER = "tapewire journal restore"
"""Who reports a loss while a backup is being restored."""


async def ensure_record(connection: NatsConnection, *, replaces: IncarnationRecord | None) -> bool:
    """Record the incarnation of EVENTS if none is recorded, or if it `replaces` the recorded one.

    Returns:
        Whether a record was written.
    """
    journal = await read_journal(connection)
    if journal.extent is None or (journal.record is not None and replaces is None):
        return False
    bounds = journal.extent.bounds
    replaced = () if replaces is None else (*replaces.replaced, replaces.epoch)
    record = IncarnationRecord(
        epoch=bounds.epoch,
        created=journal.extent.created,
        first=bounds.first,
        removed=max(0, count_missing(journal.extent, bounds.first, 0)),
        erased_first=1 if replaces is None else replaces.erased_first,
        replaced=replaced[-MAX_EARLIER_EPOCHS:],
    )
    await _write_record(connection, record)
    return True


async def begin_epoch(connection: NatsConnection) -> str | None:
    """Begin a new epoch that continues the present one; None if the journal has lost events.

    Raises:
        AppendRejected: the server rejects the stream's metadata.
        Unavailable, OutcomeUnknown: the server does not answer.
    """
    journal = await read_journal(connection)
    extent, record = journal.extent, journal.record
    if extent is None or record is None or await _find_recorded_losses(connection, journal):
        return None
    bounds = extent.bounds
    if not bounds.last:
        return None
    epoch = await continue_epochs(connection, (*bounds.earlier, (bounds.epoch, bounds.last)))
    await _write_record(connection, msgspec.structs.replace(record, epoch=epoch))
    return epoch


async def accept_loss(connection: NatsConnection) -> IncarnationRecord:
    """Begin a new incarnation with what EVENTS holds. No epoch is continued: clients are reset, and
    checkpoints of the old incarnation count as missing.

    Raises:
        AppendRejected: there is no stream EVENTS, or the server rejects its metadata.
        Unavailable, OutcomeUnknown: the server does not answer.
    """
    before = await read_journal(connection)
    if before.extent is None:
        raise AppendRejected("there is no stream EVENTS: restore it, or run this command again")
    await write_epochs(connection, new_epoch(), ())
    record = await _begin_incarnation(connection, before, all_epochs(before.extent.bounds))
    await journal_store(connection).put(LOSS_KEY, b"")
    return record


async def hold_for_restore(connection: NatsConnection) -> None:
    """Have all services hold until `finish_restore`. Raises LogError."""
    report = LossReport(
        reason=(
            "a backup is being restored; if that was interrupted, run "
            "`tapewire journal restore` again"
        ),
        reported_by=RESTORER,
        reported_at=datetime.now(UTC),
    )
    await journal_store(connection).put(LOSS_KEY, CODEC.encode(report))


async def record_restored(
    connection: NatsConnection,
    epochs: tuple[tuple[str, int], ...],
    record: IncarnationRecord | None,
    before: JournalAndRecords,
) -> IncarnationRecord:
    """Begin the incarnation of a restored journal, which continues the epochs of its backup.

    Args:
        epochs: the backup's epochs, each with the last event of it that was restored.
        record: the incarnation record at the time of the backup: what had been removed on purpose.
        before: the journal that was replaced, and its records.

    Raises:
        AppendRejected: the server rejects the stream's metadata.
        Unavailable, OutcomeUnknown: the server does not answer.
    """
    await continue_epochs(connection, epochs)
    replaced = [epoch for epoch, _ in epochs]
    if before.extent is not None:
        replaced += all_epochs(before.extent.bounds)
    if before.record is not None:
        replaced += [*before.record.replaced, before.record.epoch]
    return await _begin_incarnation(
        connection, msgspec.structs.replace(before, record=record), replaced
    )


async def finish_restore(connection: NatsConnection) -> None:
    """Let the services use the restored journal. Raises LogError."""
    await journal_store(connection).put(LOSS_KEY, b"")


async def _begin_incarnation(
    connection: NatsConnection, before: JournalAndRecords, replaced: Sequence[str]
) -> IncarnationRecord:
    """Record the journal as it is now. Processes that know it as one of the `replaced` epochs, or
    as `before`, forget what they have seen of it."""
    extent = await _require_extent(connection)
    old = before.record
    known = (*(() if old is None else (*old.replaced, old.epoch)), *replaced)
    retained = 0 if old is None else old.retained
    record = IncarnationRecord(
        epoch=extent.bounds.epoch,
        created=extent.created,
        first=extent.bounds.first,
        removed=max(0, count_missing(extent, extent.bounds.first, retained)),
        retained=retained,
        erased_first=1 if old is None else old.erased_first,
        replaced=tuple(dict.fromkeys(known))[-2 * MAX_EARLIER_EPOCHS :],
    )
    last = extent.bounds.last
    event_id = await read_event_id(connection, last) if last else None
    mark = b""
    if event_id is not None:
        mark = CODEC.encode(
            HighWaterMark(
                epoch=record.epoch,
                sequence=last,
                event_id=event_id,
                recorded_at=datetime.now(UTC),
            )
        )
    await journal_store(connection).put(MARK_KEY, mark)
    await _write_record(connection, record)
    return record


async def record_removal(
    connection: NatsConnection,
    *,
    first: int,
    removed: int,
    retained: int | None = None,
    is_erasure: bool = False,
) -> None:
    """Record, before events are removed on purpose, what the guards have to allow.

    Args:
        first: the first sequence that will be left.
        removed: events that will be missing after it.
        retained: single events before `first` that will be left; None for as many as recorded.
        is_erasure: they are all events of an erased user, so the log counts as complete without
            them.

    Raises:
        AppendRejected: the journal has no incarnation record.
        Unavailable, OutcomeUnknown: the server does not answer.
    """
    journal = await read_journal(connection)
    extent, record = journal.extent, journal.record
    if extent is None or record is None:
        raise AppendRejected("the journal has no incarnation record: run `tapewire provision`")
    was_complete = extent.bounds.first <= record.erased_first
    await _write_record(
        connection,
        msgspec.structs.replace(
            record,
            first=max(first, record.first),
            removed=max(removed, record.removed),
            retained=record.retained if retained is None else retained,
            erased_first=first if is_erasure and was_complete else record.erased_first,
        ),
    )


async def mark_complete_from(connection: NatsConnection, first: int) -> None:
    """State in the metadata of EVENTS from which sequence on it is complete. From then on every
    reader takes the journal as trimmed; `record_removal` comes before.

    Raises:
        AppendRejected: there is no stream EVENTS, or the server rejects its metadata.
        Unavailable, OutcomeUnknown: the server does not answer.
    """
    await write_metadata(connection, {stream_reads.COMPLETE_FROM_METADATA: str(first)})


async def find_recorded_losses(connection: NatsConnection) -> tuple[JournalAndRecords, list[str]]:
    """The journal, and what is missing of it by the records. Raises Unavailable."""
    journal = await read_journal(connection)
    return journal, await _find_recorded_losses(connection, journal)


async def _find_recorded_losses(
    connection: NatsConnection, journal: JournalAndRecords
) -> list[str]:
    event_ids = {}
    if journal.extent is not None and journal.mark is not None:
        sequence = journal.mark.sequence
        event_ids[sequence] = await read_event_id(connection, sequence)
    return find_losses(journal, None, event_ids)


async def _require_extent(connection: NatsConnection) -> JournalExtent:
    extent = await read_extent(connection)
    if extent is None:
        raise Unavailable("the stream EVENTS was deleted meanwhile")
    return extent


async def _write_record(connection: NatsConnection, record: IncarnationRecord) -> None:
    await journal_store(connection).put(INCARNATION_KEY, CODEC.encode(record))
