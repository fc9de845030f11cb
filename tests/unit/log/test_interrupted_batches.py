"""A batch that was stored in part is found and completed, once, as if it had been stored whole."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tapewire import archive
from tapewire.archive.files import ArchiveWriter
from tapewire.cli.journal.repair import load_find_missing
from tapewire.events import CODEC, AlertRaised, NotificationsRead, PositionClosed
from tapewire.log import (
    BatchPart,
    EventDraft,
    EventMetadata,
    EventSubject,
    RecordedEvent,
    Unavailable,
)
from tapewire.log.interrupted_batches import (
    BatchCompletion,
    CompletionState,
    complete_batch,
    find_interrupted_batches,
)
from tapewire.log.memory import MemoryEventLog, MemoryLatestValueStore, MemoryServer
from tests.harness.interrupted_decisions import DECISIONS, DecisionCase
from tests.harness.recorded_log import read_events
from tests.harness.verification import find_differences

CUTS = [
    pytest.param(case, cut, id=f"{name}, after {cut}")
    for name, case in DECISIONS.items()
    for cut in range(1, len(case.tags))
]


class InterruptingLog(MemoryEventLog):
    """Stores the first `cut` events of the next append of several, as a full server may do."""

    def __init__(self) -> None:
        self.server = MemoryServer()
        self.store = MemoryLatestValueStore(self.server, stream="VIEWS", prefix="view")
        self.cut = 0
        super().__init__(self.server)

    async def append(self, drafts: Sequence[EventDraft]) -> int:
        cut, self.cut = self.cut, 0
        if not cut or len(drafts) < 2:
            self.cut = cut
            return await super().append(drafts)
        for number, draft in enumerate(drafts[:cut], 1):
            await super().append([draft])
            self.server.journal._events[-1].batch = BatchPart("half", number, is_last=False)
        raise Unavailable("insufficient resources")

    async def repair(self, **options: Any) -> list[BatchCompletion]:
        find_missing = load_find_missing()
        return [
            await complete_batch(self, last, find_missing, **options)
            async for last in find_interrupted_batches(self)
        ]

    async def add_foreign_event(self) -> None:
        """Append an event of somebody else."""
        event = NotificationsRead(ids=None, timestamp=datetime.now(UTC), command_id="c")
        subject = EventSubject("bob", "notifications", "all")
        metadata = EventMetadata(id="foreign", correlation="c")
        await super().append([EventDraft(subject=subject, event=event, metadata=metadata)])


async def interrupt(case: DecisionCase, cut: int) -> InterruptingLog:
    """A log in which only the first `cut` events of the last command are stored."""
    log = InterruptingLog()
    await case.decide_earlier(log)
    log.cut = cut
    with pytest.raises(Unavailable):
        await case.decide_last(log)
    return log


def comparable(recorded: RecordedEvent) -> tuple[object, ...]:
    event = recorded.event
    if isinstance(event, AlertRaised):  # its text is not stored anywhere else
        return recorded.subject, recorded.metadata, event.alert_id, event.level, event.timestamp
    return recorded.subject, recorded.metadata, recorded.tag, recorded.data


@pytest.mark.parametrize(("case", "cut"), CUTS)
async def test_the_repaired_log_has_the_events_of_an_uninterrupted_one(
    case: DecisionCase, cut: int
) -> None:
    whole = InterruptingLog()
    await case.decide_earlier(whole)
    await case.decide_last(whole)
    log = await interrupt(case, cut)
    [completion] = await log.repair()
    assert completion.state is CompletionState.APPENDED
    assert completion.missing == [*case.tags[cut:]]
    assert (completion.batch, completion.appended_at) == ("half", log.server.journal.last)
    repaired, expected = await read_events(log), await read_events(whole)
    assert [comparable(each) for each in repaired] == [comparable(each) for each in expected]


@pytest.mark.parametrize(("case", "cut"), CUTS)
async def test_a_repair_is_done_once_and_a_dry_run_appends_nothing(
    case: DecisionCase, cut: int
) -> None:
    log = await interrupt(case, cut)
    await log.add_foreign_event()
    last = log.server.journal.last
    [planned] = await log.repair(dry_run=True)
    assert (planned.state, planned.missing) == (CompletionState.MISSING, [*case.tags[cut:]])
    assert log.server.journal.last == last
    await log.repair()
    count = log.server.journal.last
    assert count == last + len(case.tags) - cut
    [again] = await log.repair()
    assert (again.state, again.appended_at) == (CompletionState.REPAIRED, count)
    assert log.server.journal.last == count


@pytest.mark.parametrize("name", [name for name, case in DECISIONS.items() if len(case.tags) == 2])
async def test_verification_names_what_is_missing_until_it_is_repaired(name: str) -> None:
    case = DECISIONS[name]
    log = await interrupt(case, 1)
    await log.add_foreign_event()
    [text], summary = await find_differences(log, log.store)
    assert "atomic batch half was stored in part" in text
    assert (summary.differences, summary.repaired) == (1, {})
    await log.repair()
    differences, summary = await find_differences(log, log.store)
    assert differences == []
    assert sum(summary.repaired.values()) == 1


async def test_an_archive_of_a_repaired_log_is_verified_as_the_log_is(tmp_path: Path) -> None:
    log = await interrupt(DECISIONS["a fill and its trade"], 1)
    await log.add_foreign_event()
    await log.repair()
    events = await read_events(log)
    ArchiveWriter(tmp_path).add("e1", 1, events[-1].sequence, events)
    log.server.journal._events[:] = archive.read(tmp_path)
    differences, summary = await find_differences(log, log.store)
    assert (differences, summary.repaired) == ([], {"trades": 1})


async def test_a_batch_that_is_cut_between_two_appends_lacks_nothing() -> None:
    case = DECISIONS["a fill and its trade"]
    log = InterruptingLog()
    await case.decide_earlier(log)
    log.server.journal._events[-1].batch = BatchPart("group", 2, is_last=False)
    [completion] = await log.repair()
    assert completion.state is CompletionState.COMPLETE
    assert (await find_differences(log, log.store))[0] == []


async def test_an_entity_that_has_changed_since_is_not_completed_but_named() -> None:
    case = DECISIONS["a stop-loss that completes its strategy"]
    log = await interrupt(case, 1)
    [traded] = await log.last_events([str(case.subject)])
    metadata = EventMetadata(id="later", correlation="c")
    draft = EventDraft(subject=case.subject, event=traded.event, metadata=metadata)
    await MemoryEventLog.append(log, [draft])
    [completion] = await log.repair()
    assert completion.state is CompletionState.IMPOSSIBLE
    assert "has changed since" in (completion.reason or "")


async def test_a_position_that_may_lack_its_other_side_is_named() -> None:
    log = InterruptingLog()
    position = {"symbol": "IBM", "quantity": 0, "costBasis": 0, "entryPrice": None,
                "realizedPnl": 1, "fees": 0, "timestamp": "2026-01-05T12:00:00Z"}  # fmt: skip
    body = {"position": position, "tradeId": "t-1", "tradeSequence": 1, "realized": 1}
    closed = CODEC.decode(CODEC.encode(body), PositionClosed)
    subject = EventSubject("alice", "positions", "IBM")
    metadata = EventMetadata(id="t.1.0", correlation="c")
    await log.append([EventDraft(subject=subject, event=closed, metadata=metadata)])
    log.server.journal._events[-1].batch = BatchPart("half", 1, is_last=False)
    [completion] = await log.repair()
    assert completion.state is CompletionState.IMPOSSIBLE
    assert "t-1 went through zero" in (completion.reason or "")


async def test_whole_batches_are_not_interrupted() -> None:
    log = InterruptingLog()
    case = DECISIONS["a fill and its trade"]
    await case.decide_earlier(log)
    await case.decide_last(log)
    assert await log.repair() == []
