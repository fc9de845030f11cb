"""The events of an erased user are no differences, whether they are gone or not; others are."""

from typing import Any

import pytest

from tapewire.events import CODEC
from tapewire.log import Bounds, Page, RecordedEvent
from tapewire.log.erasures import make_erasure, make_erasure_drafts
from tapewire.log.memory import MemoryEventLog, MemoryServer
from tapewire.verify import RecordedRemovals, VerificationDifference, VerificationSummary, verify
from tapewire.views import OrdersView
from tests.harness.erasures import ERASED_AT, append_erasure
from tests.unit.verify.tampered_log import TamperedLog

pytestmark = pytest.mark.virtual_time

ERASED = "user-0"


class ShorterLog(MemoryEventLog):
    """A log without the events at `removed`."""

    def __init__(self, server: MemoryServer, removed: set[int]) -> None:
        super().__init__(server)
        self._removed = removed

    async def page(self, filter: str, **how: Any) -> Page:  # noqa: A002
        page = await super().page(filter, **how)
        left = [one for one in page.events if one.sequence not in self._removed]
        return Page(left, page.remaining)

    async def bounds(self) -> Bounds:
        found = await super().bounds()
        first = next(n for n in range(found.first, found.last + 1) if n not in self._removed)
        return Bounds(found.epoch, first, found.last)


def events_of(day: TamperedLog, user: str) -> list[RecordedEvent]:
    return [one for one in day.events if one.event_subject.owner == user]


async def verify_without(
    day: TamperedLog, removed: set[int], removals: RecordedRemovals
) -> tuple[list[VerificationDifference], VerificationSummary]:
    found: list[VerificationDifference] = []
    log = ShorterLog(day.server, removed)
    summary = await verify(log, day.values, found.append, removals=removals)
    return found, summary


async def erase_from_day() -> tuple[TamperedLog, list[int]]:
    """A day after the erasure of a user, and the sequences of that user's events."""
    day = await TamperedLog().write_events()
    await append_erasure(day.log, ERASED)
    return day, [one.sequence for one in events_of(day, ERASED)]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
async def test_an_erased_user_is_no_difference_however_much_is_left(share: float) -> None:
    day, sequences = await erase_from_day()
    removed = set(sequences[: int(len(sequences) * share)])
    assert len(sequences) > 50
    found, summary = await verify_without(
        day, removed, RecordedRemovals(count=len(removed), erased_first=1 + len(removed))
    )
    assert found == []
    assert (summary.missing, summary.erasures) == (len(removed), 1)
    assert summary.entities["orders"] > 10


async def test_an_event_that_is_missing_beside_those_of_an_erased_user_is_a_difference() -> None:
    day, sequences = await erase_from_day()
    lost = [one.sequence for one in events_of(day, "user-1")][1]
    first = next(n for n in range(1, 10**6) if n not in sequences)
    later = [sequence for sequence in sequences if sequence > first]
    assert first < lost
    found, _ = await verify_without(
        day, {*sequences, lost}, RecordedRemovals(count=len(later), erased_first=first)
    )
    assert any(f"{lost} are not in the log" in one.what for one in found), (lost, found)


async def test_events_that_are_missing_without_an_erasure_are_differences() -> None:
    day = await TamperedLog().write_events()
    found, summary = await verify_without(day, {11, 12}, RecordedRemovals())
    assert str(found[0]) == "- log - @11: 11 to 12 are not in the log"
    assert (summary.missing, summary.erasures) == (2, 0)


async def test_a_fault_of_another_user_is_found_after_an_erasure() -> None:
    day, _ = await erase_from_day()
    filled = day.find_sequence("order.filled")
    day.alter_fields(filled, price=lambda price: price + 1)
    found, _ = await verify_without(day, set(), RecordedRemovals())
    owner = day.events[filled - 1].event_subject.owner
    assert {one.owner for one in found} == ({owner} if owner != ERASED else set())


async def test_events_after_the_erasure_are_verified() -> None:
    day, _ = await erase_from_day()
    last_order = next(
        one for one in reversed(events_of(day, ERASED)) if one.event_subject.domain == "orders"
    )
    day.append_copy(last_order.sequence)
    found, _ = await verify_without(day, set(), RecordedRemovals())
    assert {one.owner for one in found} == {ERASED}
    assert {one.sequence for one in found} == {day.events[-1].sequence}


async def test_a_checkpoint_from_before_the_erasure_is_not_compared() -> None:
    day = await TamperedLog().write_events()
    for user in (ERASED, "user-1"):
        await day.save_view_checkpoint(OrdersView, user)
    await append_erasure(day.log, ERASED)
    found, summary = await verify_without(day, set(), RecordedRemovals())
    assert found == []
    assert summary.passed_over == {"from before the erasure of a user": 1}
    assert summary.views == 1


def test_an_erasure_names_nobody() -> None:
    erasure = make_erasure("receipt", "alice", ERASED_AT)
    drafts = make_erasure_drafts(erasure)
    assert erasure.concerns("alice")
    assert not erasure.concerns("alicf")
    for draft in drafts:
        stored = str(draft.subject) + str(draft.metadata) + CODEC.encode(draft.event).decode()
        assert "alice" not in stored
    assert make_erasure("receipt", "alice", ERASED_AT).digest != erasure.digest
