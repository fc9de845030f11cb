"""Concurrent appends are combined into batches, and each caller gets its own result."""

import asyncio
from collections.abc import Sequence

import pytest

from tapewire.events import OrderPlaced
from tapewire.log import (
    AppendRejected,
    Conflict,
    EventDraft,
    EventMetadata,
    EventSubject,
    LogError,
    OutcomeUnknown,
)
from tapewire.log.group_commit import MAX_GROUP_EVENTS, GroupCommitLog
from tapewire.log.memory import MemoryEventLog, MemoryServer
from tests.harness.order_builders import USER, open_order

pytestmark = pytest.mark.virtual_time


class SlowLog(MemoryEventLog):
    """A log whose appends take a second each. It records the number of events of each append."""

    def __init__(self) -> None:
        super().__init__(MemoryServer())
        self.append_sizes: list[int] = []
        self.next_error: LogError | None = None

    async def append(self, drafts: Sequence[EventDraft]) -> int:
        self.append_sizes.append(len(drafts))
        await asyncio.sleep(1)
        if self.next_error is not None:
            raise self.next_error
        return await super().append(drafts)


def make_pair(name: str, *, expected_sequence: int = 0) -> list[EventDraft]:
    """Two drafts of different domains, like a fill and its trade."""
    event = OrderPlaced(order=open_order().order, command_id=name)
    return [
        EventDraft(
            subject=EventSubject(USER, domain, name),
            event=event,
            metadata=EventMetadata(id=f"{name}.{domain}", correlation="c"),
            expected_sequence=expected_sequence if domain == "orders" else None,
        )
        for domain in ("orders", "trades")
    ]


async def test_appends_during_a_batch_are_combined_into_the_next_batch() -> None:
    log = SlowLog()
    grouped = GroupCommitLog(log)
    lasts = await asyncio.gather(*(grouped.append(make_pair(f"o{n}")) for n in range(5)))
    assert log.append_sizes == [10]
    first = asyncio.create_task(grouped.append(make_pair("first")))
    await asyncio.sleep(0.5)
    lasts += await asyncio.gather(*(grouped.append(make_pair(f"p{n}")) for n in range(3)))
    assert log.append_sizes == [10, 2, 6]
    assert [*lasts[:5], await first, *lasts[5:]] == list(range(2, 20, 2))
    page = await log.page("ev.>", after=0)
    assert [recorded.metadata.id for recorded in page.events][-4:] == [
        "p1.orders",
        "p1.trades",
        "p2.orders",
        "p2.trades",
    ]


async def test_the_size_of_a_batch_is_limited() -> None:
    log = SlowLog()
    grouped = GroupCommitLog(log)
    await asyncio.gather(*(grouped.append(make_pair(f"o{n}")) for n in range(MAX_GROUP_EVENTS)))
    assert log.append_sizes == [MAX_GROUP_EVENTS, MAX_GROUP_EVENTS]


async def test_single_events_are_not_combined() -> None:
    log = SlowLog()
    grouped = GroupCommitLog(log)
    await asyncio.gather(*(grouped.append(make_pair(f"o{n}")[:1]) for n in range(3)))
    assert log.append_sizes == [1, 1, 1]


async def test_a_conflict_fails_only_its_own_append() -> None:
    log = SlowLog()
    grouped = GroupCommitLog(log)
    answers = await asyncio.gather(
        grouped.append(make_pair("a")),
        grouped.append(make_pair("b", expected_sequence=7)),
        grouped.append(make_pair("c")),
        return_exceptions=True,
    )
    assert [answers[0], answers[2]] == [2, 4]
    assert isinstance(answers[1], Conflict)


@pytest.mark.parametrize("error", [OutcomeUnknown("no answer"), AppendRejected("too large")])
async def test_other_errors_are_raised_to_all_callers_of_the_batch(error: LogError) -> None:
    log = SlowLog()
    log.next_error = error
    grouped = GroupCommitLog(log)
    answers = await asyncio.gather(
        *(grouped.append(make_pair(name)) for name in "ab"), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [type(error)] * 2
    log.next_error = None
    assert await grouped.append(make_pair("later")) == 2


async def test_a_canceled_caller_does_not_affect_the_others() -> None:
    log = SlowLog()
    grouped = GroupCommitLog(log)
    leaving = asyncio.create_task(grouped.append(make_pair("a")))
    staying = asyncio.create_task(grouped.append(make_pair("b")))
    await asyncio.sleep(0.5)
    leaving.cancel()
    assert await staying == 4
