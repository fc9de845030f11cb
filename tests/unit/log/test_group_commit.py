"""Appends that go together, and that each caller gets the answer that is its own."""

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
    """A log that takes a second an append, and notes how many events each one had."""

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
    """A fill and its trade, as far as a log cares."""
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


async def test_one_append_waits_for_nothing_and_what_comes_meanwhile_goes_together() -> None:
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


async def test_a_group_is_bounded() -> None:
    log = SlowLog()
    grouped = GroupCommitLog(log)
    await asyncio.gather(*(grouped.append(make_pair(f"o{n}")) for n in range(MAX_GROUP_EVENTS)))
    assert log.append_sizes == [MAX_GROUP_EVENTS, MAX_GROUP_EVENTS]


async def test_a_single_event_is_appended_as_ever() -> None:
    log = SlowLog()
    grouped = GroupCommitLog(log)
    await asyncio.gather(*(grouped.append(make_pair(f"o{n}")[:1]) for n in range(3)))
    assert log.append_sizes == [1, 1, 1]


async def test_one_order_that_changed_meanwhile_fails_alone() -> None:
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
async def test_what_the_log_cannot_say_everybody_is_told(error: LogError) -> None:
    log = SlowLog()
    log.next_error = error
    grouped = GroupCommitLog(log)
    answers = await asyncio.gather(
        *(grouped.append(make_pair(name)) for name in "ab"), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [type(error)] * 2
    log.next_error = None
    assert await grouped.append(make_pair("later")) == 2


async def test_a_caller_that_gave_up_does_not_disturb_the_others() -> None:
    log = SlowLog()
    grouped = GroupCommitLog(log)
    leaving = asyncio.create_task(grouped.append(make_pair("a")))
    staying = asyncio.create_task(grouped.append(make_pair("b")))
    await asyncio.sleep(0.5)
    leaving.cancel()
    assert await staying == 4
