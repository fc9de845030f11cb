"""The index of failed events finds what is due, whatever was stored in which order."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from tapewire.log.failed_event_index import FailedEventIndex
from tapewire.log.failed_event_store import FailedEvent, StoredFailedEvent

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


def stored(
    sequence: int, revision: int, due_seconds: float | None = 0, subject: str = "ev.alice.orders.1"
) -> StoredFailedEvent:
    due_at = None if due_seconds is None else NOW + timedelta(seconds=due_seconds)
    event = FailedEvent(
        subscription="positions",
        sequence=sequence,
        subject=subject,
        tag="test",
        event_id=f"e-{sequence}",
        attempts=1,
        error="RuntimeError",
        failed_at=NOW,
        next_attempt_at=due_at,
    )
    return StoredFailedEvent(event, revision)


@pytest.mark.parametrize("in_order", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_it_agrees_with_a_look_at_every_event(seed: int, in_order: bool) -> None:
    rng, index = random.Random(seed), FailedEventIndex(in_order=in_order)
    known: dict[int, StoredFailedEvent] = {}
    for revision in range(1, 400):
        sequence = rng.randrange(30)
        if rng.random() < 0.3:
            index.remove(sequence, revision)
            known.pop(sequence, None)
        else:
            due_seconds = rng.choice([None, rng.uniform(-50, 50)])
            one = stored(sequence, revision, due_seconds, f"ev.alice.orders.{sequence % 4}")
            index.put(one)
            known[sequence] = one
        triable = [known[key] for key in sorted(known)]
        if in_order:
            subjects: dict[str, StoredFailedEvent] = {}
            for one in triable:
                subjects.setdefault(one.event.subject, one)
            triable = list(subjects.values())
        times = {one: one.event.next_attempt_at for one in triable}
        due = [(at, one.event.sequence) for one, at in times.items() if at is not None]
        assert index.next_due_at() == min(due, default=(None, 0))[0]
        first = index.first_due(NOW)
        expected = min((pair for pair in due if pair[0] <= NOW), default=None)
        assert (first and first.event.sequence) == (expected and expected[1])
        assert index.parked_count == sum(one.event.is_parked for one in known.values())
        assert len(index) == len(known)


def test_an_older_version_replaces_no_newer_one() -> None:
    """A lagging replica answers with what was changed since."""
    index = FailedEventIndex()
    index.put(stored(1, 5, None))
    index.put(stored(1, 4, 0))
    index.remove(1, 4)
    assert (index.first_due(NOW), index.parked_count) == (None, 1)
    index.remove(1, 6)
    assert len(index) == 0


def test_a_postponed_event_is_due_later() -> None:
    index = FailedEventIndex(in_order=True)
    index.put(stored(1, 1, 0))
    first = index.first_due(NOW)
    assert first is not None
    index.postpone(first, NOW + timedelta(seconds=5))
    assert index.first_due(NOW) is None
    assert index.next_due_at() == NOW + timedelta(seconds=5)
