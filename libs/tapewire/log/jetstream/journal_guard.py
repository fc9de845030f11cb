"""The guard of one process against a journal that lost events.

A process remembers the last event that it saw. At its start, after each reconnect and every few
seconds the guard compares this, and what is recorded outside the journal, with the journal. After a
reconnect nothing is read or written before the comparison. Losses that only this process can
know of are reported to all others through the bucket `journal`. Start at `JournalGuard.check`.
"""

import asyncio
import contextlib
from datetime import UTC, datetime

import msgspec
import structlog

from tapewire.events import CODEC
from tapewire.log.bounds import Bounds
from tapewire.log.jetstream.connection import NatsConnection
from tapewire.log.jetstream.journal_record import (
    LOSS_KEY,
    MARK_KEY,
    HighWaterMark,
    JournalAndRecords,
    LossReport,
    all_epochs,
    find_losses,
    journal_store,
    read_event_id,
    read_journal,
)
from tapewire.log.ports import LogError, Unavailable

WARNING_USAGE = 0.8
REFUSAL_USAGE = 0.95
"""The shares of the journal's limit from which on services warn, and refuse to add exposure. What
is left is for cancels, closing orders and fills."""
FULL_USAGE = 0.999
VERIFICATION_TIMEOUT_SECONDS = 5.0
"""How long a request to the log waits for the verification after a reconnect."""

logger = structlog.get_logger("tapewire.journal")


class JournalGuard:
    """Knows how far this process has seen the journal, and whether it may be used."""

    def __init__(self, connection: NatsConnection, instance: str) -> None:
        self._connection = connection
        self._instance = instance
        self._store = journal_store(connection)
        self._seen_sequence = 0
        self._seen_event_id = ""
        self._epoch = ""
        self._held_epoch = ""
        self._failed_check: str | None = None
        self._verified = asyncio.Event()
        self.journal: JournalAndRecords | None = None
        """The journal at the last check."""
        self.hold_reason: str | None = None
        """Why the journal must not be used."""

    def observe(self, sequence: int, event_id: str) -> None:
        """Remember that the journal holds this event."""
        if sequence > self._seen_sequence:
            self._seen_sequence, self._seen_event_id = sequence, event_id

    @property
    def seen_sequence(self) -> int:
        """The last sequence that this process has seen, 0 for none."""
        return self._seen_sequence

    def reject_stale(self, bounds: Bounds, seen_sequence: int) -> None:
        """Raise Unavailable if `bounds` end before `seen_sequence`, which this process had seen
        when it asked for them. A server that no longer leads the stream, and has not noticed yet,
        answers like that. Whether events are lost is for `check` to find.
        """
        if bounds.last < seen_sequence and self._epoch in all_epochs(bounds):
            raise Unavailable(
                f"a server answered that the journal ends at {bounds.last}, but {seen_sequence} "
                "was seen: it no longer leads the stream"
            )

    def suspend(self) -> None:
        """Let nothing use the journal until the next successful check."""
        self._verified.clear()

    async def wait_verified(self) -> None:
        """Return once the journal may be used. Raises Unavailable if that takes too long."""
        if self._verified.is_set():
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(VERIFICATION_TIMEOUT_SECONDS):
                await self._verified.wait()
        if not self._verified.is_set():
            raise Unavailable(self.hold_reason or "the journal is not verified yet")

    async def check(self) -> str | None:
        """Compare the journal with what is known of it; why it must not be used, or None.

        Raises:
            Unavailable, OutcomeUnknown: the journal or the records cannot be read now.
        """
        # Events that arrive while the journal is read may be later than what is read.
        before = self._last_seen()
        journal = await read_journal(self._connection)
        self._adopt_accepted_incarnation(journal)
        seen = None
        if before is not None and self._seen_sequence >= before.sequence:
            seen = msgspec.structs.replace(before, epoch=self._epoch)
        marks = [mark for mark in (journal.mark, seen) if mark is not None]
        event_ids = {}
        if journal.extent is not None:
            event_ids = {
                mark.sequence: await read_event_id(self._connection, mark.sequence)
                for mark in marks
            }
        losses = find_losses(journal, seen, event_ids)
        is_confirmed = self.hold_reason is not None
        self.journal, self._failed_check = journal, None
        self.hold_reason = "; ".join(losses) or None
        if self.hold_reason is None:
            self._verified.set()
        else:
            self._verified.clear()
            self._held_epoch = journal.record.epoch if journal.record is not None else ""
            if is_confirmed and journal.extent is not None and journal.loss is None:
                await self._report(losses, journal)
        return self.hold_reason

    @property
    def usage(self) -> float:
        """The share of the journal's limit that is used, 0 to 1; 0 without a limit."""
        extent = None if self.journal is None else self.journal.extent
        if extent is None or extent.max_bytes <= 0:
            return 0.0
        return extent.byte_count / extent.max_bytes

    def find_capacity_warning(self) -> str | None:
        """What operators must know of the journal's size, from 80 % of its limit on. The text
        changes with each threshold only, since every change is reported."""
        if self.usage < WARNING_USAGE:
            return None
        if self.is_nearly_full:
            return f"the journal is {REFUSAL_USAGE:.0%} full: orders that add exposure are refused"
        return f"the journal is {WARNING_USAGE:.0%} full: see `tapewire journal status`"

    def find_problem(self) -> str | None:
        """Why the journal cannot be used now: it is full, or JetStream does not answer."""
        if self._failed_check is not None:
            return f"the journal does not answer: {self._failed_check}"
        return "the journal is full: nothing can be stored" if self.usage >= FULL_USAGE else None

    def note_failed_check(self, error: str) -> None:
        """The last check found no answer."""
        self._failed_check = error

    @property
    def is_nearly_full(self) -> bool:
        """Whether commands that add exposure must be refused."""
        return self.usage >= REFUSAL_USAGE

    async def write_mark(self) -> None:
        """Record how far the journal has got, if this process has seen more than is recorded.
        Raises LogError."""
        seen = self._last_seen()
        mark = None if self.journal is None else self.journal.mark
        if seen is None or (mark is not None and mark.sequence >= seen.sequence):
            return
        if not self._verified.is_set():
            return
        await self._store.put(MARK_KEY, CODEC.encode(seen))

    def _last_seen(self) -> HighWaterMark | None:
        if not self._seen_sequence:
            return None
        return HighWaterMark(
            epoch=self._epoch,
            sequence=self._seen_sequence,
            event_id=self._seen_event_id,
            recorded_at=datetime.now(UTC),
        )

    def _adopt_accepted_incarnation(self, journal: JournalAndRecords) -> None:
        """Take over another epoch: that of a journal whose loss an operator has accepted, which
        also makes this process forget what it has seen, or that of a continued journal."""
        record, extent = journal.record, journal.extent
        if record is None or record.epoch == self._epoch:
            return
        is_accepted = self._epoch in record.replaced or (
            self.hold_reason is not None
            and bool(record.replaced)
            and record.epoch != self._held_epoch
        )
        if is_accepted:
            self._seen_sequence, self._seen_event_id = 0, ""
        is_continued = extent is not None and self._epoch in all_epochs(extent.bounds)
        if is_accepted or is_continued or not self._epoch:
            self._epoch = record.epoch

    async def _report(self, losses: list[str], journal: JournalAndRecords) -> None:
        """Tell all other processes of losses that the records do not show."""
        known = find_losses(journal, None, {})
        own = [loss for loss in losses if loss not in known]
        if not own:
            return
        report = LossReport(
            reason="; ".join(own), reported_by=self._instance, reported_at=datetime.now(UTC)
        )
        try:
            await self._store.put(LOSS_KEY, CODEC.encode(report))
        except LogError as error:
            logger.warning("journal.loss_report_failed", error=str(error))
