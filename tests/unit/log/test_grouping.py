"""Appends that go together, and that each caller gets the answer that is its own."""

import asyncio
from collections.abc import Sequence

import pytest

from tapewire.events import OrderPlaced
from tapewire.log import Conflict, Draft, LogError, Meta, Refused, Subject, Uncertain
from tapewire.log.grouping import GROUP_EVENTS, GroupedLog
from tapewire.log.memory import MemoryLog, MemoryServer
from tests.unit.orders import virtual
from tests.unit.orders.spec import USER, open_order


class Slow(MemoryLog):
    """A log that takes a second an append, and notes how many events each one had."""

    def __init__(self) -> None:
        super().__init__(MemoryServer())
        self.appended: list[int] = []
        self.failing: LogError | None = None

    async def append(self, drafts: Sequence[Draft]) -> int:
        self.appended.append(len(drafts))
        await asyncio.sleep(1)
        if self.failing is not None:
            raise self.failing
        return await super().append(drafts)


def pair(name: str, *, expect: int = 0) -> list[Draft]:
    """A fill and its trade, as far as a log cares."""
    event = OrderPlaced(order=open_order().order, command_id=name)
    return [
        Draft(
            subject=Subject(USER, domain, name),
            event=event,
            meta=Meta(id=f"{name}.{domain}", correlation="c"),
            expect=expect if domain == "orders" else None,
        )
        for domain in ("orders", "trades")
    ]


def test_one_append_waits_for_nothing_and_what_comes_meanwhile_goes_together() -> None:
    async def story() -> None:
        log = Slow()
        grouped = GroupedLog(log)
        lasts = await asyncio.gather(*(grouped.append(pair(f"o{n}")) for n in range(5)))
        assert log.appended == [10]
        first = asyncio.create_task(grouped.append(pair("first")))
        await asyncio.sleep(0.5)
        lasts += await asyncio.gather(*(grouped.append(pair(f"p{n}")) for n in range(3)))
        assert log.appended == [10, 2, 6]
        assert [*lasts[:5], await first, *lasts[5:]] == list(range(2, 20, 2))
        page = await log.page("ev.>", after=0)
        assert [recorded.meta.id for recorded in page.events][-4:] == [
            "p1.orders",
            "p1.trades",
            "p2.orders",
            "p2.trades",
        ]

    virtual.run(story())


def test_a_group_is_bounded() -> None:
    async def story() -> None:
        log = Slow()
        grouped = GroupedLog(log)
        await asyncio.gather(*(grouped.append(pair(f"o{n}")) for n in range(GROUP_EVENTS)))
        assert log.appended == [GROUP_EVENTS, GROUP_EVENTS]

    virtual.run(story())


def test_a_single_event_is_appended_as_ever() -> None:
    async def story() -> None:
        log = Slow()
        grouped = GroupedLog(log)
        await asyncio.gather(*(grouped.append(pair(f"o{n}")[:1]) for n in range(3)))
        assert log.appended == [1, 1, 1]

    virtual.run(story())


def test_one_order_that_changed_meanwhile_fails_alone() -> None:
    async def story() -> None:
        log = Slow()
        grouped = GroupedLog(log)
        answers = await asyncio.gather(
            grouped.append(pair("a")),
            grouped.append(pair("b", expect=7)),
            grouped.append(pair("c")),
            return_exceptions=True,
        )
        assert [answers[0], answers[2]] == [2, 4]
        assert isinstance(answers[1], Conflict)

    virtual.run(story())


@pytest.mark.parametrize("error", [Uncertain("no answer"), Refused("too large")])
def test_what_the_log_cannot_say_everybody_is_told(error: LogError) -> None:
    async def story() -> None:
        log = Slow()
        log.failing = error
        grouped = GroupedLog(log)
        answers = await asyncio.gather(
            *(grouped.append(pair(name)) for name in "ab"), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [type(error)] * 2
        log.failing = None
        assert await grouped.append(pair("later")) == 2

    virtual.run(story())


def test_a_caller_that_gave_up_does_not_disturb_the_others() -> None:
    async def story() -> None:
        log = Slow()
        grouped = GroupedLog(log)
        leaving = asyncio.create_task(grouped.append(pair("a")))
        staying = asyncio.create_task(grouped.append(pair("b")))
        await asyncio.sleep(0.5)
        leaving.cancel()
        assert await staying == 4

    virtual.run(story())
