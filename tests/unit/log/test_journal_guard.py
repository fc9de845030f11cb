"""Whether this process may use the journal: events that arrive during the check are no loss."""

import pytest

from tapewire.log import Bounds, Unavailable
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


def bounds(last: int, epoch: str = "e1", *earlier: tuple[str, int]) -> Bounds:
    return Bounds(epoch, 1, last, earlier)


async def checked_guard(monkeypatch: pytest.MonkeyPatch, seen: int) -> JournalGuard:
    """A guard that knows the epoch and has seen the journal up to `seen`."""
    guard = JournalGuard(NatsConnection(), "test")

    async def read_journal(_: NatsConnection) -> JournalAndRecords:
        return journal_up_to(seen)

    monkeypatch.setattr(journal_guard, "read_journal", read_journal)
    assert await guard.check() is None
    guard.observe(seen, f"event-{seen}")
    return guard


@pytest.mark.parametrize(
    "stale", [bounds(99), bounds(0), bounds(99, "e2", ("e1", 98))], ids=["behind", "empty", "new"]
)
async def test_an_answer_that_ends_before_what_was_seen_is_that_of_a_deposed_leader(
    monkeypatch: pytest.MonkeyPatch, stale: Bounds
) -> None:
    """The regression: the edge took the log for a new one, and reset every client."""
    guard = await checked_guard(monkeypatch, 100)
    with pytest.raises(Unavailable, match="it no longer leads the stream"):
        guard.reject_stale(stale, guard.seen_sequence)


@pytest.mark.parametrize(
    "found",
    [bounds(100), bounds(101), bounds(3, "e9"), bounds(100, "e2", ("e1", 100))],
    ids=["same", "later", "another incarnation", "next epoch"],
)
async def test_other_answers_are_accepted(monkeypatch: pytest.MonkeyPatch, found: Bounds) -> None:
    guard = await checked_guard(monkeypatch, 100)
    guard.reject_stale(found, guard.seen_sequence)


async def test_events_seen_after_the_question_make_no_answer_stale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guard = await checked_guard(monkeypatch, 100)
    asked_at = guard.seen_sequence
    guard.observe(120, "event-120")
    guard.reject_stale(bounds(100), asked_at)
