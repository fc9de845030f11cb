"""Archives a journal: copies old events to files, proves the copy, and removes them.

The order of the steps makes each of them safe to repeat, so a killed process is simply run again:

1. Find the horizon, and copy everything before it that is not archived yet.
2. Write the baselines: checkpoints of all views that cover the events before the horizon.
3. Verify the archive together with the journal. A difference ends the work, with nothing removed.
4. Record the removal for the guards, then state in the metadata of EVENTS that the journal is
   complete from the horizon on. From here on clients with earlier ids are reset.
5. Remove the events before the horizon that `retention` does not keep, in order.

Start at `Archiver.run`.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from tapewire.archive.archived_log import ArchivedLog, recorded_removals
from tapewire.archive.baselines import BaselineWriter
from tapewire.archive.files import SEGMENT_EVENTS, ArchiveError, ArchiveWriter, open_archive
from tapewire.archive.horizon import Horizon, find_horizon
from tapewire.archive.retention import RetentionPlan
from tapewire.log import (
    AppendRejected,
    EventLog,
    LatestValueStore,
    OutcomeUnknown,
    RecordedEvent,
    Unavailable,
    pattern,
)
from tapewire.log.bounds import Bounds
from tapewire.log.checkpoint_checks import CheckpointCheck
from tapewire.log.jetstream import (
    JetStreamEventLog,
    JetStreamLatestValueStore,
    NatsConnection,
    NotPermitted,
)
from tapewire.log.jetstream.failed_events import JetStreamFailedEventStore
from tapewire.log.jetstream.journal_admin import (
    find_recorded_losses,
    mark_complete_from,
    record_removal,
)
from tapewire.log.jetstream.journal_removal import purge_before, remove_events
from tapewire.log.jetstream.streams import VIEWS
from tapewire.log.page_reader import read_pages
from tapewire.log.work_progress import OnProgress, WorkProgress
from tapewire.verify import VerificationDifference, VerificationSummary, verify

REMOVALS_PER_STEP = 5_000
"""Removals between two reports of progress."""
MAX_ATTEMPTS = 5
RETRY_SECONDS = 3.0


class ArchiveReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was archived. The journal is complete from `horizon` on and keeps `retained` earlier
    events; `archived` and `removed` count what this run copied and removed. `held_back_by` says who
    still needs the event at the horizon, if it is lower than asked for."""

    horizon: int
    held_back_by: str | None
    archived: int
    archive_bytes: int
    baselines: int
    removed: int
    retained: int
    bytes_before: int
    bytes_after: int
    verification: VerificationSummary | None
    seconds: float


class DifferencesFound(Exception):
    """The archive and the journal together have differences. Nothing was removed."""


class Archiver:
    """Archives the journal of `connection` into `folder`.

    Args:
        checkpoint_checks: how to verify the states of the services.
        subscription_filters: the filter of each catch-up subscription, by its name.
        min_age_seconds: the age that every archived event has at least.
        on_progress: called for each step, and while it takes long.
        on_difference: receives the differences that keep events from being removed.
    """

    def __init__(
        self,
        connection: NatsConnection,
        folder: Path,
        *,
        checkpoint_checks: Iterable[CheckpointCheck],
        subscription_filters: Mapping[str, str],
        min_age_seconds: float,
        on_progress: OnProgress,
        on_difference: Callable[[VerificationDifference], None],
    ) -> None:
        self._connection = connection
        self._folder = folder
        self._log: EventLog = JetStreamEventLog(connection)
        self._store: LatestValueStore = JetStreamLatestValueStore(
            connection, stream=VIEWS, prefix="view"
        )
        self._checks = tuple(checkpoint_checks)
        self._subscription_filters = subscription_filters
        self._min_age_seconds = min_age_seconds
        self._on_progress = on_progress
        self._on_difference = on_difference
        self._archived = self._baselines = self._removed = 0

    async def run(self, before: datetime | int) -> ArchiveReport:
        """Archive the events before a time, or before a sequence. While the journal is away, try
        again.

        Raises:
            DifferencesFound: the journal or a checkpoint is not what it should be.
            ArchiveError, OSError: the folder cannot be used.
            AppendRejected: the journal has lost events, or the server refuses a change.
            Unavailable, OutcomeUnknown: the journal stays away; run it again.
        """
        for _ in range(MAX_ATTEMPTS - 1):
            try:
                return await self._run_once(before)
            except NotPermitted:
                raise
            except (Unavailable, OutcomeUnknown) as error:
                self._on_progress(WorkProgress("waiting", note=str(error)))
                await asyncio.sleep(RETRY_SECONDS)
        return await self._run_once(before)

    async def _run_once(self, before: datetime | int) -> ArchiveReport:
        started_at = time.perf_counter()
        writer, byte_count = ArchiveWriter(self._folder), await self._check_journal()
        bounds = await self._log.bounds()
        horizon = await self._find_horizon(before, bounds)
        plan = RetentionPlan(await self._failed_sequences())
        baselines = BaselineWriter(self._log, self._store)
        self._archived += await self._copy(writer, bounds, horizon.sequence, plan, baselines)
        summary = None
        if horizon.sequence > bounds.first:
            self._baselines += await baselines.write(horizon.sequence - 1, self._on_progress)
            summary = await self._verify()
        retained = plan.retained()
        await record_removal(
            self._connection, first=horizon.sequence, removed=0, retained=len(retained)
        )
        await mark_complete_from(self._connection, horizon.sequence)
        self._removed += await self._remove(plan.removable(), retained, horizon.sequence)
        return ArchiveReport(
            horizon=horizon.sequence,
            held_back_by=horizon.held_back_by,
            archived=self._archived,
            archive_bytes=writer.byte_count,
            baselines=self._baselines,
            removed=self._removed,
            retained=len(retained),
            bytes_before=byte_count,
            bytes_after=await self._check_journal(),
            verification=summary,
            seconds=time.perf_counter() - started_at,
        )

    async def _check_journal(self) -> int:
        """The bytes of the journal. Raises AppendRejected if it has lost events."""
        journal, losses = await find_recorded_losses(self._connection)
        if losses or journal.extent is None:
            raise AppendRejected(f"the journal has lost events: {'; '.join(losses)}")
        return journal.extent.byte_count

    async def _find_horizon(self, before: datetime | int, bounds: Bounds) -> Horizon:
        horizon = await find_horizon(
            self._connection,
            self._log,
            self._store,
            before,
            min_age_seconds=self._min_age_seconds,
            subscription_filters=self._subscription_filters,
        )
        if horizon.sequence < bounds.first:  # an earlier removal is completed
            return msgspec.structs.replace(horizon, sequence=bounds.first)
        return horizon

    async def _failed_sequences(self) -> set[int]:
        """The events that durable subscriptions will try again, or that are parked."""
        stored = await JetStreamFailedEventStore(self._connection).get_all()
        return {one.event.sequence for one in stored}

    async def _copy(
        self,
        writer: ArchiveWriter,
        bounds: Bounds,
        horizon: int,
        plan: RetentionPlan,
        baselines: BaselineWriter,
    ) -> int:
        """Read all events before the horizon, and add those to the archive that it lacks; how many
        these were."""
        start = self._check_folder(writer, bounds)
        archived, pending = 0, list[RecordedEvent]()
        async for events in read_pages(self._log, pattern(), after=0, up_to=horizon - 1):
            for recorded in events:
                plan.apply(recorded)
                baselines.apply(recorded)
            pending += [recorded for recorded in events if recorded.sequence >= start]
            while len(pending) >= SEGMENT_EVENTS:
                segment, pending = pending[:SEGMENT_EVENTS], pending[SEGMENT_EVENTS:]
                writer.add(bounds.epoch, start, segment[-1].sequence, segment)
                start, archived = segment[-1].sequence + 1, archived + len(segment)
                self._on_progress(WorkProgress("copying", start - 1, horizon - 1, "events"))
        if start < horizon:
            writer.add(bounds.epoch, start, horizon - 1, pending)
            archived += len(pending)
        return archived

    def _check_folder(self, writer: ArchiveWriter, bounds: Bounds) -> int:
        """The first sequence that the archive lacks. Raises ArchiveError if the archive belongs to
        another journal, or cannot be continued."""
        if writer.last is None:
            return bounds.first
        if not bounds.includes(writer.epoch or "", writer.last):
            raise ArchiveError(
                f"{self._folder} has the archive of another journal, {writer.epoch}: use another "
                "folder"
            )
        if writer.last + 1 < bounds.first:
            raise ArchiveError(
                f"{self._folder} ends at {writer.last}, but the journal begins at {bounds.first}: "
                "what is between them was archived elsewhere; use that folder, or a new one"
            )
        return writer.last + 1

    async def _verify(self) -> VerificationSummary:
        archive = open_archive(self._folder)
        journal, _ = await find_recorded_losses(self._connection)
        summary = await verify(
            ArchivedLog(self._log, archive),
            self._store,
            self._on_difference,
            checkpoint_checks=self._checks,
            removals=recorded_removals(journal.record, archive),
            on_progress=self._on_progress,
        )
        if summary.differences:
            raise DifferencesFound(f"{summary.differences:,} differences: nothing was removed")
        return summary

    async def _remove(self, removable: list[int], retained: list[int], horizon: int) -> int:
        """Remove events in order: the last event of an entity, by which a repeated run knows that
        it is finished, goes last."""
        first_kept = retained[0] if retained else horizon
        removed = 0
        if removable and removable[0] < first_kept:
            removed = await purge_before(self._connection, first_kept)
        left = [sequence for sequence in removable if sequence > first_kept]
        for start in range(0, len(left), REMOVALS_PER_STEP):
            removed += await remove_events(
                self._connection, left[start : start + REMOVALS_PER_STEP]
            )
            self._on_progress(WorkProgress("removing", removed, len(removable), "events"))
        return removed
