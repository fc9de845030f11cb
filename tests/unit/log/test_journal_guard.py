"""Whether this process may use the journal: events that arrive during the check are no loss."""

import pytest

from tapewire.log import Bounds
from tapewire.log.jetstream import NatsConnection, journal_guard
from tapewire.log.jetstream.journal_guard import JournalGuard
from tapewire.log.jetstream.journal_record import (
    IncarnationRecord,
    JournalAndRecords,
    JournalExtent,
)

CREATED = "2026-03-02T14:30:00Z"


def journal_up_to(last: int) -> JournalAndRecords:
    extent = JournalExtent(
        bounds=Bounds("e1", 1, last),
        created=CREATED,
        event_count=last,
        gap_count=0,
        byte_count=last,
        max_bytes=-1,
    )
    record = IncarnationRecord(epoch="e1", created=CREATED)
    return JournalAndRecords(extent=extent, record=record, mark=None, loss=None)


async def test_events_that_arrive_while_the_journal_is_read_are_no_loss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under load, many events arrive between the server's answer and its evaluation."""
    guard = JournalGuard(NatsConnection(), "test")

    async def read_journal(_: NatsConnection) -> JournalAndRecords:
        found = journal_up_to(100)
        guard.observe(147, "event-147")
        return found

    async def read_event_id(_: NatsConnection, sequence: int) -> str | None:
        return f"event-{sequence}" if sequence <= 147 else None

    async def report(*_: object) -> None:
        return

    monkeypatch.setattr(journal_guard, "read_journal", read_journal)
    monkeypatch.setattr(journal_guard, "read_event_id", read_event_id)
    monkeypatch.setattr(guard, "_report", report)
    guard.observe(100, "event-100")
    assert await guard.check() is None
    assert "147 was seen by this process" in str(await guard.check()), "a loss is still noticed"
