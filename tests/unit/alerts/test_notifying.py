"""Notifications of many events at once: each told once, in order, whatever is there already."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from services.alerts.domain.notices import Notify, notification_id, subject
from services.alerts.domain.telling import Notice
from services.alerts.notifying import ASKED_AT_ONCE, Notifications, Telling
from tapewire.events import NotificationCreated
from tapewire.log import Draft, EventLog, LogError, Recorded
from tapewire.log.memory import Faults, MemoryLog, MemoryServer
from tests.unit.alerts.spec import at
from tests.unit.orders import virtual

MANY = 2 * ASKED_AT_ONCE + 100


def telling(number: int, id_: str = "") -> Telling:
    title = str(number)
    notice = Notice(type="test", title=title, message="", payload={}, at=at(number))
    command = Notify(id=id_ or f"cause-{number}", user=f"user-{number % 7}", notice=notice)
    return Telling(command, "correlation", "traceparent")


TELLINGS = [telling(number) for number in range(MANY)]


async def told(log: EventLog) -> list[Recorded]:
    events: list[Recorded] = []
    more = True
    while more:
        page = await log.page("ev.>", after=events[-1].sequence if events else 0)
        events += page.events
        more = page.more
    return events


async def titles(log: EventLog) -> dict[str, list[str]]:
    """What each user was told, in order."""
    found: dict[str, list[str]] = {}
    for recorded in await told(log):
        if isinstance(recorded.event, NotificationCreated):
            found.setdefault(recorded.place.owner, []).append(recorded.event.notification.title)
    return found


def of_each(tellings: Sequence[Telling]) -> dict[str, list[str]]:
    """What each user should be told."""
    wanted: dict[str, list[str]] = {}
    for one in tellings:
        wanted.setdefault(one.command.user, []).append(one.command.notice.title)
    return wanted


class Counting(MemoryLog):
    """Counts what it is asked."""

    def __init__(self, server: MemoryServer) -> None:
        super().__init__(server)
        self.appends = self.questions = 0

    async def append(self, drafts: Sequence[Draft]) -> int:
        self.appends += 1
        return await super().append(drafts)

    async def newest(self, subjects: Sequence[str]) -> list[Recorded]:
        self.questions += 1
        return await super().newest(subjects)


def test_what_nobody_was_told_is_told_in_order_and_with_what_caused_it() -> None:
    async def story() -> None:
        log = Counting(MemoryServer())
        assert await Notifications(log).tell(TELLINGS) == 0
        assert await titles(log) == of_each(TELLINGS)
        assert (log.appends, log.questions) == (MANY, 0)
        stored = {recorded.subject: recorded for recorded in await told(log)}
        for one in TELLINGS:
            command = one.command
            recorded = stored[str(subject(command))]
            meta = recorded.meta
            assert recorded.place == subject(command)
            assert recorded.place.entity == notification_id(command)
            assert (meta.id, meta.causation) == (f"{command.id}.0.0", command.id)
            assert (meta.correlation, meta.traceparent) == ("correlation", "traceparent")

    virtual.run(story())


def test_what_is_there_is_told_no_more_and_the_rest_keeps_its_order() -> None:
    async def story(seed: int) -> None:
        log, chance = Counting(MemoryServer()), random.Random(seed)
        before = [one for one in TELLINGS if chance.random() < seed / 4]
        await Notifications(log).tell(before)
        log.appends = 0
        doubtful = seed % 2 == 0
        assert await Notifications(log).tell(TELLINGS, doubtful=doubtful) == len(before)
        rest = [one for one in TELLINGS if one not in before]
        assert await titles(log) == of_each([*before, *rest])
        assert log.questions == 3
        if doubtful:
            assert log.appends == len(rest)

    for seed in range(5):
        virtual.run(story(seed))


def test_what_is_refused_for_a_reason_of_its_own_holds_up_no_other_user() -> None:
    """Two causes of one name, of two users: the log takes the second for the first."""

    async def story() -> None:
        log = MemoryLog(MemoryServer())
        await Notifications(log).tell(TELLINGS[:5])
        twice = [*TELLINGS[:5], telling(5, id_="cause-3"), *TELLINGS[6:20]]
        with pytest.raises(LogError, match="3 notifications were refused 8 times"):
            await Notifications(log).tell(twice)
        others = [one for one in TELLINGS[:20] if one.command.user != telling(5).command.user]
        assert await titles(log) == of_each(others)

    virtual.run(story())


def test_two_that_tell_the_same_over_rough_connections_tell_each_once() -> None:
    async def insist(log: MemoryLog, chance: random.Random) -> None:
        doubtful = chance.random() < 0.5
        while True:
            try:
                await Notifications(log).tell(TELLINGS, doubtful=doubtful)
            except LogError:
                await asyncio.sleep(0.1)
            else:
                return

    async def story(seed: int) -> None:
        server, chance = MemoryServer(), random.Random(seed)
        logs = [MemoryLog(server, Faults.rough(seed + number)) for number in range(2)]
        await asyncio.gather(*[insist(log, chance) for log in logs])
        assert await titles(MemoryLog(server)) == of_each(TELLINGS)

    for seed in range(0, 20, 2):
        virtual.run(story(seed))
